use super::*;
use crate::source::{Files, Reader, SourceError};

/// A repository in memory.
struct Memory(Files);

impl Reader for Memory {
    fn read(&self, path: &str) -> Result<Files, SourceError> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.0.iter().filter(|(name, _)| name.starts_with(&prefix) || *name == path);
        let files: Files = below.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        if files.is_empty() { Err(SourceError::Missing(path.to_owned())) } else { Ok(files) }
    }

    fn manifests(&self) -> Result<Files, SourceError> {
        Ok(self.0.clone())
    }
}

fn repository(files: &[(&str, &str)]) -> Repository {
    let files: Files =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let catalog =
        muster_spec::Catalog::load(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    Repository {
        reader: Box::new(Memory(files.clone())),
        manifests: files,
        catalog,
        only: None,
        prefix: String::new(),
    }
}

const CLUSTERS: &str = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: dev}\n---\n\
                        apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: prod}\n";

fn app(name: &str, more: &str) -> String {
    format!(
        "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  clusters: {{}}\n  \
         source: {{path: {name}}}\n{more}"
    )
}

fn config(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn chosen(cluster: Option<&str>, app: Option<&str>) -> Selection {
    Selection { cluster: cluster.map(str::to_owned), app: app.map(str::to_owned) }
}

#[test]
fn apps_come_by_name_behind_what_they_depend_on() {
    let (a, b, c) = (app("a", "  dependsOn: [c]\n"), app("b", ""), app("c", ""));
    let files = [("clusters.yaml", CLUSTERS), ("a.yaml", &a), ("b.yaml", &b), ("c.yaml", &c)];
    let maps = [("a/m.yaml", config("m")), ("b/m.yaml", config("m")), ("c/m.yaml", config("m"))];
    let maps = maps.iter().map(|(path, text)| (*path, text.as_str()));
    let repository = repository(&files.into_iter().chain(maps).collect::<Vec<_>>());
    let outcome = run(&repository, &chosen(Some("dev"), None)).unwrap();
    let names: Vec<_> = outcome.apps.iter().map(|app| app.app.as_str()).collect();
    assert_eq!((names, outcome.problems), (vec!["b", "c", "a"], vec![]));
}

#[test]
fn a_problem_of_many_clusters_is_one() {
    let broken = app("broken", "");
    let repository = repository(&[("c.yaml", CLUSTERS), ("a.yaml", &broken), ("broken/m.yaml", "kind: [")]);
    let outcome = run(&repository, &Selection::default()).unwrap();
    assert_eq!(outcome.problems.len(), 1);
    let problem = &outcome.problems[0];
    assert_eq!(problem.error.file, "broken/m.yaml");
    assert_eq!(problem.app.as_deref(), Some("broken"));
    assert_eq!(problem.clusters.len(), 2);
}

#[test]
fn what_is_not_asked_for_keeps_nothing_back() {
    let (good, bad) = (app("good", ""), app("bad", "  unknown: 1\n"));
    let map = config("m");
    let repository =
        repository(&[("c.yaml", CLUSTERS), ("good.yaml", &good), ("bad.yaml", &bad), ("good/m.yaml", &map)]);
    assert_eq!(run(&repository, &chosen(None, Some("good"))).unwrap().problems, []);
    assert_eq!(run(&repository, &Selection::default()).unwrap().problems.len(), 1);
    assert_eq!(run(&repository, &chosen(None, Some("bad"))).unwrap().problems.len(), 1);
    assert!(run(&repository, &chosen(None, Some("none"))).is_err());
    assert!(run(&repository, &chosen(Some("none"), None)).is_err());
}

fn object(kind: &str, api_version: &str, namespace: Option<&str>, name: &str) -> Object {
    let mut value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = namespace.into();
    }
    Object { value, file: "a.yaml".to_owned(), line: 1 }
}

