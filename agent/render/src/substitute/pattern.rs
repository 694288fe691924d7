//! Which part of a value does a pattern such as `*.` match?

/// A shell pattern: `*`, `?`, `[a-z]`, `[!a-z]` and, behind a backslash, any character as itself.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Element>);

#[derive(Debug, Clone)]
enum Element {
    Any,
    One,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Element {
    fn matches(&self, char: char) -> bool {
        match self {
            Element::Any | Element::One => true,
            Element::Char(own) => *own == char,
            Element::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != *negated
            }
        }
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let mut chars = text.chars().peekable();
        let mut elements = Vec::new();
        while let Some(char) = chars.next() {
            elements.push(match char {
                '*' => Element::Any,
                '?' => Element::One,
                '\\' => Element::Char(chars.next().ok_or("ends in a backslash")?),
                '[' => {
                    let negated = chars.next_if(|next| matches!(next, '!' | '^')).is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let from = chars.next().ok_or("has a `[` without `]`")?;
                        // A bracket that closes right away is one of the characters.
                        if from == ']' && !ranges.is_empty() {
                            break;
                        }
                        let mut ahead = chars.clone();
                        let is_range =
                            ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']');
                        if is_range {
                            chars.next();
                        }
                        let to = if is_range { chars.next().unwrap_or(from) } else { from };
                        ranges.push((from, to));
                    }
                    Element::Class { negated, ranges }
                }
                char => Element::Char(char),
            });
        }
        Ok(Pattern(elements))
    }

    /// The value without the shortest or longest beginning that matches and is not empty.
    pub(crate) fn trim_start<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let elements: Vec<&Element> = self.0.iter().collect();
        let chars = value.char_indices().map(|(at, char)| (at + char.len_utf8(), char));
        let ends = ends(&elements, chars);
        let end = if longest { ends.last() } else { ends.first() };
        end.map_or(value, |end| &value[*end..])
    }

    /// The value without the shortest or longest ending that matches and is not empty.
    pub(crate) fn trim_end<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let elements: Vec<&Element> = self.0.iter().rev().collect();
        let starts = ends(&elements, value.char_indices().rev());
        let start = if longest { starts.last() } else { starts.first() };
        start.map_or(value, |start| &value[..*start])
    }
}

/// The places behind which the elements are used up, in order, walking the characters once: all
/// ways through the pattern at the same time, so that no value takes long.
fn ends(elements: &[&Element], chars: impl Iterator<Item = (usize, char)>) -> Vec<usize> {
    let mut at = vec![false; elements.len() + 1];
    at[0] = true;
    let skip_any = |at: &mut Vec<bool>| {
        for (position, element) in elements.iter().enumerate() {
            at[position + 1] |= at[position] && matches!(element, Element::Any);
        }
    };
    skip_any(&mut at);
    let mut found = Vec::new();
    for (place, char) in chars {
        let mut next = vec![false; at.len()];
        for (position, element) in elements.iter().enumerate().filter(|(position, _)| at[*position]) {
            if element.matches(char) {
                next[if matches!(element, Element::Any) { position } else { position + 1 }] = true;
            }
        }
        skip_any(&mut next);
        if next[elements.len()] {
            found.push(place);
        }
        at = next;
    }
    found
}
