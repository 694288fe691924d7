//! What does a person read who made this mistake?
//!
//! Each folder in tests/errors is a repository with mistakes, and `expected.txt` in it is what is
//! said about them. To add a case, add a folder with files and run
//! `MUSTER_RECORD=1 cargo test -p muster-spec --test errors`, then read what it wrote.

use std::{fs, path::Path};

use muster_spec::Catalog;

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.file_name() != "expected.txt")
        .map(|entry| {
            let name = entry.file_name().into_string().expect("names are text");
            (name, fs::read(entry.path()).expect("the file can be read"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn mistakes_are_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(root).expect("the folder of cases is there") {
        let folder = entry.expect("the folder can be read").path();
        let files = files(&folder);
        let catalog = Catalog::load(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        let mut said = String::new();
        for error in &catalog.errors {
            let document = error
                .document
                .as_ref()
                .map(|(kind, name)| format!("{kind} {name}"))
                .unwrap_or("?".to_owned());
            said.push_str(&format!("{error}\n  [{document}]\n"));
        }
        let usable: Vec<String> = catalog
            .clusters
            .keys()
            .map(|name| format!("Cluster {name}"))
            .chain(catalog.apps.keys().map(|name| format!("App {name}")))
            .chain(catalog.fleet.iter().map(|fleet| format!("Fleet {}", fleet.value.metadata.name)))
            .chain(catalog.pins.values().map(|pin| format!("WavePin {}", pin.value.metadata.name)))
            .collect();
        said.push_str(&format!("usable: {}\n", usable.join(", ")));
        let expected = folder.join("expected.txt");
        if std::env::var_os("MUSTER_RECORD").is_some() {
            fs::write(&expected, &said).expect("the expectation can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}--- said\n{said}", folder.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} cases were found");
}
