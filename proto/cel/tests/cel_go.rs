//! Does each expression give what cel-go, the CEL of the API server, gives for it?
//!
//! `cases.yaml` has the expressions and what is expected; `cel-go.txt` what cel-go gives, recorded by
//! `MUSTER_RECORD=1 cargo test -p muster-cel --test cel_go`, which needs Go. `DIFFERENCES` below are all there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_cel::Program;
use serde::Deserialize;
use serde_json::Value;

/// Expressions that cel-go treats otherwise, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("b'a' == b'a'", "there are no bytes in JSON"),
    ("duration('1s') < duration('2s')", "without a clock, durations are of no use"),
    ("self.spec.big == 9007199254740992.0", "large whole numbers are compared as they are, not as doubles"),
    ("{'a': 1, 'a': 2}.a == 1", "cel-spec calls a key given twice an error"),
];

#[derive(Deserialize)]
struct Group {
    object: Value,
    cases: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("the file is there")
}

/// Each expression with its object and the word expected.
fn cases() -> Vec<(String, Value, String)> {
    let groups: Vec<Group> =
        serde_yaml::from_str(&read("cases.yaml")).expect("the cases are groups of an object and lines");
    let mut cases = Vec::new();
    for group in groups {
        for line in group.cases.lines().filter(|line| !line.starts_with('#')) {
            let (expected, expression) = line.split_once(' ').unwrap_or((line, ""));
            cases.push((expression.to_owned(), group.object.clone(), expected.to_owned()));
        }
    }
    cases
}

fn word(expression: &str, object: &Value) -> String {
    match Program::compile(expression).map(|program| program.is_true(object)) {
        Ok(Ok(bool)) => bool.to_string(),
        Ok(Err(_)) => "error".to_owned(),
        Err(_) => "unreadable".to_owned(),
    }
}

#[test]
fn every_expression_gives_what_is_expected() {
    let cases = cases();
    assert!(cases.len() > 180, "only {} expressions were found", cases.len());
    let mut wrong = Vec::new();
    for (expression, object, expected) in cases {
        let found = word(&expression, &object);
        if found != expected {
            wrong.push(format!("{expression}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cel_go_gives_the_same() {
    if std::env::var_os("MUSTER_RECORD").is_some() {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/kubernetes/cel");
        let status = Command::new("go").args(["run", "."]).arg(folder()).current_dir(program).status();
        assert!(status.unwrap().success(), "cel-go could not be run");
    }
    let recorded = read("cel-go.txt");
    let recorded: Vec<_> = recorded.lines().collect();
    let cases = cases();
    assert_eq!(recorded.len(), cases.len(), "record anew");
    let mut wrong = Vec::new();
    for ((expression, object, _), line) in cases.iter().zip(recorded) {
        let (theirs, of) = line.split_once(' ').unwrap_or((line, ""));
        assert_eq!(of, expression, "record anew");
        let ours = word(expression, object);
        // Whether a mistake is found when reading or when running is no difference for its author.
        let fails = |word: &str| matches!(word, "error" | "unreadable");
        let same = ours == theirs || (fails(&ours) && fails(theirs));
        let known = DIFFERENCES.iter().any(|(known, _)| known == expression);
        if same == known {
            wrong.push(format!("{expression}: {ours}, cel-go says {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
