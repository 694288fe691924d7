//! What do `muster render` and `muster lint` say of each repository below tests/repositories?
//!
//! A case is a folder: a repository, and what the commands print of it (`expected-lint.txt`,
//! `expected-render.txt`). `arguments.txt` holds further arguments of `lint`. With `MUSTER_RECORD=1` the expected
//! files are written; look at them before they are committed.
#![forbid(unsafe_code)]
// All of this crate is tests, where a broken expectation ends the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories");
    let entries = fs::read_dir(root).expect("the cases can be read");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("the cases can be read").path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    assert!(cases.len() >= 6, "only {cases:?}");
    cases
}

fn muster(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("MUSTER_CONFIG")
        .env("HOME", "/nonexistent")
        .output()
        .expect("cargo has built it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything that a command says.
fn said(output: &Output) -> String {
    let (printed, remarks) = (text(&output.stdout), text(&output.stderr));
    let remarks = if remarks.is_empty() { remarks } else { format!("standard error:\n{remarks}") };
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    format!("{printed}{remarks}exit code: {code}\n")
}

fn compare(case: &Path, file: &str, found: &str) {
    let path = case.join(file);
    if std::env::var_os("MUSTER_RECORD").is_some() {
        fs::write(&path, found).expect("the expectation can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} differs; found:\n{found}\nexpected:\n{expected}", path.display());
}

#[test]
fn every_repository_is_linted_as_recorded() {
    for case in cases() {
        let more = fs::read_to_string(case.join("arguments.txt")).unwrap_or_default();
        let more: Vec<_> = more.split_whitespace().collect();
        let output = muster(&case, &[&["lint"][..], &more].concat());
        compare(&case, "expected-lint.txt", &said(&output));
        assert!(!said(&output).contains("hunter2"), "{} shows a value of a Secret", case.display());
    }
}

#[test]
fn every_repository_is_rendered_as_recorded() {
    for case in cases() {
        let output = muster(&case, &["render"]);
        compare(&case, "expected-render.txt", &said(&output));
        let printed = said(&output);
        assert!(!printed.contains("hunter2") && !printed.contains("aHVudGVyMg"), "{}", case.display());
    }
}

#[test]
fn the_formats_of_lint_say_the_same() {
    for case in cases() {
        let json = muster(&case, &["lint", "-o", "json"]);
        let sarif = muster(&case, &["lint", "-o", "sarif"]);
        assert_eq!(json.status.code(), sarif.status.code(), "{}", case.display());
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        let sarif: Value = serde_json::from_slice(&sarif.stdout).unwrap();
        assert_sarif(&sarif);
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        let findings = json["findings"].as_array().unwrap();
        let severities = |severity: &str| {
            let of = |list: &[Value], key: &str| list.iter().filter(|entry| entry[key] == severity).count();
            (of(findings, "severity"), of(results, "level"))
        };
        assert_eq!(findings.len(), results.len());
        for (severity, total) in [("error", "errors"), ("warning", "warnings")] {
            let (in_json, in_sarif) = severities(severity);
            assert_eq!(in_json, in_sarif);
            assert_eq!(json["summary"][total], in_json);
        }
    }
}

/// What the SARIF 2.1.0 schema requires of the parts that are used, and GitHub of a result.
fn assert_sarif(document: &Value) {
    assert_eq!(document["version"], "2.1.0");
    assert!(document["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    for run in document["runs"].as_array().unwrap() {
        let driver = &run["tool"]["driver"];
        assert!(!driver["name"].as_str().unwrap().is_empty());
        let rules = driver["rules"].as_array().unwrap();
        for rule in rules {
            assert!(!rule["id"].as_str().unwrap().is_empty());
            assert!(!rule["shortDescription"]["text"].as_str().unwrap().is_empty());
            assert!(["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
        }
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(!uri.starts_with('/') && !uri.contains(' '), "{uri}");
            assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
            assert!(place["region"].get("startColumn").is_none_or(|column| column.as_u64().unwrap() >= 1));
        }
    }
}

#[test]
fn rules_are_left_out_and_warnings_denied() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories");
    let objects = root.join("objects");
    let rules = |arguments: &[&str]| {
        let output = muster(&objects, &[&["lint", "-o", "json"], arguments].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = document["findings"].as_array().unwrap();
        let mut rules: Vec<_> = findings
            .iter()
            .map(|finding| format!("{} {}", text_of(&finding["severity"]), text_of(&finding["rule"])))
            .collect();
        rules.sort();
        rules.dedup();
        (output.status.code(), rules.join(", "))
    };
    let all = "error duplicate-object, warning image-tag, warning missing-namespace";
    assert_eq!(rules(&[]), (Some(1), all.to_owned()));
    let warnings = (Some(0), "warning image-tag, warning missing-namespace".to_owned());
    assert_eq!(rules(&["--disable", "duplicate-object"]), warnings);
    let denied = (Some(1), "error image-tag".to_owned());
    assert_eq!(rules(&["--disable", "duplicate-object,missing-namespace", "--deny", "warnings"]), denied);
    let one = (Some(1), "error image-tag, warning missing-namespace".to_owned());
    assert_eq!(rules(&["--disable", "duplicate-object", "--deny", "image-tag"]), one);
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn what_cannot_be_looked_at_ends_with_2() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories/whole");
    for (arguments, expected) in [
        (&["lint", "nowhere"][..], "error: nowhere cannot be read"),
        (&["lint", "--revision", "no-such-branch"], "error: there is no commit no-such-branch"),
        (&["lint", "--schema", "muster.yaml"], "error: the schema muster.yaml cannot be used"),
        (&["lint", "-o", "name"], "error: this command does not print as name"),
        (
            &["render", "--cluster", "deev"],
            "error: there is no Cluster document named deev; did you mean dev?",
        ),
        (&["render", "--app", "webb"], "error: there is no App document named webb; did you mean web?"),
        (&["render", "-o", "sarif"], "error: this command does not print as sarif"),
        (&["status", "-o", "sarif"], "error: this command does not print as sarif"),
    ] {
        let output = muster(&whole, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with(expected), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn the_example_fleet_is_clean() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/example-fleet");
    let output = muster(&example, &["lint", "--deny", "warnings"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn renderings_are_chosen_and_shown_in_four_ways() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories/whole");
    let printed = |arguments: &[&str]| text(&muster(&whole, &[&["render"], arguments].concat()).stdout);
    assert_eq!(
        printed(&["--cluster", "dev", "-o", "name"]),
        "Namespace/shop\nConfigMap/shop/dev-settings-747dfcb89d\nDeployment.apps/shop/dev-web\nNamespace/cart\n\
         Secret/cart/cart\nDeployment.apps/cart/cart\n",
        "apps by name, but what an app depends on before it"
    );
    let list: Value = serde_json::from_str(&printed(&["--app", "zones", "-o", "json"])).unwrap();
    let kinds: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| text_of(&item["kind"])).collect();
    assert_eq!(kinds, ["Namespace", "CustomResourceDefinition", "ConfigMap", "Zone"]);
    assert_eq!(list["items"][3]["metadata"].get("namespace"), None, "a Zone lives in no namespace");
    let shown = printed(&["--app", "cart", "--show-secrets"]);
    assert!(
        shown.contains("password: \"aHVudGVyMg==\"") || shown.contains("password: aHVudGVyMg=="),
        "{shown}"
    );
    assert!(printed(&["-o", "table"]).starts_with("CLUSTER  APP    OBJECT"), "{}", printed(&["-o", "table"]));
}
