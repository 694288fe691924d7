//! Are the schemas that are checked in those of the code?

use std::{fs, path::PathBuf};

#[test]
fn the_schemas_are_current() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut stale = Vec::new();
    for (kind, schema) in muster_spec::schemas() {
        let file = directory.join(format!("{}.json", kind.as_str().to_lowercase()));
        let text = format!("{schema:#}\n");
        let kept = fs::read_to_string(&file).unwrap_or_default();
        if std::env::var_os("MUSTER_RECORD").is_some() {
            fs::write(&file, text).expect("the schema can be written");
        } else if serde_json::from_str::<serde_json::Value>(&kept).ok().as_ref() != Some(&schema) {
            stale.push(file);
        }
    }
    assert!(
        stale.is_empty(),
        "not what the code says: {stale:?}. Run `MUSTER_RECORD=1 cargo test -p muster-spec --test schema` and commit."
    );
}
