//! Are the examples in docs/documents.md right, and complete?

use std::{collections::BTreeSet, fs};

use muster_spec::{Catalog, Document, Kind, parse_file};
use serde_json::Value;

fn examples() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/documents.md");
    let text = fs::read_to_string(path).expect("the reference is there");
    text.split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_example_is_read_without_errors() {
    let mut kinds = BTreeSet::new();
    for example in examples() {
        let parsed = parse_file("docs/documents.md", example.as_bytes());
        assert_eq!(parsed.errors, [], "{example}");
        kinds.extend(parsed.documents.iter().map(|document| document.value.kind()));
    }
    assert_eq!(kinds, BTreeSet::from(Kind::ALL));
}

/// Every field the schema knows is in an example, so that nothing is left out of the reference.
#[test]
fn every_field_is_in_an_example() {
    let mut missing = Vec::new();
    for (kind, schema) in muster_spec::schemas() {
        let example = examples().concat();
        let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, definition) in
            definitions.iter().map(|(name, value)| (name.as_str(), value)).chain([(kind.as_str(), &schema)])
        {
            for field in definition
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(field, _)| field)
            {
                if !examples_or_tables_have(&example, field) {
                    missing.push(format!("{name}.{field}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

fn examples_or_tables_have(example: &str, field: &str) -> bool {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/documents.md"))
        .unwrap_or_default();
    example.contains(&format!("{field}:")) || text.contains(&format!("`{field}`"))
}

#[test]
fn the_examples_make_a_catalog() {
    let examples = examples();
    let files = examples.iter().enumerate().map(|(number, text)| (format!("{number}.yaml"), text));
    let files: Vec<(String, &String)> = files.collect();
    let mut catalog = Catalog::load(files.iter().map(|(file, text)| (file.as_str(), text.as_bytes())));
    // The example's `database` is not in the examples, which is the one thing wrong with them.
    assert_eq!(catalog.errors.len(), 1, "{:?}", catalog.errors);
    assert!(catalog.errors[0].to_string().contains("there is no app `database`"), "{}", catalog.errors[0]);
    let database = "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: database}\nspec: {clusters: {}, source: {path: db}}\n";
    let with_database = files
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_bytes()))
        .chain([("db.yaml", database.as_bytes())]);
    catalog = Catalog::load(with_database);
    assert_eq!(catalog.errors, []);
    let cluster = &catalog.clusters.values().next().expect("a cluster").value;
    let fleet = &catalog.fleet.as_ref().expect("a fleet").value;
    assert_eq!(fleet.wave_of(cluster).map(|wave| wave.name.as_str()), Some("prod-canary"));
    let apps = catalog.apps_for(cluster);
    let names: Vec<&str> = apps.iter().map(|app| app.value.name().as_str()).collect();
    assert_eq!(names, ["database", "web"]);
    assert_eq!(apps[1].value.source_path(cluster).as_deref(), Ok("apps/web/eu-west"));
    assert_eq!(apps[1].value.track().as_str(), "shop");
}

#[test]
fn examples_survive_being_written_and_read() {
    for example in examples() {
        let document = parse_file("a.yaml", example.as_bytes()).documents.remove(0).value;
        let written = document.to_yaml().expect("documents can be written");
        let again: Vec<Document> = parse_file("b.yaml", written.as_bytes())
            .documents
            .into_iter()
            .map(|located| located.value)
            .collect();
        assert_eq!(again, [document], "{written}");
    }
}
