//! Tables of what was measured, beside what was aimed at.

use std::fmt::Display;

/// Prints rows as they come, and remembers which aims were missed.
#[derive(Default)]
pub(super) struct Report {
    met: usize,
    missed: Vec<String>,
}

impl Report {
    /// Begins a table.
    pub(super) fn table(&self, title: impl Display) {
        println!("\n| {title} | measured | aim | |\n|---|---|---|---|");
    }

    /// A row without an aim.
    pub(super) fn note(&self, what: impl Display, measured: impl Display) {
        println!("| {what} | {measured} | | |");
    }

    /// A row whose figure should not be more than `aim`.
    pub(super) fn at_most(&mut self, what: impl Display, measured: f64, aim: f64, unit: &str) {
        self.row(what, measured, ("at most", aim), unit, measured <= aim);
    }

    /// A row whose figure should not be less than `aim`.
    pub(super) fn at_least(&mut self, what: impl Display, measured: f64, aim: f64, unit: &str) {
        self.row(what, measured, ("at least", aim), unit, measured >= aim);
    }

    /// A row that should say yes.
    pub(super) fn yes(&mut self, what: impl Display, is_so: bool) {
        self.judge(&what, is_so);
        println!("| {what} | {} | yes | {} |", if is_so { "yes" } else { "no" }, verdict(is_so));
    }

    /// A part that could not be measured.
    pub(super) fn failed(&mut self, what: impl Display, why: impl Display) {
        self.judge(&what, false);
        println!("\n{what}: not measured, {why}");
    }

    /// How many aims were met, and which were not.
    pub(super) fn end(self) {
        println!("\n{} aims met, {} missed.", self.met, self.missed.len());
        for missed in self.missed {
            println!("- missed: {missed}");
        }
    }

    fn row(&mut self, what: impl Display, measured: f64, aim: (&str, f64), unit: &str, is_met: bool) {
        let (word, aim) = aim;
        self.judge(&what, is_met);
        println!(
            "| {what} | {} {unit} | {word} {} {unit} | {} |",
            short(measured),
            short(aim),
            verdict(is_met)
        );
    }

    fn judge(&mut self, what: &impl Display, is_met: bool) {
        if is_met {
            self.met += 1;
        } else {
            self.missed.push(what.to_string());
        }
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

/// Three digits, or all before the point.
fn short(number: f64) -> String {
    let decimals = match number.abs() {
        size if size == size.trunc() || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (number, text) in [(0.0, "0"), (0.333, "0.33"), (1.0, "1"), (12.345, "12.3"), (1234.5, "1234")] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn what_was_missed_is_remembered() {
        let mut report = Report::default();
        report.at_most("memory", 31.0, 32.0, "MiB");
        report.at_least("speed", 80.0, 85.0, "%");
        report.yes("idle", true);
        report.failed("all", "no cluster");
        assert_eq!((report.met, report.missed), (2, vec!["speed".to_owned(), "all".to_owned()]));
    }
}
