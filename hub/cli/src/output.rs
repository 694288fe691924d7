//! Where an answer goes: a page for people, or a document for programs.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::Value;

use crate::{
    args::{Color, Options, Output},
    failure::Failure,
    text::{Page, Screen, clean, is_active},
};

/// How to print, decided once from the options and what standard output is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    format: Output,
    colour: bool,
    screen: Screen,
}

impl Printer {
    /// Looks at standard output and the environment.
    pub(crate) fn new(options: &Options) -> Self {
        let terminal = io::stdout().is_terminal();
        let size = if terminal { terminal_size::terminal_size() } else { None };
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format: options.output.unwrap_or(Output::Table),
            colour: colour(options.color, terminal, set("NO_COLOR") || dumb),
            screen: Screen {
                width: size.map(|(width, _)| usize::from(width.0)),
                height: size.map(|(_, height)| usize::from(height.0)),
                wide: options.output == Some(Output::Wide),
            },
        }
    }

    /// Prints `document`, or the page that shows it.
    pub(crate) fn print<T: Serialize>(
        &self,
        document: &T,
        page: impl FnOnce(Screen) -> Page,
    ) -> Result<(), Failure> {
        match self.format {
            Output::Table | Output::Wide => write(&page(self.screen).finish(self.colour)),
            Output::Json => json(document),
            Output::JsonPath(path) => write(&found(document, path)?),
            Output::Name => write(&names(document)?.ok_or(Failure::Format(self.format))?),
            Output::Sarif => Err(Failure::Format(self.format)),
            Output::Yaml => write(&serde_yaml::to_string(document).map_err(io::Error::other)?),
        }
    }

    /// Prints one of many documents, or the line that shows it, if it is worth one.
    pub(crate) fn stream<T: Serialize>(
        &self,
        document: &T,
        lines: impl FnOnce(Screen, bool) -> Vec<String>,
    ) -> Result<(), Failure> {
        match self.format {
            Output::Table | Output::Wide => {
                lines(self.screen, self.colour).iter().try_for_each(|line| write_more(&format!("{line}\n")))
            }
            Output::Json => write_more(&format!(
                "{}\n",
                inert(&serde_json::to_string(document).map_err(io::Error::from)?)
            )),
            Output::JsonPath(path) => write_more(&found(document, path)?),
            Output::Name | Output::Sarif => Err(Failure::Format(self.format)),
            Output::Yaml => {
                write_more(&format!("---\n{}", serde_yaml::to_string(document).map_err(io::Error::other)?))
            }
        }
    }

    /// Prints a page, whatever the format.
    pub(crate) fn page(&self, page: impl FnOnce(Screen) -> Page) -> Result<(), Failure> {
        write(&page(self.screen).finish(self.colour))
    }

    /// Whether what is written may have colours.
    pub(crate) fn is_coloured(&self) -> bool {
        self.colour
    }

    /// True when people read it.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Output::Table | Output::Wide)
    }
}

/// What a path finds in a document, each value on a line: texts as they are, all else as JSON.
fn found(document: &impl Serialize, path: &str) -> Result<String, Failure> {
    let document = serde_json::to_value(document).map_err(io::Error::from)?;
    let path = serde_json_path::JsonPath::parse(path).map_err(io::Error::other)?;
    let line = |value: &Value| match value {
        Value::String(text) => clean(text),
        other => inert(&other.to_string()),
    };
    Ok(path.query(&document).all().into_iter().map(|value| line(value) + "\n").collect())
}

/// The names in the list that a document is, one on a line: of clusters `NAME`, of apps `CLUSTER/APP`. `None` for a
/// document without such a list.
fn names(document: &impl Serialize) -> Result<Option<String>, Failure> {
    let document = serde_json::to_value(document).map_err(io::Error::from)?;
    let fields = document.as_object().into_iter().flat_map(|fields| fields.values());
    let lists: Vec<&Vec<Value>> = fields.filter_map(Value::as_array).collect();
    let text =
        |item: &Value, key: &str| item[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let name = |item: &Value| match (text(item, "cluster"), text(item, "app")) {
        (Some(cluster), Some(app)) => Some(format!("{cluster}/{app}")),
        _ => ["name", "track", "id"].iter().find_map(|key| text(item, key)),
    };
    let named = lists.iter().filter_map(|items| items.iter().map(name).collect::<Option<Vec<String>>>());
    // An empty list beside one with names is another one.
    let named = named.max_by_key(|names| !names.is_empty());
    Ok(named.map(|names| names.iter().map(|name| clean(name) + "\n").collect()))
}

/// Writes one document as JSON.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    write(&format!("{}\n", inert(&serde_json::to_string_pretty(document).map_err(io::Error::from)?)))
}

/// Colours are for terminals, unless somebody says otherwise; an option says more than a variable.
fn colour(option: Color, terminal: bool, unwanted: bool) -> bool {
    match option {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && !unwanted,
    }
}

/// JSON with everything a terminal might obey spelled as an escape: the same document, safe to look at.
fn inert(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        // The line ends of pretty printed JSON are the only control characters outside strings.
        if character != '\n' && is_active(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    match write_more(text) {
        Err(Failure::ReaderGone) => Ok(()),
        written => written,
    }
}

/// Writes to standard output what goes on until the reader has seen enough.
fn write_more(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        written => Ok(written?),
    }
}

/// Writes to standard error, where there is nothing to do about a failure.
pub(crate) fn remark(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals() {
        assert!(colour(Color::Auto, true, false));
        assert!(!colour(Color::Auto, true, true));
        assert!(!colour(Color::Auto, false, false));
        assert!(colour(Color::Always, false, true));
        assert!(!colour(Color::Never, true, false));
    }

    #[test]
    fn a_path_finds_values_and_names_are_those_of_the_list() {
        let document = serde_json::json!({
            "time": "now",
            "clusters": [{"name": "a", "apps": {"total": 2}}, {"name": "b\u{1b}", "apps": {"total": 3}}],
        });
        assert_eq!(found(&document, "$.clusters[*].apps.total").unwrap(), "2\n3\n");
        assert_eq!(found(&document, "$.clusters[?@.apps.total > 2].name").unwrap().lines().count(), 1);
        assert!(!found(&document, "$").unwrap().contains('\u{1b}'));
        let shown = names(&document).unwrap().unwrap();
        assert!(shown.starts_with("a\nb") && !shown.contains('\u{1b}'), "{shown}");
        let apps = serde_json::json!({"apps": [{"cluster": "a", "app": "web"}]});
        assert_eq!(names(&apps).unwrap().unwrap(), "a/web\n");
        assert_eq!(names(&serde_json::json!({"version": "1"})).unwrap(), None);
        assert_eq!(names(&serde_json::json!({"apps": []})).unwrap().unwrap(), "");
        let waves = serde_json::json!({"mismatches": [], "tracks": [{"track": "web"}], "waves": ["dev"]});
        assert_eq!(names(&waves).unwrap().unwrap(), "web\n");
    }

    #[test]
    fn json_stays_the_same_document() {
        let document = "a\u{9b}b\u{202e}c\u{7f}d\u{e0041}\x1be\nf";
        let json = inert(&serde_json::to_string(document).unwrap());
        assert!(json.chars().all(|character| !is_active(character)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), document);
    }
}
