//! Each file in `cases` is a list of objects with the health they have. To add a case, add it there and run
//! `MUSTER_RECORD=1 cargo test -p muster-agent --bin muster-agent health`, which needs Go, to record what
//! kstatus says of it; where that differs, the case says why.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::*;
use crate::object::Gvk;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    object: Value,
    health: String,
    #[serde(default)]
    message: String,
    /// Never late: see [`Health::open_ended`].
    #[serde(default)]
    open_ended: bool,
    /// Why kstatus says something else.
    #[serde(default)]
    differs: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/health/cases")
}

/// File and name of each case, in the order of the files.
fn cases() -> Vec<(String, Case)> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let cases: Vec<Case> = serde_yaml::from_str(&fs::read_to_string(file).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.into_iter().map(move |case| (name.clone(), case))
    };
    files.iter().flat_map(read).collect()
}

fn word(health: &Health) -> &'static str {
    match health.status {
        HealthStatus::Unspecified => "Unknown",
        HealthStatus::Healthy => "Healthy",
        HealthStatus::Progressing => "Progressing",
        HealthStatus::Degraded => "Degraded",
        HealthStatus::Suspended => "Suspended",
        HealthStatus::Missing => "Missing",
    }
}

fn judged(case: &Case) -> Health {
    let gvk = Gvk::of(text(&case.object, &["apiVersion"]), text(&case.object, &["kind"]));
    of(&gvk.group_kind, &case.object)
}

#[test]
fn every_case_has_the_health_it_says() {
    let cases = cases();
    assert!(cases.len() >= 100, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for (file, case) in cases {
        let health = judged(&case);
        let found = (word(&health), health.message.as_str(), health.open_ended);
        if found != (case.health.as_str(), case.message.as_str(), case.open_ended) {
            wrong.push(format!("{file}: {}: {found:?}", case.case));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_with_a_rule_has_a_case() {
    let cases = cases();
    for (group, kind, _) in RULES {
        let has = |case: &Case| {
            let found = Gvk::of(text(&case.object, &["apiVersion"]), text(&case.object, &["kind"]));
            found.group_kind.is(group, kind)
        };
        assert!(cases.iter().any(|(_, case)| has(case)), "{kind}.{group} has no case");
    }
}

#[test]
fn kstatus_says_the_same_but_where_a_case_says_why_not() {
    if std::env::var_os("MUSTER_RECORD").is_some() {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kubernetes/kstatus");
        let status = Command::new("go").args(["run", "."]).arg(folder()).current_dir(program).status();
        assert!(status.unwrap().success(), "kstatus could not be run");
    }
    let recorded = fs::read_to_string(folder().join("kstatus.txt")).unwrap();
    let recorded: BTreeMap<_, _> = recorded.lines().filter_map(|line| line.rsplit_once(": ")).collect();
    let mut wrong = Vec::new();
    for (file, case) in cases() {
        let name = format!("{file}: {}", case.case);
        let Some(kstatus) = recorded.get(name.as_str()) else {
            wrong.push(format!("{name}: not recorded"));
            continue;
        };
        let same = match word(&judged(&case)) {
            "Healthy" => *kstatus == "Current",
            "Progressing" => matches!(*kstatus, "InProgress" | "Terminating"),
            "Degraded" => *kstatus == "Failed",
            _ => false,
        };
        if same != case.differs.is_empty() {
            wrong.push(format!("{name}: kstatus says {kstatus}, `differs` says {:?}", case.differs));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_worst_status_is_the_most_severe() {
    use HealthStatus::{Degraded, Healthy, Missing, Progressing, Suspended, Unspecified};
    let order = [Healthy, Suspended, Progressing, Unspecified, Missing, Degraded];
    assert!(order.windows(2).all(|pair| severity(pair[0]) < severity(pair[1])));
}
