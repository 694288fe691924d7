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

#[test]
fn random_repositories_are_rendered_as_kubectl_does() {
    let reference = kubectl::reference();
    let Some(program) = reference.clone().or_else(kubectl::program) else { return };
    let first = number("MUSTER_RENDER_SEED", 1);
    let seeds: Vec<u64> = (first..first + number("MUSTER_RENDER_RANDOM", 200)).collect();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("random-{}", std::process::id()));
    let repositories: Vec<_> = seeds.iter().map(|seed| generate::repository(*seed)).collect();
    let mut places = Vec::new();
    for (seed, files) in seeds.iter().zip(&repositories) {
        let place = directory.join(seed.to_string());
        write(&place, files);
        places.push((place, outcome::entry(files)));
    }
    let theirs = match reference {
        Some(_) => kubectl::kustomize_all(&program, &places),
        None => kubectl::side_by_side(&places, |(place, entry)| kubectl::kustomize(&program, place, entry)),
    };
    let asked: Vec<_> = repositories.iter().zip(&places).zip(&theirs).collect();
    let differences = kubectl::side_by_side(&asked, |((files, (place, entry)), theirs)| {
        let difference = outcome::difference(&outcome::ours(files, entry), theirs, "");
        if difference.is_none() {
            fs::remove_dir_all(place).expect("the folder can be removed");
        }
        difference
    });
    let rendered = theirs.iter().filter(|theirs| matches!(theirs, outcome::Outcome::Objects(_))).count();
    assert!(
        rendered * 3 > theirs.len(),
        "only {rendered} of {} repositories could be rendered",
        theirs.len()
    );
    let wrong: Vec<_> = seeds
        .iter()
        .zip(differences)
        .filter_map(|(seed, difference)| Some(format!("seed {seed}: {}", difference?)))
        .collect();
    let place = directory.display();
    assert!(wrong.is_empty(), "{} of {} (see {place}):\n{}", wrong.len(), seeds.len(), wrong.join("\n"));
    let _ = fs::remove_dir(&directory);
}
