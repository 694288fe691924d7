//! Is a repository that nobody wrote rendered as kubectl does?
//!
//! `MUSTER_RENDER_RANDOM` says how many (200), `MUSTER_RENDER_SEED` with which number they begin (1): the
//! same seed is the same repository. What differs is left in the target folder to look at.

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
    let Some(program) = kubectl::program() else { return };
    let first = number("MUSTER_RENDER_SEED", 1);
    let seeds: Vec<u64> = (first..first + number("MUSTER_RENDER_RANDOM", 200)).collect();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("random-{}", std::process::id()));
    let found = kubectl::side_by_side(&seeds, |seed| {
        let files = generate::repository(*seed);
        let place = directory.join(seed.to_string());
        write(&place, &files);
        let theirs = kubectl::kustomize(&program, &place, outcome::entry(&files));
        let ours = outcome::ours(&files, outcome::entry(&files));
        let difference = outcome::difference(&ours, &theirs, "");
        if difference.is_none() {
            fs::remove_dir_all(&place).expect("the folder can be removed");
        }
        (difference, matches!(theirs, outcome::Outcome::Objects(_)))
    });
    let rendered = found.iter().filter(|(_, rendered)| *rendered).count();
    assert!(rendered * 3 > found.len(), "only {rendered} of {} repositories could be rendered", found.len());
    let wrong: Vec<_> = seeds
        .iter()
        .zip(found)
        .filter_map(|(seed, (difference, _))| Some(format!("seed {seed}: {}", difference?)))
        .collect();
    let place = directory.display();
    assert!(wrong.is_empty(), "{} of {} (see {place}):\n{}", wrong.len(), seeds.len(), wrong.join("\n"));
    let _ = fs::remove_dir(&directory);
}
