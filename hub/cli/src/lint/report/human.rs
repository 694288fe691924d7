//! Findings for people, by file.

use crate::lint::Report;
use crate::lint::finding::Finding;
use crate::lint::rule::Severity;
use crate::text::{Page, Screen, Style, Text, count};

/// So many names of clusters are listed.
const NAMES_SHOWN_MAX: usize = 3;
/// How far what belongs to a finding is indented.
const INDENT: usize = 4;

/// All findings, and a line that sums them up. `shown` is put before the names of files.
pub(crate) fn human(report: &Report, shown: &str, screen: Screen) -> Page {
    let mut page = Page::new();
    let mut file = None;
    for finding in &report.findings {
        let at = &finding.mistake.at;
        if file != Some(&at.file) {
            page.heading(&format!("{shown}{}", if at.file.is_empty() { "." } else { &at.file }));
            file = Some(&at.file);
        }
        lines(finding, screen, &mut page);
    }
    page.gap();
    page.line(&summary(report));
    page
}

fn lines(finding: &Finding, screen: Screen, page: &mut Page) {
    let at = &finding.mistake.at;
    let place = match (at.line, at.column) {
        (0, _) => "-".to_owned(),
        (line, 0) => line.to_string(),
        (line, column) => format!("{line}:{column}"),
    };
    let style = if finding.severity == Severity::Error { Style::Bad } else { Style::Warn };
    let head = Text::plain("  ")
        .and(Style::Plain, format!("{place:<7} "))
        .and(style, finding.severity.word())
        .and(Style::Dim, format!("  {}", finding.mistake.rule));
    page.line(&head);
    page.wrapped(&Text::plain(sentence(&finding.mistake.message)), screen, INDENT);
    if let Some(who) = who(finding, screen) {
        page.wrapped(&Text::styled(Style::Dim, who), screen, INDENT);
    }
}

/// Messages begin in lower case, since they follow a place elsewhere.
fn sentence(message: &str) -> String {
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{message}{end}")
}

fn who(finding: &Finding, screen: Screen) -> Option<String> {
    let shown_max = if screen.wide { usize::MAX } else { NAMES_SHOWN_MAX };
    let parts: Vec<String> = [(&finding.apps, "app"), (&finding.clusters, "cluster")]
        .into_iter()
        .filter_map(|(names, noun)| super::listed(names, noun, shown_max))
        .collect();
    (!parts.is_empty()).then(|| format!("in {}", parts.join(", ")))
}

fn summary(report: &Report) -> Text {
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let looked_at = match report.clusters + report.apps {
        0 => String::new(),
        _ => format!(" in {} for {}", count(report.apps, "app"), count(report.clusters, "cluster")),
    };
    let ignored = match report.ignored {
        0 => String::new(),
        ignored => format!("; {} ignored", count(ignored, "finding")),
    };
    let end = format!("{looked_at}{ignored}.");
    if errors + warnings == 0 {
        return Text::styled(Style::Good, "Nothing found").and(Style::Plain, end);
    }
    let mut text = Text::new();
    if errors > 0 {
        text = text.and(Style::Bad, count(errors, "error"));
    }
    if errors > 0 && warnings > 0 {
        text = text.and(Style::Plain, ", ");
    }
    if warnings > 0 {
        text = text.and(Style::Warn, count(warnings, "warning"));
    }
    text.and(Style::Plain, end)
}
