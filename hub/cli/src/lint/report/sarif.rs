//! Findings as code hosts take them: SARIF 2.1.0 (OASIS), with what GitHub's code scanning asks for.

use serde_json::{Value, json};

use crate::lint::Report;
use crate::lint::finding::Finding;
use crate::lint::rule::{RULES, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// GitHub takes no more results of one run, and leaves out the rest by itself without a word.
const RESULTS_MAX: usize = 25_000;

/// So many names of clusters are listed.
const NAMES_SHOWN_MAX: usize = 10;

/// A report as one run of one tool. Files are named from the root of the work tree of Git.
pub(crate) fn sarif(report: &Report) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|about| {
            json!({
                "id": about.id,
                "shortDescription": {"text": about.summary},
                "help": {
                    "text": format!("{} docs/lint.md explains the rule `{}`.", about.summary, about.id),
                },
                "defaultConfiguration": {"level": about.severity.word()},
            })
        })
        .collect();
    // Errors first, so that none is left out for a warning.
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let warnings = report.findings.iter().filter(|finding| finding.severity == Severity::Warning);
    let results: Vec<Value> =
        errors.chain(warnings).take(RESULTS_MAX).map(|finding| result(finding, &report.prefix)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "muster lint", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Finding, prefix: &str) -> Value {
    let (mistake, at) = (&finding.mistake, &finding.mistake.at);
    let clusters = super::listed(&finding.clusters, "cluster", NAMES_SHOWN_MAX);
    let clusters = clusters.map(|clusters| format!(" ({clusters})")).unwrap_or_default();
    let mut region = json!({"startLine": at.line.max(1)});
    if at.column > 0 {
        region["startColumn"] = at.column.into();
    }
    json!({
        "ruleId": mistake.rule.about().id,
        "ruleIndex": mistake.rule as usize,
        "level": finding.severity.word(),
        "message": {"text": format!("{}{clusters}", mistake.message)},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&format!("{prefix}{}", at.file)), "uriBaseId": "%SRCROOT%"},
                "region": region,
            },
        }],
    })
}

/// A path as a relative reference (RFC 3986): what is not allowed in one is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::finding::{At, Mistake};
    use crate::lint::rule::Rule;

    #[test]
    fn a_result_has_what_the_standard_and_a_code_host_ask_for() {
        let at = At { file: "apps/größe #1.yaml".to_owned(), line: 0, column: 0 };
        let mistake = Mistake { at, rule: Rule::ImageTag, message: "no tag".to_owned() };
        let finding = Finding {
            mistake,
            severity: Severity::Warning,
            apps: ["web".to_owned()].into(),
            clusters: ["dev".to_owned(), "prod".to_owned()].into(),
        };
        let report = Report {
            findings: vec![finding],
            ignored: 0,
            apps: 1,
            clusters: 2,
            prefix: "deploy/fleet/".to_owned(),
        };
        let document = sarif(&report);
        assert_eq!(document["version"], "2.1.0");
        let run = &document["runs"][0];
        let result = &run["results"][0];
        assert_eq!(result["message"]["text"], "no tag (clusters dev, prod)");
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "deploy/fleet/apps/gr%C3%B6%C3%9Fe%20%231.yaml");
        assert_eq!(place["region"], json!({"startLine": 1}), "a code host shows nothing without a line");
    }
}
