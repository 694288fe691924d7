//! Which names does a rule mean?

use std::{fmt, str::FromStr};

/// Longest pattern, in bytes: Kubernetes names have at most 253.
const PATTERN_BYTES_MAX: usize = 253;
/// The letter that stands for any number of letters.
const ANY: char = '*';

/// A name of a cluster or app, or one in which `*` stands for any letters, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Text that can match no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is neither a name nor a pattern of names: lower-case letters, digits, '-', '.', and '*' for any letters"
)]
pub struct NotAPattern(String);

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.*".contains(letter);
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || !text.chars().all(allowed) {
            return Err(NotAPattern(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether it means more than one name.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.contains(ANY)
    }

    /// Whether it means this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, name)
    }

    /// Whether it means every name that `other` means. Decided by reading the `*` of `other` as a letter that
    /// only a `*` matches, so it may say no where it is yes, never the other way round.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

/// Whether `text` is `pattern`, where each `*` stands for any letters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split(ANY);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The parts between are found as early as possible; what then remains must end with the last one.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, name, expected) in [
            ("prod", "prod", true),
            ("prod", "prod-1", false),
            ("prod-*", "prod-1", true),
            ("prod-*", "prod-", true),
            ("prod-*", "prod", false),
            ("*", "anything", true),
            ("*-eu-*", "prod-eu-1", true),
            ("*-eu-*", "prod-us-1", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab", "aab", true),
            ("a*b*c", "abxbc", true),
            ("a**c", "abc", true),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn other_letters_are_refused() {
        for text in ["", "Prod", "a b", "a/b", "?", "[a]", &"a".repeat(254)] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    /// The definition, letter by letter.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some((letter, rest)) => text.first() == Some(letter) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn what_covers_a_pattern_means_all_its_names(
            wide in "[ab*]{1,5}", narrow in "[ab*]{1,5}", name in "[ab]{0,8}",
        ) {
            let (wide, narrow): (Pattern, Pattern) = (wide.parse().unwrap(), narrow.parse().unwrap());
            if wide.covers(&narrow) && narrow.matches(&name) {
                prop_assert!(wide.matches(&name), "{} covers {}, and not {}", wide, narrow, name);
            }
        }
    }
}
