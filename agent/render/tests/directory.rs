//! Which objects does a directory of manifests stand for, and what is said where it does not?

use std::collections::BTreeMap;

use muster_render::{Limits, Object, render};
use serde_json::json;

fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn places(path: &str, tree: &[(&str, &str)]) -> Vec<String> {
    let objects = render(&files(tree), path, &Limits::default()).expect("renders");
    objects.iter().map(|object| format!("{object} at {}", object.place())).collect()
}

fn errors(path: &str, tree: &[(&str, &str)]) -> String {
    render(&files(tree), path, &Limits::default()).expect_err("is refused").to_string()
}

fn error_of(text: &str) -> String {
    errors("", &[("a.yaml", text)])
}

#[test]
fn manifests_are_found_at_any_depth_and_other_files_are_not() {
    let [a, b, c, hidden] = ["a", "b", "c", "hidden"].map(config_map);
    let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}}"#;
    let tree = [
        ("apps/web/a.yaml", a.as_str()),
        ("apps/web/deep/er/b.yml", &b),
        ("apps/web/j.json", json),
        ("apps/web/README.md", "# {{ not: yaml"),
        ("apps/web/values.txt", "x"),
        ("apps/web/.hidden.yaml", &hidden),
        ("apps/web/.git/c.yaml", &hidden),
        ("apps/web-two/c.yaml", &c),
        ("apps/web.yaml", &c),
    ];
    let expected = [
        "ConfigMap a at apps/web/a.yaml:1",
        "ConfigMap b at apps/web/deep/er/b.yml:1",
        "ConfigMap j at apps/web/j.json:1",
    ];
    assert_eq!(places("apps/web", &tree), expected);
    assert_eq!(places("apps/web/", &tree), expected);
    assert_eq!(places("apps/web.yaml", &tree), ["ConfigMap c at apps/web.yaml:1"]);
    assert_eq!(places("", &tree[..1]), expected[..1]);
    assert_eq!(places(".", &tree[..1]), expected[..1]);
}

#[test]
fn documents_lists_and_comments_are_taken_apart() {
    let text = "# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n---\n---\n\
                apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n- apiVersion: v1\n  \
                kind: List\n  items:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: c}\n---\n\
                apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: d, namespace: x}\n---\nnull\n";
    let expected = [
        "ConfigMap a at a.yaml:3",
        "ConfigMap b at a.yaml:13",
        "ConfigMap c at a.yaml:19",
        "Deployment.apps x/d at a.yaml:26",
    ];
    assert_eq!(places("", &[("a.yaml", text)]), expected);
    assert_eq!(places("", &[("a.yaml", "apiVersion: v1\nkind: List\nitems: []\n")]), [] as [&str; 0]);
}

#[test]
fn documents_of_muster_are_left_out() {
    let text = "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(places("", &[("app.yaml", text), ("b.yaml", &config_map("b"))]), ["ConfigMap b at b.yaml:1"]);
}

#[test]
fn objects_are_as_kubectl_reads_them() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 2.0, mode: 0644, on: yes}\n";
    let objects = render(&files(&[("a.yaml", text)]), "", &Limits::default()).expect("renders");
    let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 2, "mode": 420, "true": true}});
    assert_eq!(objects, [Object { value: expected, file: "a.yaml".to_owned(), line: 1 }]);
    let object = &objects[0];
    assert_eq!((object.api_version(), object.group(), object.version()), ("apps/v1", "apps", "v1"));
    assert_eq!((object.kind(), object.name(), object.namespace()), ("Deployment", "web", Some("shop")));
}

#[test]
fn what_is_no_object_is_refused_with_its_place() {
    let cases = [
        ("a: 1\n", "a.yaml:1:1: apiVersion is missing"),
        ("{}\n", "a.yaml:1:1: an empty mapping is no manifest"),
        ("- 1\n", "a.yaml:1:1: a manifest is a mapping"),
        ("just text\n", "a.yaml:1:1: a manifest is a mapping"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "a.yaml:1:1: kind is missing"),
        ("apiVersion: 1\nkind: A\n", "a.yaml:1:13: apiVersion must be a string, found a number"),
        ("apiVersion: v1\nkind: ''\n", "a.yaml:2:7: kind is empty"),
        ("apiVersion: v1\nkind: A\n", "a.yaml:1:1: metadata.name is missing"),
        ("apiVersion: v1\nkind: A\nmetadata: a\n", "a.yaml:3:11: metadata must be a mapping, found a string"),
        ("apiVersion: v1\nkind: A\nmetadata:\n", "a.yaml:4:1: metadata must be a mapping, found null"),
        (
            "apiVersion: v1\nkind: A\nmetadata: {name: 1}\n",
            "a.yaml:3:18: metadata.name must be a string, found a number; put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: [1]}\n",
            "a.yaml:3:32: metadata.namespace must be a string",
        ),
        (
            "apiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n",
            "a.yaml:3:11: metadata.generateName makes a new object at every sync",
        ),
        ("apiVersion: v1\nkind: List\n", "a.yaml:1:1: a List has items"),
        ("apiVersion: v1\nkind: List\nitems:\n- a: 1\n", "a.yaml:4:3: apiVersion is missing"),
        ("apiVersion: v1\nkind: A\nmetadata: {name: {{ x }}}\n", "a.yaml:3:19: a key is a list or a mapping"),
        ("apiVersion: v1\nkind: A\nmetadata: {name: a}\n--- x\n", "a.yaml:4:1: only a comment may follow"),
    ];
    for (text, expected) in cases {
        let said = error_of(text);
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }
}

