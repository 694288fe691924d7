//! Columns that fit the screen, in kubectl's manner: no lines, headings in capitals.

use comfy_table::{Cell, ContentArrangement, presets};

use super::{Page, Screen, Style, Text};

/// Columns between two cells.
const GAP: usize = 2;
/// A last column that would get less room than this has its cells under their rows instead.
const LAST_WIDTH_MIN: usize = 40;
/// How far such cells are indented.
const INDENT: usize = 2;

/// Rows of cells, of which the last column may give way when the screen is narrow.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Text>>,
    last: Last,
}

/// What becomes of the last column where the screen is too narrow for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Nothing: lines get too long.
    Stays,
    /// Cells are cut; with very little room they go under their rows, and are cut there.
    IsCut,
    /// Cells go under their rows, as many lines as they need.
    IsWrapped,
}

impl Table {
    /// With these headings and no rows.
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), last: Last::Stays }
    }

    /// Cuts the cells of the last column where the screen is too narrow for all.
    #[must_use]
    pub(crate) fn cut_last(mut self) -> Self {
        self.last = Last::IsCut;
        self
    }

    /// Puts the cells of the last column under their rows where the screen is too narrow for all.
    #[must_use]
    pub(crate) fn wrap_last(mut self) -> Self {
        self.last = Last::IsWrapped;
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

    /// The heading, then the rows, with what goes under each.
    fn lines(&self, screen: Screen) -> Vec<Vec<String>> {
        let Some((width, room)) = self.shortage(screen) else {
            return self.laid_out(None).into_iter().map(|line| vec![line]).collect();
        };
        if self.last == Last::IsCut && room >= LAST_WIDTH_MIN {
            return self.laid_out(Some(room)).into_iter().map(|line| vec![line]).collect();
        }
        let mut narrow = self.clone();
        narrow.last = Last::Stays;
        narrow.header.pop();
        let under: Vec<Option<Text>> = narrow.rows.iter_mut().map(Vec::pop).collect();
        let under = under.into_iter().map(|cell| match cell {
            Some(cell) if !cell.is_empty() && self.last == Last::IsCut => {
                vec![Text::plain(" ".repeat(INDENT)).join(cell).cut(width).marked()]
            }
            Some(cell) if !cell.is_empty() => cell.wrap(width, INDENT).iter().map(Text::marked).collect(),
            _ => Vec::new(),
        });
        let lines = narrow.laid_out(None).into_iter().zip(std::iter::once(Vec::new()).chain(under));
        lines.map(|(line, under)| std::iter::once(line).chain(under).collect()).collect()
    }

    /// Width of the screen and room for the last column, if that is less than it needs and may be.
    fn shortage(&self, screen: Screen) -> Option<(usize, usize)> {
        let width = screen.width.filter(|_| self.last != Last::Stays && !screen.wide)?;
        let column = self.header.len().saturating_sub(1);
        let rest = self.width().saturating_sub(self.column_width(column));
        (self.width() > width).then_some((width, width.saturating_sub(rest)))
    }

    /// The heading, then the rows, one line each.
    fn laid_out(&self, last_width: Option<usize>) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(
            self.header.iter().map(|text| Cell::new_owned(Text::styled(Style::Dim, text).marked())),
        );
        let last = self.header.len().saturating_sub(1);
        for row in &self.rows {
            table.add_row(row.iter().enumerate().map(|(column, cell)| match last_width {
                Some(width) if column == last => Cell::new_owned(cell.cut(width).marked()),
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
        self.marked_lines(table.lines(screen).into_iter().flatten());
    }

    /// All of `table`, with lines of text under each row.
    pub(crate) fn table_with_notes(&mut self, table: &Table, screen: Screen, notes: &[Vec<Text>]) {
        let mut lines = table.lines(screen).into_iter();
        self.marked_lines(lines.next().into_iter().flatten());
        for (index, row) in lines.enumerate() {
            self.marked_lines(row);
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
        let mut table = Table::new(["NAME", "STATE", "MESSAGE"]).cut_last();
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
    fn columns_align_and_the_last_gives_way() {
        assert_eq!(
            shown(&sample(), Some(65), false),
            "\
NAME         STATE      MESSAGE
a            Synced
longer-name  OutOfSync  a message that does not fit any narrow s…
"
        );
    }

    #[test]
    fn with_little_room_the_last_column_goes_under_its_rows() {
        assert_eq!(
            shown(&sample(), Some(40), false),
            "\
NAME         STATE
a            Synced
longer-name  OutOfSync
  a message that does not fit any narro…
"
        );
        let mut whole = sample();
        whole.last = Last::IsWrapped;
        assert_eq!(
            shown(&whole, Some(36), false),
            "\
NAME         STATE
a            Synced
longer-name  OutOfSync
  a message that does not fit any
  narrow screen
"
        );
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert!(shown(&sample(), None, false).contains("any narrow screen\n"));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = shown(&sample(), None, true);
        assert!(coloured.contains("a            \x1b[32mSynced\x1b[0m\n"), "{coloured:?}");
        assert!(coloured.contains("longer-name  \x1b[31mOutOfSync\x1b[0m  a message"), "{coloured:?}");
    }
}
