//! Are the small parts right? Whole kustomizations are compared with kubectl in `tests/render`.

use serde_json::json;

use super::{
    hash,
    identity::Gvk,
    lookup::dotted,
    specs::{FieldSpec, Specs, merge_one},
    tree,
    visit::split_path,
};

#[test]
fn suffixes_are_those_of_kubectl() {
    // Recorded from kubectl 1.32.
    let config_map = |data| json!({"kind": "ConfigMap", "metadata": {"name": "any"}, "data": data});
    assert_eq!(hash::suffix(&config_map(json!({"a": "b"}))), "4h2mbtbbt6");
    let mut odd = config_map(json!({"f.txt": "<&>\u{2028}\u{e9}\t\"\\"}));
    let plain = hash::suffix(&odd);
    odd["metadata"]["name"] = json!("other");
    assert_eq!(hash::suffix(&odd), plain, "the name does not count");
    odd["binaryData"] = json!({"k": "AA=="});
    assert_ne!(hash::suffix(&odd), plain);
}

#[test]
fn paths_are_split_as_kustomize_splits_them() {
    let cases: [(&str, &[&str]); 6] = [
        ("a.b", &["a", "b"]),
        ("a.[name=x.y].c", &["a", "[name=x.y]", "c"]),
        ("metadata.annotations.[a.b/c]", &["metadata", "annotations", "a.b/c"]),
        (r"metadata.annotations.a\.b/c", &["metadata", "annotations", "a.b/c"]),
        ("a.*.0", &["a", "*", "0"]),
        (".a", &["a"]),
    ];
    for (path, expected) in cases {
        assert_eq!(dotted(path), expected, "{path}");
    }
    assert_eq!(split_path(r"metadata/annotations/a.b\/c", '/'), ["metadata", "annotations", "a.b/c"]);
}

#[test]
fn paths_stay_in_the_repository() {
    assert_eq!(tree::resolve("a/b", "../c/./d/"), Ok("a/c/d".to_owned()));
    assert_eq!(tree::resolve("a", ".."), Ok(String::new()));
    assert!(tree::resolve("a", "../..").is_err_and(|error| error.contains("leaves the repository")));
    assert!(tree::resolve("a", "/etc/passwd").is_err_and(|error| error.contains("absolute")));
    assert!(tree::is_below("a/b", "a") && tree::is_below("a", "") && !tree::is_below("ab", "a"));
}

#[test]
fn every_line_of_the_tables_is_a_field() {
    let specs = Specs::built_in();
    assert_eq!(specs.name_references.len(), 16);
    assert_eq!(specs.vars.len(), 72);
    let lists = [
        &specs.name_prefix,
        &specs.namespace,
        &specs.common_labels,
        &specs.template_labels,
        &specs.common_annotations,
        &specs.vars,
        &specs.images,
        &specs.replicas,
    ];
    let referrers = specs.name_references.iter().map(|reference| &reference.referrers);
    for spec in lists.into_iter().chain(referrers).flatten() {
        assert!(!spec.path.as_str().is_empty() && !spec.path.as_str().contains(['=', ' ']), "{spec:?}");
    }
    for reference in &specs.name_references {
        assert!(!reference.target.kind.is_empty() && !reference.referrers.is_empty(), "{reference:?}");
    }
}

#[test]
fn a_spec_for_all_kinds_is_lost_behind_one_for_some() {
    let spec = |kind: &str, create| FieldSpec {
        gvk: Gvk { kind: kind.to_owned(), ..Gvk::default() },
        path: "a/b".into(),
        create,
    };
    let mut specs = vec![spec("Foo", false)];
    merge_one(&mut specs, &spec("", false), "labels").expect("there is no conflict");
    assert_eq!(specs.len(), 1);
    merge_one(&mut specs, &spec("Bar", true), "labels").expect("another kind");
    assert_eq!(specs.len(), 2);
    let said = merge_one(&mut specs, &spec("Bar", false), "labels").expect_err("one makes, one does not");
    assert!(said.contains("conflicting fieldspecs"), "{said}");
}
