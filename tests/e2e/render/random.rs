//! Is a repository that nobody wrote rendered as kubectl does?
//!
//! `MUSTER_RENDER_RANDOM` says how many (200), `MUSTER_RENDER_SEED` with which number they begin (1): the
//! same seed is the same repository. What differs is left in the target folder to look at. kubectl takes
//! most of its time to start; thousands are built in one process where `MUSTER_KUSTOMIZE` names the
//! program of `tests/kubernetes/kustomize`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{generate, kubectl, outcome};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn write(directory: &Path, files: &outcome::Files) {
    for (path, bytes) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }
}

/// What Kustomize makes of each, and whom we ask depends on how many there are.
fn theirs(places: &[(PathBuf, &'static str)]) -> Option<Vec<outcome::Outcome>> {
    if let Some(reference) = kubectl::reference() {
        return Some(kubectl::kustomize_all(&reference, places));
    }
    let program = kubectl::program()?;
    Some(kubectl::side_by_side(places, |(place, entry)| kubectl::kustomize(&program, place, entry)))
}

#[test]
fn random_repositories_are_rendered_as_kubectl_does() {
    let first = number("MUSTER_RENDER_SEED", 1);
    let seeds: Vec<u64> = (first..first + number("MUSTER_RENDER_RANDOM", 200)).collect();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("random-{}", std::process::id()));
    let place = |seed: &u64| directory.join(seed.to_string());
    let places: Vec<_> = seeds
        .iter()
        .map(|seed| {
            let files = generate::repository(*seed);
            write(&place(seed), &files);
            (place(seed), outcome::entry(&files))
        })
        .collect();
    let Some(theirs) = theirs(&places) else { return };
    let differences =
        kubectl::side_by_side(&seeds.iter().zip(&theirs).collect::<Vec<_>>(), |(seed, theirs)| {
            let files = generate::repository(**seed);
            let ours = outcome::ours(&files, outcome::entry(&files));
            let difference = outcome::difference(&ours, theirs, "");
            if difference.is_none() {
                fs::remove_dir_all(place(seed)).expect("the folder can be removed");
            }
            difference.map(|difference| format!("seed {seed}: {difference}"))
        });
    let rendered = theirs.iter().filter(|theirs| matches!(theirs, outcome::Outcome::Objects(_))).count();
    assert!(
        rendered * 3 > theirs.len(),
        "only {rendered} of {} repositories could be rendered",
        theirs.len()
    );
    let wrong: Vec<_> = differences.into_iter().flatten().collect();
    let place = directory.display();
    assert!(wrong.is_empty(), "{} of {} (see {place}):\n{}", wrong.len(), seeds.len(), wrong.join("\n"));
    let _ = fs::remove_dir(&directory);
}
