//! What does a kustomization build, and what is said where it cannot be built?
//!
//! Equality with kubectl is measured on the folders of `tests/render`; here is what kubectl has no
//! answer to (places in errors, limits, what is refused) and what a reader should see at a glance.

use std::collections::BTreeMap;

use muster_render::{Limits, Object, render};

fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn built(path: &str, tree: &[(&str, &str)]) -> Vec<Object> {
    render(&files(tree), path, &Limits::default()).expect("builds")
}

fn refused(path: &str, tree: &[(&str, &str)]) -> String {
    render(&files(tree), path, &Limits::default()).expect_err("is refused").to_string()
}

/// What is said of a kustomization that stands alone.
fn refused_alone(kustomization: &str) -> String {
    refused("", &[("kustomization.yaml", kustomization), ("a.yaml", &config_map("a"))])
}

#[test]
fn an_overlay_changes_its_base_and_the_references_in_it() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {volumes: [{name: v, configMap: {name: settings}}]}\n";
    let tree = [
        (
            "base/kustomization.yaml",
            "resources: [pod.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n",
        ),
        ("base/pod.yaml", pod),
        ("prod/kustomization.yml", "resources: [../base]\nnamePrefix: prod-\nnamespace: shop\n"),
    ];
    let shown: Vec<_> =
        built("prod", &tree).iter().map(|object| format!("{object} {}", object.place())).collect();
    let expected = [
        "ConfigMap shop/prod-settings-4h2mbtbbt6 base/kustomization.yaml:2",
        "Pod shop/prod-web base/pod.yaml:1",
    ];
    assert_eq!(shown, expected);
    let pod = &built("prod", &tree)[1].value;
    assert_eq!(pod["spec"]["volumes"][0]["configMap"]["name"], "prod-settings-4h2mbtbbt6");
}

