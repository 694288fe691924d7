//! In which form an answer is wanted.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people, as much as fits the screen
    #[value(alias = "human")]
    Table,
    /// For people, everything
    Wide,
    /// One JSON document
    Json,
    /// One YAML document; of `render`, one for each object
    Yaml,
    /// Names alone, one a line
    Name,
    /// What a JSONPath (RFC 9535) finds in the JSON document, one value a line
    #[value(skip)]
    JsonPath(&'static str),
    /// For code hosts: SARIF 2.1.0
    Sarif,
}

impl Output {
    /// The word for it.
    pub(crate) fn word(self) -> String {
        self.to_possible_value().map_or_else(|| "jsonpath".to_owned(), |value| value.get_name().to_owned())
    }
}

/// Reads a format from the command line.
pub(super) fn output(text: &str) -> Result<Output, String> {
    if let Some(path) = text.strip_prefix("jsonpath=") {
        // As kubectl has it: in braces, and without the dollar.
        let inner = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path);
        let whole = match inner.chars().next() {
            Some('$') => inner.to_owned(),
            Some('.' | '[') => format!("${inner}"),
            _ => format!("$.{inner}"),
        };
        serde_json_path::JsonPath::parse(&whole).map_err(|error| format!("{whole}: {error}"))?;
        // Read once in the life of the process.
        return Ok(Output::JsonPath(whole.leak()));
    }
    let names = Output::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
    Output::from_str(text, true).map_err(|_| format!("it is none of {}, jsonpath=PATH", names.join(", ")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_words_or_a_path() {
        assert_eq!(output("json"), Ok(Output::Json));
        assert_eq!(output("human"), Ok(Output::Table));
        for path in ["{.clusters[*].name}", "$.clusters[*].name", ".clusters[*].name", "clusters[*].name"] {
            assert_eq!(
                output(&format!("jsonpath={path}")),
                Ok(Output::JsonPath("$.clusters[*].name")),
                "{path}"
            );
        }
        assert!(output("jsonpath={.a[}").is_err());
        assert!(output("xml").unwrap_err().contains("yaml, name"));
    }
}
