//! Is YAML read as `kubectl kustomize` reads resources? Each row is a value and what kubectl 1.32
//! makes of it; where kubectl is installed the rows themselves are checked, too.

use std::{fs, path::PathBuf, process::Command};

use muster_yaml::{Limits, Reading, Written, kustomize_parts, parts};
use serde_json::{Value, json};

/// What stands behind `v: `, and the value; `None` is an error.
fn rows() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("yes", Some(json!("yes"))),
        ("On", Some(json!("On"))),
        ("n", Some(json!("n"))),
        ("true", Some(json!(true))),
        ("TRUE", Some(json!(true))),
        ("0644", Some(json!(420))),
        ("0o644", Some(json!(420))),
        ("0x1F", Some(json!(31))),
        ("0b11", Some(json!(3))),
        ("08", Some(json!(8))),
        ("1e3", Some(json!(1000))),
        ("1.0", Some(json!(1))),
        ("+1", Some(json!(1))),
        ("-0644", Some(json!(-420))),
        ("1_000", Some(json!(1000))),
        ("190:20:30", Some(json!("190:20:30"))),
        (".inf", None),
        (".nan", None),
        ("~", Some(Value::Null)),
        ("", Some(Value::Null)),
        ("2020-01-01", Some(json!("2020-01-01T00:00:00Z"))),
        ("2020-1-2T3:4:5.600+02:00", Some(json!("2020-01-02T03:04:05.6+02:00"))),
        ("2020-01-02 03:04:05", Some(json!("2020-01-02T03:04:05Z"))),
        ("2020-02-30", Some(json!("2020-02-30"))),
        ("'2020-01-01'", Some(json!("2020-01-01"))),
        ("1e400", Some(json!("1e400"))),
        ("!!str 123", Some(json!("123"))),
        ("!!binary aGk=", Some(json!("hi"))),
        ("'0644'", Some(json!("0644"))),
        ("{a: 1, a: 2}", None),
        ("{1: a}", None),
        ("{true: a}", None),
        ("{yes: a, on: b}", Some(json!({"yes": "a", "on": "b"}))),
        ("[1, 2,]", Some(json!([1, 2]))),
        ("*nowhere", None),
        ("@a", None),
        ("{a: &x {k: 1}, b: {j: 2, <<: *x, k: 3}}", Some(json!({"a": {"k": 1}, "b": {"j": 2, "k": 3}}))),
        ("{a: &x {k: 1}, b: {k: 3, <<: *x}}", Some(json!({"a": {"k": 1}, "b": {"k": 3}}))),
        ("{a: &x {k: 1}, b: {<<: [*x, {k: 2, z: 4}]}}", Some(json!({"a": {"k": 1}, "b": {"k": 1, "z": 4}}))),
    ]
}

fn document(value: &str) -> String {
    format!("apiVersion: example.dev/v1\nkind: Case\nmetadata: {{name: case}}\nv: {value}\n")
}

fn read(text: &str) -> Option<Value> {
    let limits = Limits::default();
    let part = kustomize_parts(text.as_bytes(), &limits).into_iter().next()?.ok()?;
    let node = part.read(Reading::AsKustomize, &limits).ok()??;
    Some(node.into_json()["v"].clone())
}

#[test]
fn every_value_is_what_kubectl_makes_of_it() {
    for (value, expected) in rows() {
        assert_eq!(read(&document(value)), expected, "{value}");
    }
    let big = read(&document("12345678901234567890")).expect("a number");
    assert_eq!(big.to_string(), "12345678901234567890");
}

#[test]
fn the_rows_are_what_kubectl_says() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        println!("skipped the_rows_are_what_kubectl_says: there is no kubectl");
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kustomize-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join("kustomization.yaml"), "resources: [a.yaml]\n").expect("the file can be written");
    for (value, expected) in rows() {
        fs::write(folder.join("a.yaml"), document(value)).expect("the file can be written");
        let output = Command::new("kubectl").arg("kustomize").arg(&folder).output().expect("kubectl runs");
        let limits = Limits::default();
        let said = output.status.success().then(|| {
            let part = parts(&output.stdout, &limits).into_iter().next().expect("one").expect("YAML");
            let node = part.read(Reading::AsKubectl, &limits).expect("YAML").expect("an object");
            node.into_json()["v"].clone()
        });
        assert_eq!(said, expected, "{value}");
    }
    fs::remove_dir_all(folder).expect("the folder can be removed");
}

#[test]
fn documents_end_where_kustomize_ends_them() {
    let limits = Limits::default();
    let lines = |text: &str| -> Vec<Result<usize, String>> {
        kustomize_parts(text.as_bytes(), &limits)
            .into_iter()
            .map(|part| part.map(|part| part.line).map_err(|error| error.to_string()))
            .collect()
    };
    assert_eq!(lines("a: 1\n---\nb: 1\n--- # c\nc: 1\n"), [Ok(1), Ok(3), Ok(5)]);
    assert_eq!(lines("---\na: 1\n"), [Ok(1)]);
    assert_eq!(lines("a: 1\r\n---\r\nb: 1\r\n"), [Ok(1), Ok(3)]);
    assert!(lines("a: 1\n--- b\n").last().is_some_and(|last| last.is_err()));
    assert!(kustomize_parts(b"a: \xff\n", &limits)[0].is_err());
}

#[test]
fn it_is_known_how_a_scalar_was_written() {
    let limits = Limits::default();
    let text =
        "a: 1.10\nb: '1'\nc:\nd: ~\ne: null\nf: x\ng: 0x10\nh: 5\ni: |\n  x\nj: True\nk: >\n  x\nl: {m: }\n";
    let part = kustomize_parts(text.as_bytes(), &limits).remove(0).expect("one document");
    let node = part.read(Reading::AsKustomize, &limits).expect("YAML").expect("a mapping");
    let written = |key: &str| node.get(key).expect("is there").written.clone();
    for (key, text) in [("a", "1.10"), ("d", "~"), ("g", "0x10"), ("j", "True")] {
        assert_eq!(written(key), Written::Text(text.to_owned()), "{key}");
    }
    assert_eq!([written("b"), written("i")], [Written::Quoted, Written::Quoted]);
    assert_eq!(written("c"), Written::Empty);
    assert_eq!(written("k"), Written::Folded);
    let inside = node.get("l").and_then(|node| node.get("m")).expect("is there");
    assert_eq!(inside.written, Written::EmptyInFlow);
    assert_eq!([written("e"), written("f"), written("h")], [Written::Plain, Written::Plain, Written::Plain]);
}

/// As `kubectl kustomize` prints them; see also tests/render/yaml/folded*.
#[test]
fn folded_texts_are_folded_once_more() {
    for (text, expected) in [
        ("a b\nc\n", "a b\nc\n"),
        ("a\n  b\nc", "a\n\n  b\nc"),
        ("a\n\tb\n", "a\n\n\tb\n"),
        ("\na\n b\n", "\na\n\n b\n"),
        (" a\n  b\n", " a\n  b\n"),
        ("a\n\n", "a\n\n\n"),
        ("a \n  b", "a \n  b"),
        ("", ""),
    ] {
        assert_eq!(muster_yaml::folded_by_kustomize(text), expected, "{text:?}");
    }
}