#[test]
fn errors_name_the_file_and_the_line() {
    let cases = [
        (
            "resources:\n- a.yaml\nfoo: bar\n",
            "kustomization.yaml:3:1: invalid Kustomization: unknown field \"foo\"",
        ),
        ("images:\n- {name: a, tag: b}\n", "unknown field \"images[0].tag\""),
        ("resources: [a.yaml]\nnamespace: 5\n", "kustomization.yaml:2:12"),
        ("resources: [nope.yaml]\n", "'nope.yaml': no such file: nope.yaml"),
        (
            "resources: [a.yaml]\npatches: [{patch: \"x: 1\"}]\n",
            "kustomization.yaml:2:1: patches: unable to parse",
        ),
        (
            "kind: Component\napiVersion: v1\n",
            "apiVersion for Component should be kustomize.config.k8s.io/v1alpha1",
        ),
        ("# nothing\n", "the kustomization is empty"),
        ("sortOptions: {order: up}\nresources: [a.yaml]\n", "must be one of [fifo, legacy]"),
    ];
    for (kustomization, expected) in cases {
        let said = refused_alone(kustomization);
        assert!(said.contains(expected), "{kustomization}\n{said}");
    }
    let said = refused("", &[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: [\n")]);
    assert!(said.starts_with("a.yaml:2"), "{said}");
    let two = [("kustomization.yaml", "resources: []\n"), ("Kustomization", "resources: []\n")];
    assert!(refused("", &two).contains("Found multiple kustomization files"));
}

#[test]
fn what_runs_programs_or_fetches_is_refused_with_a_way_out() {
    let cases = [
        ("resources: [\"https://example.com/a.yaml\"]\n", "copy it into the repository"),
        ("resources: [\"github.com/a/b//c?ref=v1\"]\n", "copy it into the repository"),
        ("components: [\"git@example.com:a/b.git\"]\n", "copy it into the repository"),
        ("helmCharts: [{name: a}]\n", "commit what `helm template` prints"),
        ("transformers: [\"{apiVersion: example.com/v1, kind: Sed, metadata: {name: a}}\"]\n", "is a plugin"),
        (
            "generators: [\"{apiVersion: builtin, kind: HelmChartInflationGenerator, metadata: {name: a}}\"]\n",
            "is not supported under generators",
        ),
    ];
    for (kustomization, expected) in cases {
        let said = refused_alone(kustomization);
        assert!(said.contains(expected), "{kustomization}\n{said}");
    }
}

#[test]
fn paths_do_not_leave_the_repository_and_files_not_the_kustomization() {
    let tree = |path: &str| {
        let kustomization = format!("resources: [{path}]\n");
        refused("app", &[("app/kustomization.yaml", &kustomization), ("other/a.yaml", &config_map("a"))])
    };
    assert!(tree("../../etc").contains("leaves the repository"));
    assert!(tree("/etc/passwd").contains("is absolute"));
    assert!(tree("../other/a.yaml").contains("security; file 'other/a.yaml' is not in or below 'app'"));
}

#[test]
fn bases_that_contain_one_another_are_refused() {
    let cycle =
        [("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")];
    let said = refused("a", &cycle);
    assert!(said.starts_with("b/kustomization.yaml:1:1: cycle detected"), "{said}");
    let above = [("kustomization.yaml", "resources: [a]\n"), ("a/kustomization.yaml", "resources: [..]\n")];
    assert!(refused("", &above).contains("cycle detected"));
}

#[test]
fn limits_stop_what_grows() {
    // Each level names the next one twice: thirty levels would be a billion kustomizations.
    let levels: Vec<(String, String)> = (0..30)
        .map(|level| {
            let next = format!("resources: [../{0}, ../{0}]\n", level + 1);
            (format!("{level}/kustomization.yaml"), next)
        })
        .chain([("30/kustomization.yaml".to_owned(), "resources: []\n".to_owned())])
        .collect();
    let tree: Vec<_> = levels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let some = Limits { kustomizations_max: 300, ..Limits::default() };
    let said = render(&files(&tree), "0", &some).expect_err("is refused").to_string();
    assert!(said.contains("more than 300 kustomizations"), "{said}");
    let shallow = Limits { bases_depth_max: 3, ..Limits::default() };
    let said = render(&files(&tree), "0", &shallow).expect_err("is refused").to_string();
    assert!(said.contains("deeper than 3 levels"), "{said}");
    let few = Limits { objects_max: 1, ..Limits::default() };
    let two = format!("{}---\n{}", config_map("a"), config_map("b"));
    let tree = files(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", &two)]);
    assert!(render(&tree, "", &few).expect_err("is refused").to_string().contains("more than 1 objects"));
}

#[test]
fn no_error_holds_a_secret() {
    let cases = [
        "secretGenerator: [{name: a, literals: [hunter2]}]\n",
        "secretGenerator: [{name: a, literals: [a=hunter2, a=hunter2]}]\n",
        "secretGenerator: [{name: a, literals: [1=hunter2]}]\n",
    ];
    for kustomization in cases {
        let said = refused_alone(kustomization);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn bases_can_be_loaded_one_after_another() {
    let all = files(&[
        ("apps/prod/kustomization.yaml", "resources: [../../base, a.yaml]\ncomponents: [../../extra]\n"),
        ("apps/prod/a.yaml", &config_map("a")),
        ("base/kustomization.yaml", "bases: [deep, ../other]\n"),
        ("base/deep/kustomization.yaml", "resources: []\n"),
        ("extra/kustomization.yaml", "kind: Component\nnamePrefix: x-\n"),
        (
            "other/kustomization.yaml",
            "resources: [../missing, ../shared/one, ../up, \"https://example.com/x\"]\n",
        ),
        // Read after a directory in it was, so it is not there yet.
        ("shared/one/kustomization.yaml", "resources: [a.yaml]\n"),
        ("shared/kustomization.yaml", "resources: [../alone.yaml]\n"),
        ("up/kustomization.yaml", "resources: [../shared, .., .]\n"),
        ("alone.yaml", &config_map("b")),
        ("unrelated/a.yaml", "x"),
    ]);
    let mut asked = Vec::new();
    let loaded = muster_render::gather("apps/prod/", &Limits::default(), |path| {
        asked.push(path.to_owned());
        let is_below = |file: &str| file == path || file.starts_with(&format!("{path}/"));
        let found = all.iter().filter(|(file, _)| is_below(file));
        let found: BTreeMap<_, _> = found.map(|(file, bytes)| (file.clone(), bytes.clone())).collect();
        Ok::<_, ()>((!found.is_empty()).then_some(found))
    });
    let loaded = loaded.unwrap();
    let expected =
        ["apps/prod", "base", "extra", "other", "missing", "shared/one", "up", "shared", "alone.yaml"];
    assert_eq!(asked, expected);
    assert!(!loaded.contains_key("unrelated/a.yaml"));
    assert_eq!(loaded.len(), all.len() - 1);
    let failed = muster_render::gather("a", &Limits::default(), |_| Err("disk"));
    assert_eq!(failed, Err("disk"));
}

#[test]
fn an_app_of_nothing_is_an_error() {
    let nothing =
        files(&[("app/kustomization.yaml", "resources: [a.yaml]\n"), ("app/a.yaml", "# nothing\n")]);
    let source = muster_render::Source::at("app");
    let said = muster_render::render_app(&nothing, &source, &Limits::default()).unwrap_err().to_string();
    assert!(said.starts_with("app: there is no manifest in this directory"), "{said}");
}
