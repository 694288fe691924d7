//! Lines of text, as one command prints them.

use unicode_width::UnicodeWidthStr as _;

use super::{Style, Text, finish};

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns; nothing is cut when not known, as in a pipe.
    pub(crate) width: Option<usize>,
    /// Lines; summaries keep to it where they can.
    pub(crate) height: Option<usize>,
    /// Everything there is to say, however much that is (`-o wide`).
    pub(crate) wide: bool,
}

/// Lines of text, not yet coloured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    lines: Vec<String>,
}

impl Page {
    /// Without a line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One more line.
    pub(crate) fn line(&mut self, text: &Text) {
        self.lines.push(text.marked());
    }

    /// As many lines as it takes, indented.
    pub(crate) fn wrapped(&mut self, text: &Text, screen: Screen, indent: usize) {
        for line in text.wrap(screen.width.unwrap_or(usize::MAX), indent) {
            self.line(&line);
        }
    }

    /// An empty line, unless the page is empty or has one at its end already.
    pub(crate) fn gap(&mut self) {
        if self.lines.last().is_some_and(|last| !last.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// A heading, after a gap.
    pub(crate) fn heading(&mut self, text: &str) {
        self.gap();
        self.line(&Text::styled(Style::Strong, text));
    }

    /// Lines that were laid out already.
    pub(super) fn marked_lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
    }

    /// Lines that it takes on a terminal of this width, which wraps long ones.
    pub(crate) fn lines_at(&self, width: usize) -> usize {
        let widths = self.lines.iter().map(|line| finish(line, false).width());
        widths.map(|line| line.div_ceil(width.max(1)).max(1)).sum()
    }

    /// The whole page, each line ended; with colours, or without any.
    pub(crate) fn finish(&self, colour: bool) -> String {
        self.lines.iter().map(|line| finish(line, colour) + "\n").collect()
    }
}

#[cfg(test)]
impl Screen {
    /// A terminal of that many columns, or a pipe.
    pub(crate) fn test(width: Option<usize>) -> Self {
        Self { width, height: width.map(|_| 24), wide: false }
    }
}