#[test]
fn all_errors_are_said_at_once() {
    let said = errors("", &[("a.yaml", "a: 1\n---\nb: [\n"), ("b.yaml", "c: 1\n")]);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("b.yaml:1:1"), "{said}");
}

#[test]
fn an_object_that_is_there_twice_is_refused_with_both_places() {
    let deployment = |version: &str| {
        format!("apiVersion: {version}\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\n")
    };
    let tree =
        [("a.yaml", deployment("apps/v1")), ("b/c.yaml", format!("---\n{}", deployment("apps/v1beta1")))];
    let tree: Vec<(&str, &str)> = tree.iter().map(|(file, text)| (*file, text.as_str())).collect();
    assert_eq!(
        errors("", &tree),
        "b/c.yaml:2: Deployment.apps shop/web is also at a.yaml:1; remove or rename one"
    );
    let other = deployment("apps/v1").replace("shop", "other");
    assert_eq!(places("", &[tree[0], ("d.yaml", &other)]).len(), 2);
}

#[test]
fn a_kustomization_below_plain_manifests_is_refused() {
    for name in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
        let said = errors(
            "web",
            &[(&format!("web/deep/{name}"), "resources: []\n"), ("web/a.yaml", &config_map("a"))],
        );
        assert!(
            said.starts_with(&format!("web/deep/{name}: a kustomization below a directory of plain")),
            "{said}"
        );
    }
}

#[test]
fn paths_that_lead_nowhere_or_outside_are_refused() {
    let tree = [("web/a.yaml", "x: 1\n"), ("web/b.md", "x")];
    assert!(errors("webb", &tree).contains("there is no such directory"));
    assert!(errors("web/b.md", &tree).contains("not a manifest"));
    for path in ["../web", "web/../web", "/web", "./web"] {
        assert!(errors(path, &tree).contains("must be relative to the root"), "{path}");
    }
}

#[test]
fn limits_hold() {
    let text = (0..5).map(|number| config_map(&format!("c{number}"))).collect::<Vec<_>>().join("---\n");
    let tree = files(&[("a.yaml", &text), ("b.yaml", &config_map("b"))]);
    let said = |limits: Limits| render(&tree, "", &limits).expect_err("over the limit").to_string();
    let limits = Limits::default();
    assert!(said(Limits { files_max: 1, ..limits }).contains("2 manifests; at most 1"));
    assert!(said(Limits { bytes_max: 10, ..limits }).contains("at most 10 are allowed"));
    assert!(said(Limits { objects_max: 3, ..limits }).contains("more than 3 objects"));
    let yaml = muster_render::YamlLimits { documents_max: 2, ..limits.yaml };
    assert!(said(Limits { yaml, ..limits }).contains("more than 2 documents"));
}

#[test]
fn no_error_about_a_secret_quotes_its_values() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n";
    let breakages = [
        "  password: hunter2: x\n",
        "  password: \"hunter2\n",
        "  password: hunter2\n bad: hunter2\n",
        "  password: *hunter2\n",
        "  password: !!int hunter2\n",
        "  password: [hunter2\n",
        "  password: !hunter2!a b\n",
        "  password: {hunter2}}\n",
        "  password: hunter2\u{1}\n",
        "  password: !!binary hunter2%\n",
        "  ? [hunter2]\n  : x\n",
        "---\nhunter2\n",
        "---\n- hunter2\n",
        "--- hunter2\n",
        "---\napiVersion: hunter2\n",
        "---\napiVersion: v1\nkind: Secret\nmetadata: hunter2\n",
    ];
    for breakage in breakages {
        let said = error_of(&format!("{head}{breakage}"));
        assert!(!said.contains("hunter2"), "{breakage}: {said}");
    }
    let twice = format!("{head}  password: hunter2\n---\n{head}  password: hunter2\n");
    assert!(!error_of(&twice).contains("hunter2"));
}
