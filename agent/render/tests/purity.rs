//! Do rendering and reading YAML keep to their bytes?

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Ways out of a pure function.
const FORBIDDEN: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::time",
    "std::env",
    "std::process",
    "std::io",
    "std::thread",
    "println!",
    "tokio",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of sources can be read") {
        let path = entry.expect("the folder of sources can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_sources_reach_for_nothing_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("../../proto/yaml/src"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("sources are text");
        for forbidden in FORBIDDEN {
            assert!(!text.contains(forbidden), "{} uses {forbidden}", file.display());
        }
    }
}
