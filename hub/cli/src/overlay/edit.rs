//! How is one value of a YAML file changed, with every other character left as it is?

use std::ops::Range;

use muster_yaml::{Entry, Mark, Node, Reading, Value, Written, plain};

/// Changes of a text, by the places of what was read from it.
pub(super) struct Edits<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    made: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    pub(super) fn of(text: &'t str) -> Edits<'t> {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Edits { text, lines: std::iter::once(0).chain(ends).collect(), made: Vec::new() }
    }

    /// The text with all changes made.
    pub(super) fn finish(mut self) -> String {
        self.made.sort_by_key(|(range, _)| range.start);
        let (mut done, mut at) = (String::with_capacity(self.text.len()), 0);
        for (range, new) in &self.made {
            done.push_str(&self.text[at..range.start.max(at)]);
            done.push_str(new);
            at = range.end.max(at);
        }
        done.push_str(&self.text[at..]);
        done
    }

    /// Gives a scalar another value, in quotes where it had some.
    pub(super) fn set(&mut self, node: &Node, value: &str) -> Result<(), String> {
        let range = self.scalar(node)?;
        let new = match self.text[range.clone()].chars().next() {
            Some('\'') => format!("'{}'", value.replace('\'', "''")),
            Some('"') => quoted(value),
            _ => written(value),
        };
        self.made.push((range, new));
        Ok(())
    }

    /// Gives an entry another key.
    pub(super) fn rename(&mut self, entry: &Entry, key: &str) -> Result<(), String> {
        let start = self.offset(entry.at)?;
        let range = start..start + entry.key.len();
        if self.text.get(range.clone()) != Some(entry.key.as_str()) {
            return Err(format!(
                "{}: the key {} is written in a way that is not edited",
                entry.at, entry.key
            ));
        }
        self.made.push((range, key.to_owned()));
        Ok(())
    }

    /// Adds an entry after the last of a mapping, of which it must have one.
    pub(super) fn add(&mut self, mapping: &Node, key: &str, value: &str) -> Result<(), String> {
        let entries = match &mapping.value {
            Value::Mapping(entries) => entries.as_slice(),
            _ => &[],
        };
        let last = entries.last().ok_or_else(|| format!("{}: expected a mapping", mapping.at))?;
        let end = self.scalar(&last.value)?.end;
        let entry = format!("{key}: {}", written(value));
        if self.text[self.offset(mapping.at)?..].starts_with('{') {
            self.made.push((end..end, format!(", {entry}")));
        } else {
            let end = self.line_end(end);
            self.made.push((end..end, format!("\n{}{entry}", " ".repeat(last.at.column - 1))));
        }
        Ok(())
    }

    /// Removes an entry that has a line of its own.
    pub(super) fn remove(&mut self, entry: &Entry) -> Result<(), String> {
        let (start, end) = (self.offset(entry.at)?, self.scalar(&entry.value)?.end);
        let line = self.lines[entry.at.line - 1];
        let rest = self.text[end..self.line_end(end)].trim_start();
        if !self.text[line..start].trim().is_empty() || !(rest.is_empty() || rest.starts_with('#')) {
            return Err(format!("{}: remove {} by hand; it has no line of its own", entry.at, entry.key));
        }
        self.made.push((line..(self.line_end(end) + 1).min(self.text.len()), String::new()));
        Ok(())
    }

    /// Adds items after the last of a list that is written with dashes.
    pub(super) fn append(&mut self, list: &Node, new: &[Vec<(&str, &str)>]) -> Result<(), String> {
        let by_hand = || format!("{}: the list is empty or written in brackets; add to it by hand", list.at);
        let items = match &list.value {
            Value::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        let last = items.last().ok_or_else(by_hand)?;
        let line = self.lines[last.at.line - 1];
        let before = &self.text[line..self.offset(last.at)?];
        let dash = before.find('-').filter(|dash| before[..*dash].trim().is_empty()).ok_or_else(by_hand)?;
        let end = self.line_end(self.end(last)?);
        self.made.push((end..end, new.iter().map(|entries| format!("\n{}", item(dash, entries))).collect()));
        Ok(())
    }

    /// Adds a list under a new key at the end of the file.
    pub(super) fn begin(&mut self, key: &str, new: &[Vec<(&str, &str)>]) {
        let end = self.text.len();
        let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let items: String = new.iter().map(|entries| format!("{}\n", item(0, entries))).collect();
        self.made.push((end..end, format!("{gap}{key}:\n{items}")));
    }

    /// Where a value ends.
    fn end(&self, node: &Node) -> Result<usize, String> {
        match &node.value {
            Value::Mapping(entries) if !entries.is_empty() => {
                let ends = entries.iter().map(|entry| self.end(&entry.value));
                ends.collect::<Result<Vec<_>, _>>().map(|ends| ends.into_iter().max().unwrap_or_default())
            }
            _ => self.scalar(node).map(|range| range.end),
        }
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |length| from + length)
    }

    fn offset(&self, mark: Mark) -> Result<usize, String> {
        let outside = || format!("{mark}: the place is outside of the file");
        let line = *self.lines.get(mark.line - 1).ok_or_else(outside)?;
        let rest = self.text.get(line..).unwrap_or_default();
        let column = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(mark.column - 1);
        column.map(|column| line + column).ok_or_else(outside)
    }

    /// The characters of a scalar, its quotes included.
    fn scalar(&self, node: &Node) -> Result<Range<usize>, String> {
        let start = self.offset(node.at)?;
        let rest = &self.text[start..];
        let length = match rest.chars().next() {
            Some('"') => double_quoted(rest),
            Some('\'') => single_quoted(rest),
            _ => as_written(node)
                .filter(|text| !text.is_empty() && rest.starts_with(text))
                .map(|text| text.len()),
        };
        length
            .map(|length| start..start + length)
            .ok_or_else(|| format!("{}: the value is written in a way that is not edited", node.at))
    }
}

fn double_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let ends = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    end.map(|(at, _)| at + 1)
}

fn single_quoted(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find('\'')? + 1;
        if !text[at..].starts_with('\'') {
            return Some(at);
        }
        at += 1;
    }
}

/// The text of a scalar without quotes.
fn as_written(node: &Node) -> Option<String> {
    match (&node.written, &node.value) {
        (Written::Text(text), _) => Some(text.clone()),
        (Written::Plain, Value::String(text)) => Some(text.clone()),
        (Written::Plain, Value::Number(number)) => Some(number.to_string()),
        (Written::Plain, Value::Bool(value)) => Some(value.to_string()),
        (Written::Plain, Value::Null) => Some("null".to_owned()),
        _ => None,
    }
}

fn item(indent: usize, entries: &[(&str, &str)]) -> String {
    let indent = " ".repeat(indent);
    let lines = entries.iter().enumerate().map(|(number, (key, value))| {
        format!("{indent}{} {key}: {}", if number == 0 { "-" } else { " " }, written(value))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text as YAML: without quotes where it is one all the same.
fn written(value: &str) -> String {
    let is_simple = value.chars().all(|letter| letter.is_ascii_alphanumeric() || "._/-+:@".contains(letter))
        && value.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && !value.ends_with(':');
    match plain(value, Reading::AsKubectl) {
        Ok(Value::String(text)) if is_simple && text == value => text,
        _ => quoted(value),
    }
}

fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}
