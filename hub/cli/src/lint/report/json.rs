//! Findings for programs. docs/lint.md promises these keys.

use serde::Serialize;

use crate::lint::Report;
use crate::lint::rule::Severity;

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'r> {
    findings: Vec<Entry<'r>>,
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct Entry<'r> {
    rule: &'static str,
    severity: &'static str,
    file: &'r str,
    line: Option<usize>,
    column: Option<usize>,
    message: &'r str,
    apps: Vec<&'r str>,
    clusters: Vec<&'r str>,
}

#[derive(Debug, Serialize)]
struct Summary {
    errors: usize,
    warnings: usize,
    ignored: usize,
    apps: usize,
    clusters: usize,
}

/// A report as a document.
pub(crate) fn json(report: &Report) -> Document<'_> {
    let known = |number: usize| (number > 0).then_some(number);
    let findings = report.findings.iter().map(|finding| {
        let (mistake, at) = (&finding.mistake, &finding.mistake.at);
        Entry {
            rule: mistake.rule.about().id,
            severity: finding.severity.word(),
            file: &at.file,
            line: known(at.line),
            column: known(at.column),
            message: &mistake.message,
            apps: finding.apps.iter().map(String::as_str).collect(),
            clusters: finding.clusters.iter().map(String::as_str).collect(),
        }
    });
    let summary = Summary {
        errors: report.count(Severity::Error),
        warnings: report.count(Severity::Warning),
        ignored: report.ignored,
        apps: report.apps,
        clusters: report.clusters,
    };
    Document { findings: findings.collect(), summary }
}
