//! `muster lint`: would this commit do harm?

use std::path::Path;

use crate::{
    args::{Denied, LintArguments, Output},
    command::Verdict,
    failure::Failure,
    lint::{self, Settings, report, rule::RULES, rule::Severity, schema},
    output::{Printer, json},
    repository::Repository,
};

/// Looks at the repository, and prints what was found.
pub(super) fn run(
    arguments: &LintArguments,
    output: Option<Output>,
    printer: Printer,
) -> Result<Verdict, Failure> {
    let mut settings =
        Settings { disabled: arguments.disabled.iter().copied().collect(), ..Settings::default() };
    for denied in &arguments.denied {
        match denied {
            Denied::Warnings => settings.denied.extend(RULES.iter().map(|about| about.rule)),
            Denied::Rule(rule) => settings.denied.extend([*rule]),
        }
    }
    for path in &arguments.schemas {
        schema::load(path, &mut settings.schemas)?;
    }
    let repository = Repository::open(&arguments.repository.path, arguments.repository.revision.as_deref())?;
    let report = lint::run(&repository, settings);
    let well = report.count(Severity::Error) == 0;
    match output.unwrap_or(Output::Table) {
        Output::Sarif => json(&report::sarif(&report))?,
        _ => printer.print(&report::json(&report), |screen| {
            report::human(&report, &shown(&arguments.repository.path, repository.only.is_some()), screen)
        })?,
    }
    Ok(Verdict::of(well))
}

/// What is put before the names of files, so that they can be opened from where the command runs.
fn shown(path: &Path, is_directory_alone: bool) -> String {
    let text = path.to_string_lossy();
    match text.trim_end_matches('/').trim_start_matches("./") {
        // The files of a directory by itself are named from the repository's root.
        _ if is_directory_alone => String::new(),
        "" | "." => String::new(),
        text => format!("{text}/"),
    }
}
