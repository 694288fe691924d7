//! Which objects does a list or watch ask for? (`labelSelector` and `fieldSelector`.)

use std::fmt;

/// A parsed label selector; an empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<(String, Requirement)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Greater(i64),
    Less(i64),
}

/// A selector that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unable to parse requirement: {}", self.0)
    }
}

impl LabelSelector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    pub(crate) fn parse(text: &str) -> Result<LabelSelector, Malformed> {
        let mut requirements = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            // A comma inside parentheses separates values, not requirements.
            let mut depth = 0_usize;
            let end = rest.char_indices().find(|(_, c)| {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && *c == ','
            });
            let (one, after) = match end {
                Some((at, _)) => (&rest[..at], &rest[at + 1..]),
                None => (rest, ""),
            };
            requirements.push(requirement(one.trim())?);
            rest = after.trim_start();
        }
        Ok(LabelSelector { requirements })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels, looked up by `label`, are selected.
    pub(crate) fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|(key, requirement)| {
            let value = label(key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match requirement {
                Requirement::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Requirement::NotIn(values) => {
                    !value.is_some_and(|value| values.iter().any(|one| one == value))
                }
                Requirement::Exists => value.is_some(),
                Requirement::Missing => value.is_none(),
                Requirement::Greater(bound) => number().is_some_and(|number| number > *bound),
                Requirement::Less(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }
}

fn requirement(text: &str) -> Result<(String, Requirement), Malformed> {
    let malformed = || Malformed(format!("found {text:?}, expected a label key with an operator"));
    let key = |key: &str| match is_label_key(key.trim()) {
        true => Ok(key.trim().to_owned()),
        false => Err(malformed()),
    };
    let number = |value: &str| value.trim().parse().map_err(|_| malformed());
    if let Some(name) = text.strip_prefix('!') {
        return Ok((key(name)?, Requirement::Missing));
    }
    if let Some((before, list)) = text.split_once('(') {
        let values = list.strip_suffix(')').ok_or_else(malformed)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let before = before.trim();
        if let Some(name) = before.strip_suffix(" notin") {
            return Ok((key(name)?, Requirement::NotIn(values)));
        }
        let name = before.strip_suffix(" in").ok_or_else(malformed)?;
        return Ok((key(name)?, Requirement::In(values)));
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Ok((key(name)?, Requirement::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok((key(name)?, Requirement::In(vec![value.trim().to_owned()])));
    }
    if let Some((name, value)) = text.split_once('>') {
        return Ok((key(name)?, Requirement::Greater(number(value)?)));
    }
    if let Some((name, value)) = text.split_once('<') {
        return Ok((key(name)?, Requirement::Less(number(value)?)));
    }
    Ok((key(text)?, Requirement::Exists))
}

/// Whether the text is a label key: an optional DNS prefix and a name of at most 63 characters.
pub(crate) fn is_label_key(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if !is_subdomain(prefix) {
                return false;
            }
            name
        }
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// Whether the text may be the value of a label.
pub(crate) fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && ends(bytes.first()) && ends(bytes.last())
}

/// Whether the text is an RFC 1123 subdomain.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, usize::MAX))
}

/// Whether the text is an RFC 1123 label of at most `length_max` characters.
pub(crate) fn is_label(text: &str, length_max: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= length_max
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A parsed field selector: terms of path, whether equal is asked for, and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Parses `metadata.name=web,status.phase!=Running`.
    pub(crate) fn parse(text: &str) -> Result<FieldSelector, Malformed> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|term| !term.trim().is_empty()) {
            let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (path, true, value)
            } else {
                return Err(Malformed(format!("invalid selector: '{term}'; can't understand '{term}'")));
            };
            terms.push((path.trim().to_owned(), equal, value.trim().to_owned()));
        }
        Ok(FieldSelector { terms })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The paths asked about.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|(path, _, _)| path.as_str())
    }

    /// Whether the fields, looked up by `field`, are selected.
    pub(crate) fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.terms.iter().all(|(path, equal, value)| (field(path) == *value) == *equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_select_as_kubernetes_says() {
        let labels = |key: &str| match key {
            "app" => Some("web"),
            "tier" => Some("front"),
            "size" => Some("3"),
            _ => None,
        };
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app=db", false),
            ("app!=db", true),
            ("missing!=x", true),
            ("app in (web, db),tier=front", true),
            ("app notin (web,db)", false),
            ("tier", true),
            ("!tier", false),
            ("!other", true),
            ("size>2", true),
            ("size<3", false),
            ("muster.dev/app", false),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(labels), expected, "{text}");
        }
        for text in ["app in web", "-x=1", "a in (b", "=x", "a/b/c", "size>big"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors_compare_text() {
        let selector = FieldSelector::parse("metadata.name=web,status.phase!=Failed").unwrap();
        assert!(selector.matches(|path| if path == "metadata.name" {
            "web".into()
        } else {
            "Running".into()
        }));
        assert!(!selector.matches(|path| if path == "metadata.name" {
            "db".into()
        } else {
            "Running".into()
        }));
        assert!(FieldSelector::parse("metadata.name").is_err());
    }
}
