//! Is every case below tests/render rendered as kubectl does?

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::kubectl;
use super::outcome::{self, Files, Outcome};

struct Case {
    /// `group/case`.
    name: String,
    directory: PathBuf,
    files: Files,
    /// What every refusal has to say, a word or more to a line.
    words: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("render")
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the corpus can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the corpus can be read").path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
}

fn cases() -> Vec<Case> {
    let root = root();
    let groups = folders(&root).into_iter();
    groups
        .flat_map(|group| folders(&group))
        .map(|directory| Case {
            name: directory.strip_prefix(&root).expect("below it").display().to_string(),
            files: outcome::read(&directory),
            words: fs::read_to_string(directory.join("cause.txt")).unwrap_or_default(),
            directory,
        })
        .collect()
}

/// The repositories of all cases.
pub(super) fn repositories() -> Vec<Files> {
    cases().into_iter().map(|case| case.files).collect()
}

/// What was recorded for a case.
fn recorded(case: &Case) -> Option<Outcome> {
    if let Ok(error) = fs::read_to_string(case.directory.join("expected-error.txt")) {
        return Some(Outcome::Refused(error));
    }
    let objects = fs::read(case.directory.join("expected.yaml")).ok()?;
    Some(Outcome::Objects(outcome::printed(&objects)))
}

fn record(case: &Case, outcome: &Outcome) {
    let (name, other, text) = match outcome {
        Outcome::Objects(objects) => {
            let documents: Vec<_> = objects.iter().map(muster_yaml::to_yaml).collect();
            ("expected.yaml", "expected-error.txt", documents.join("---\n"))
        }
        Outcome::Refused(error) => ("expected-error.txt", "expected.yaml", error.clone()),
    };
    fs::write(case.directory.join(name), text).expect("the result can be recorded");
    let _ = fs::remove_file(case.directory.join(other));
}

/// `case: reason`, one to a line.
fn known_differences() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("KNOWN-DIFFERENCES")).unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(": ").expect("a case, a colon and a reason"))
        .map(|(case, reason)| (case.to_owned(), reason.to_owned()))
        .collect()
}

#[test]
fn recorded_results_are_still_those_of_kubectl() {
    let Some(program) = kubectl::program() else { return };
    let cases = cases();
    let theirs = kubectl::side_by_side(&cases, |case| {
        kubectl::kustomize(&program, &case.directory, outcome::entry(&case.files))
    });
    let recording = std::env::var_os("MUSTER_RECORD").is_some();
    let mut wrong = Vec::new();
    for (case, theirs) in cases.iter().zip(&theirs) {
        if recording {
            record(case, theirs);
        }
        match recorded(case) {
            // The words of a refusal may hold addresses of memory.
            Some(Outcome::Refused(_)) if matches!(theirs, Outcome::Refused(_)) => {}
            Some(recorded) if recorded == *theirs => {}
            Some(_) => wrong.push(format!("{}: kubectl says something else than was recorded", case.name)),
            None => wrong.push(format!("{}: nothing is recorded", case.name)),
        }
        if let Outcome::Refused(error) = theirs
            && let Some(word) =
                case.words.lines().find(|word| !error.to_lowercase().contains(&word.to_lowercase()))
        {
            wrong.push(format!("{}: kubectl does not say `{word}` of cause.txt: {error}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} (MUSTER_RECORD=1 records anew):\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_is_rendered_as_kubectl_does() {
    let cases = cases();
    assert!(cases.len() >= 300, "only {} cases", cases.len());
    let mut known = known_differences();
    let mut wrong = Vec::new();
    for case in &cases {
        let theirs = recorded(case).unwrap_or_else(|| panic!("nothing is recorded for {}", case.name));
        let ours = outcome::ours(&case.files, outcome::entry(&case.files));
        let difference = outcome::difference(&ours, &theirs, &case.words);
        match (difference, known.remove(&case.name)) {
            (None, None) | (Some(_), Some(_)) => {}
            (Some(difference), None) => wrong.push(format!("{}: {difference}", case.name)),
            (None, Some(_)) => {
                wrong.push(format!(
                    "{}: does not differ any more; take it out of KNOWN-DIFFERENCES",
                    case.name
                ));
            }
        }
    }
    wrong.extend(known.into_keys().map(|name| format!("{name}: known to differ, but there is no such case")));
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
