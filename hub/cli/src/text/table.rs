//! Columns that fit the screen, in kubectl's manner: no lines, headings in capitals.

use comfy_table::{Cell, ContentArrangement, presets};

use super::{Page, Screen, Style, Text};

/// Columns between two cells.
const GAP: usize = 2;
/// A column that gives way keeps this many columns.
const FLEXIBLE_WIDTH_MIN: usize = 24;

/// Rows of cells, of which one column may give way when the screen is narrow.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Text>>,
    flexible: Option<usize>,
}

impl Table {
    /// With these headings and no rows.
    pub(crate) fn new(header: impl IntoIterator<Item = &'static str>) -> Self {
        Self { header: header.into_iter().collect(), rows: Vec::new(), flexible: None }
    }

    /// Cuts the cells under `heading` where the screen is too narrow for all.
    #[must_use]
    pub(crate) fn flexible(mut self, heading: &str) -> Self {
        self.flexible = self.header.iter().position(|of| *of == heading);
        self
    }

    /// One more row, with a cell under each heading.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Text>) {
        let cells: Vec<Text> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.header.len(), "a row has as many cells as the table has headings");
        self.rows.push(cells);
    }

    /// Columns its widest line takes.
    pub(crate) fn width(&self) -> usize {
        let cells: usize = (0..self.header.len()).map(|column| self.column_width(column)).sum();
        cells + GAP * self.header.len().saturating_sub(1)
    }

    fn column_width(&self, column: usize) -> usize {
        let heading = self.header.get(column).map_or(0, |heading| heading.len());
        self.rows.iter().filter_map(|row| row.get(column)).map(Text::width).fold(heading, usize::max)
    }

    /// The heading, then the rows, one line each.
    pub(super) fn lines(&self, screen: Screen) -> Vec<String> {
        let room = screen.width.and_then(|width| {
            let column = self.flexible?;
            let rest = self.width().saturating_sub(self.column_width(column));
            Some((column, width.saturating_sub(rest).max(FLEXIBLE_WIDTH_MIN)))
        });
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(
            self.header.iter().map(|text| Cell::new_owned(Text::styled(Style::Dim, text).marked())),
        );
        for row in &self.rows {
            table.add_row(row.iter().enumerate().map(|(index, cell)| match room {
                Some((column, width)) if column == index => Cell::new_owned(cell.cut(width).marked()),
                _ => Cell::new_owned(cell.marked()),
            }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, u16::try_from(GAP).unwrap_or(u16::MAX)));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Page {
    /// All of `table`.
    pub(crate) fn table(&mut self, table: &Table, screen: Screen) {
        self.marked_lines(table.lines(screen));
    }

    /// All of `table`, with lines of text under each row.
    pub(crate) fn table_with_notes(&mut self, table: &Table, screen: Screen, notes: &[Vec<Text>]) {
        let mut lines = table.lines(screen).into_iter();
        self.marked_lines(lines.next());
        for (index, line) in lines.enumerate() {
            self.marked_lines([line]);
            for note in notes.get(index).into_iter().flatten() {
                self.line(note);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["NAME", "STATE", "MESSAGE"]).flexible("MESSAGE");
        table.row([Text::plain("a"), Text::styled(Style::Good, "Synced"), Text::new()]);
        table.row([
            Text::plain("longer-name"),
            Text::styled(Style::Bad, "OutOfSync"),
            Text::plain("a message that does not fit any narrow screen"),
        ]);
        table
    }

    fn shown(table: &Table, width: Option<usize>, colour: bool) -> String {
        let mut page = Page::new();
        page.table(table, Screen::test(width));
        page.finish(colour)
    }

    #[test]
    fn columns_align_and_the_message_gives_way() {
        assert_eq!(
            shown(&sample(), Some(50), false),
            "\
NAME         STATE      MESSAGE
a            Synced
longer-name  OutOfSync  a message that does not f…
"
        );
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert!(shown(&sample(), None, false).contains("any narrow screen\n"));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = shown(&sample(), Some(50), true);
        assert!(coloured.contains("a            \x1b[32mSynced\x1b[0m\n"), "{coloured:?}");
        assert!(coloured.contains("longer-name  \x1b[31mOutOfSync\x1b[0m  a message"), "{coloured:?}");
    }
}
