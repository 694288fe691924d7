//! What may reach the terminal: text that is safe to print, laid out in columns, with colour as a
//! layer that can be left off.
//!
//! ```text
//! words from the hub --Text--> Table, Page --finish--> plain text, or text with colours
//! ```

mod ago;
mod page;
mod table;

pub(crate) use ago::{age, ago, until};
pub(crate) use page::{Page, Screen};
pub(crate) use table::Table;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a piece of text means; only the last step knows which colour that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Of less interest.
    Dim,
    /// Headings and names.
    Strong,
    /// Everything else.
    Plain,
}

/// Marks that open each style inside a laid out line, and the one that closes it. They take no
/// space, so tables align as if they were not there, and [`clean`] lets none of them in from outside.
const MARKS: [(Style, char, &str); 5] = [
    (Style::Good, '\u{2061}', "\x1b[32m"),
    (Style::Warn, '\u{2062}', "\x1b[33m"),
    (Style::Bad, '\u{2063}', "\x1b[31m"),
    (Style::Dim, '\u{2064}', "\x1b[2m"),
    (Style::Strong, '\u{2060}', "\x1b[1m"),
];
const MARK_END: char = '\u{200b}';

/// A line, or part of one, that is safe to print whatever the hub said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    spans: Vec<(Style, String)>,
}

impl Text {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `text` without a style.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self::styled(Style::Plain, text)
    }

    /// `text` in one style.
    pub(crate) fn styled(style: Style, text: impl AsRef<str>) -> Self {
        Self { spans: vec![(style, clean(text.as_ref()))] }
    }

    /// This, and behind it `text` in another style.
    #[must_use]
    pub(crate) fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.spans.push((style, clean(text.as_ref())));
        self
    }

    /// This, and behind it all of `other`.
    #[must_use]
    pub(crate) fn join(mut self, other: Text) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// Columns it takes on a terminal.
    pub(crate) fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| text.width()).sum()
    }

    /// True when there is nothing to see.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.iter().all(|(_, text)| text.is_empty())
    }

    /// At most `width` columns of it; where something was cut the last one is an ellipsis.
    pub(crate) fn cut(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut left = width.saturating_sub(1);
        let mut spans = Vec::new();
        for (style, text) in &self.spans {
            let mut kept = String::new();
            let mut full = false;
            for character in text.chars() {
                let columns = character.width().unwrap_or(0);
                if columns > left {
                    full = true;
                    break;
                }
                left -= columns;
                kept.push(character);
            }
            if full {
                kept.truncate(kept.trim_end().len());
                kept.push('…');
                spans.push((*style, kept));
                break;
            }
            spans.push((*style, kept));
        }
        Self { spans }
    }

    /// All of it in lines of at most `width` columns, broken between words and indented; a word that is
    /// longer than a line stays whole, so that it can be copied.
    pub(crate) fn wrap(&self, width: usize, indent: usize) -> Vec<Self> {
        let margin = || Self::plain(" ".repeat(indent));
        let mut lines = Vec::new();
        let mut line = margin();
        let mut used = indent;
        for (style, text) in &self.spans {
            for word in text.split_inclusive(' ') {
                if used > indent && used + word.trim_end().width() > width {
                    lines.push(std::mem::replace(&mut line, margin()).trimmed());
                    used = indent;
                }
                used += word.width();
                line.spans.push((*style, word.to_owned()));
            }
        }
        lines.push(line);
        lines
    }

    /// Without blanks at its end.
    fn trimmed(mut self) -> Self {
        if let Some((_, text)) = self.spans.last_mut() {
            text.truncate(text.trim_end().len());
        }
        self
    }

    /// With marks for the styles, to be laid out and then finished.
    fn marked(&self) -> String {
        let mut marked = String::new();
        for (style, text) in &self.spans {
            match MARKS.iter().find(|(of, ..)| of == style) {
                Some((_, mark, _)) if !text.is_empty() => {
                    marked.push(*mark);
                    marked.push_str(text);
                    marked.push(MARK_END);
                }
                _ => marked.push_str(text),
            }
        }
        marked
    }
}

/// Marks become colours, or vanish.
fn finish(marked: &str, colour: bool) -> String {
    let mut finished = String::with_capacity(marked.len());
    for character in marked.chars() {
        if character == MARK_END {
            finished.push_str(if colour { "\x1b[0m" } else { "" });
        } else if let Some((.., code)) = MARKS.iter().find(|(_, mark, _)| *mark == character) {
            finished.push_str(if colour { code } else { "" });
        } else {
            finished.push(character);
        }
    }
    finished
}

/// A single line, for output that comes one line at a time.
pub(crate) fn finish_line(text: &Text, colour: bool) -> String {
    finish(&text.marked(), colour)
}

/// One line without anything a terminal would obey: white space becomes one blank, control and
/// invisible formatting characters are spelled out.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\n' | '\r' | '\t') {
            if !cleaned.ends_with(' ') {
                cleaned.push(' ');
            }
        } else if is_active(character) {
            cleaned.extend(character.escape_unicode());
        } else {
            cleaned.push(character);
        }
    }
    if text.ends_with(['\n', '\r', '\t']) {
        cleaned.truncate(cleaned.trim_end().len());
    }
    cleaned
}

/// Characters that move the cursor, turn the writing direction, or cannot be seen.
pub(crate) fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 app`, `2 apps`, `3,000 apps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// `3000` as `3,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_gets_through() {
        assert_eq!(clean("a\x1b[2Jb\u{9b}31m\u{7f}"), "a\\u{1b}[2Jb\\u{9b}31m\\u{7f}");
        assert_eq!(clean("first\n\tsecond\r\n"), "first second");
        assert_eq!(clean("abc\u{202e}gnp\u{2063}\u{200b}"), "abc\\u{202e}gnp\\u{2063}\\u{200b}");
        assert_eq!(clean("größe 東京 ✓"), "größe 東京 ✓");
    }

    #[test]
    fn colour_is_a_layer_on_top() {
        let text = Text::plain("is ").and(Style::Bad, "Degraded").and(Style::Plain, " now");
        assert_eq!(finish(&text.marked(), false), "is Degraded now");
        assert_eq!(finish(&text.marked(), true), "is \x1b[31mDegraded\x1b[0m now");
    }

    #[test]
    fn a_hub_cannot_forge_colours() {
        let text = Text::plain("\u{2063}red\u{200b}");
        assert_eq!(finish(&text.marked(), true), "\\u{2063}red\\u{200b}");
    }

    #[test]
    fn text_is_cut_by_columns_not_bytes() {
        assert_eq!(Text::plain("abcdef").cut(6), Text::plain("abcdef"));
        assert_eq!(Text::plain("abcdef").cut(4), Text::plain("abc…"));
        assert_eq!(Text::plain("東京都").cut(5), Text::plain("東京…"));
        assert_eq!(Text::plain("ab").and(Style::Bad, "cdef").cut(4).width(), 4);
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let text = Text::plain("one two ").and(Style::Bad, "three four-is-long");
        let lines: Vec<String> = text.wrap(11, 2).iter().map(|line| finish_line(line, false)).collect();
        assert_eq!(lines, ["  one two", "  three", "  four-is-long"]);
        assert_eq!(
            Text::plain("short").wrap(80, 0),
            [Text::new().and(Style::Plain, "").and(Style::Plain, "short")]
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1, "app"), "1 app");
        assert_eq!(count(0, "app"), "0 apps");
        assert_eq!(count(1234567, "app"), "1,234,567 apps");
    }
}