#[test]
fn objects_come_in_the_order_of_an_agent_with_their_namespaces() {
    let objects = [
        object("Deployment", "apps/v1", None, "web"),
        object("ClusterRole", "rbac.authorization.k8s.io/v1", Some("dropped"), "web"),
        object("ConfigMap", "v1", Some("own"), "b"),
        object("ConfigMap", "v1", None, "a"),
    ];
    let ready = prepare(&objects, Some("shop"), &Scopes::default()).unwrap();
    let names: Vec<_> = ready
        .iter()
        .map(|applied| {
            let metadata = &applied.value["metadata"];
            (applied.value["kind"].as_str().unwrap(), metadata["namespace"].as_str(), applied.place.as_str())
        })
        .collect();
    assert_eq!(
        names,
        [
            ("Namespace", None, ""),
            ("ClusterRole", None, "a.yaml:1"),
            ("ConfigMap", Some("own"), "a.yaml:1"),
            ("ConfigMap", Some("shop"), "a.yaml:1"),
            ("Deployment", Some("shop"), "a.yaml:1"),
        ]
    );
}

#[test]
fn waves_come_before_kinds() {
    let mut late = object("ConfigMap", "v1", None, "late");
    late.value["metadata"]["annotations"] = json!({"muster.dev/sync-wave": "1"});
    let objects = [late.clone(), object("Deployment", "apps/v1", None, "web")];
    let ready = prepare(&objects, None, &Scopes::default()).unwrap();
    let kinds: Vec<_> = ready.iter().map(|applied| applied.value["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Deployment", "ConfigMap"]);
    late.value["metadata"]["annotations"] = json!({"muster.dev/sync-wave": "last"});
    let errors = prepare(&[late], None, &Scopes::default()).unwrap_err();
    assert!(errors[0].message.contains("muster.dev/sync-wave"), "{errors:?}");
}

#[test]
fn a_namespace_that_git_brings_is_not_made_again() {
    let brought = [object("Namespace", "v1", None, "shop"), object("ConfigMap", "v1", None, "a")];
    assert_eq!(prepare(&brought, Some("shop"), &Scopes::default()).unwrap().len(), 2);
    let elsewhere = [object("ConfigMap", "v1", Some("own"), "a")];
    assert_eq!(prepare(&elsewhere, Some("shop"), &Scopes::default()).unwrap().len(), 1);
    let nowhere = [object("ConfigMap", "v1", None, "a")];
    let ready = prepare(&nowhere, None, &Scopes::default()).unwrap();
    assert_eq!(ready[0].value["metadata"]["namespace"], "default");
}

#[test]
fn each_directory_is_rendered_once_for_all_clusters() {
    let (a, map) = (app("a", ""), config("m"));
    let repository = repository(&[("c.yaml", CLUSTERS), ("a.yaml", &a), ("a/m.yaml", &map)]);
    let mut renderer = Renderer::new(&*repository.reader);
    let one = renderer.render(&Source::at("a"));
    let other = renderer.render(&Source::at("a"));
    assert!(std::rc::Rc::ptr_eq(&one, &other));
}

#[test]
fn a_comment_cannot_end_and_a_terminal_obeys_nothing() {
    let mut odd = object("ConfigMap", "v1", None, "a");
    odd.value["data"] = json!({"k": "\u{1b}[2J\u{202e}x", "\u{2066}key": "v"});
    odd.file = "a\n---\nkind: Evil\n.yaml".to_owned();
    let objects = vec![Applied { value: odd.value.clone(), place: odd.place() }];
    let app = AppObjects { cluster: String::new(), app: String::new(), is_suspended: false, objects };
    let text = yaml(&[app], false);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\u{2066}'), "{text}");
    let limits = muster_yaml::Limits::default();
    let read: Vec<_> = muster_yaml::parts(text.as_bytes(), &limits)
        .into_iter()
        .filter_map(|part| part.unwrap().read(muster_yaml::Reading::AsKubectl, &limits).unwrap())
        .map(muster_yaml::Node::into_json)
        .collect();
    assert_eq!(read, [odd.value]);
}
