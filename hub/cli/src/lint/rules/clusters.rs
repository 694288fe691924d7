//! What do all apps of a cluster want together?

use std::collections::{BTreeSet, HashMap};

use muster_render::{Object, applied};

use crate::lint::finding::Mistake;
use crate::lint::locate;
use crate::lint::rule::Rule;
use crate::render::Scopes;

/// Namespaces that every cluster has.
const ALWAYS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// One app of a cluster, rendered.
#[derive(Debug, Clone, Copy)]
pub(in crate::lint) struct Wanted<'a> {
    /// Name of the app.
    pub(in crate::lint) app: &'a str,
    /// The app's own namespace.
    pub(in crate::lint) namespace: Option<&'a str>,
    /// What it renders to.
    pub(in crate::lint) objects: &'a [Object],
}

/// What tells an object from all others of a cluster: group, kind, namespace and name.
type Identity<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A mistake of an app, and the object that has it.
pub(in crate::lint) type Of<'a> = (&'a str, &'a Object, Mistake);

/// Objects that two apps of the cluster want, found at the later app.
pub(in crate::lint) fn ownership<'a>(apps: &[Wanted<'a>], scopes: &Scopes) -> Vec<Of<'a>> {
    let mut owners: HashMap<Identity<'a>, (&'a str, &'a Object)> = HashMap::new();
    let mut mistakes = Vec::new();
    for wanted in apps {
        for object in wanted.objects {
            let identity = identity(object, wanted.namespace, scopes);
            match owners.get(&identity) {
                Some((owner, first)) if *owner != wanted.app => {
                    let message = format!(
                        "{} of the app `{}` is also an object of the app `{owner}` ({}); only one may have it",
                        named(identity),
                        wanted.app,
                        first.place()
                    );
                    let mistake =
                        Mistake { at: locate::object(object), rule: Rule::DuplicateObject, message };
                    mistakes.push((wanted.app, object, mistake));
                }
                Some(_) => {}
                None => {
                    owners.insert(identity, (wanted.app, object));
                }
            }
        }
    }
    mistakes
}

/// Objects that go into a namespace which nothing in Git makes.
pub(in crate::lint) fn namespaces<'a>(apps: &[Wanted<'a>], scopes: &Scopes) -> Vec<Of<'a>> {
    let mut there: BTreeSet<&str> = ALWAYS.into();
    for wanted in apps {
        there.extend(wanted.namespace);
        let brought =
            wanted.objects.iter().filter(|object| (object.group(), object.kind()) == ("", "Namespace"));
        there.extend(brought.map(Object::name));
    }
    let mut mistakes = Vec::new();
    for wanted in apps {
        for object in wanted.objects {
            let (.., namespace, _) = identity(object, wanted.namespace, scopes);
            if namespace.is_empty() || there.contains(namespace) {
                continue;
            }
            let message = format!(
                "{object} of the app `{}` goes into the namespace `{namespace}`, which no app brings and which is no \
                 app's spec.namespace; add the Namespace, or correct the name",
                wanted.app
            );
            let mistake = Mistake { at: locate::object(object), rule: Rule::MissingNamespace, message };
            mistakes.push((wanted.app, object, mistake));
        }
    }
    mistakes
}

fn identity<'a>(object: &'a Object, app_namespace: Option<&'a str>, scopes: &Scopes) -> Identity<'a> {
    let is_namespaced = scopes.is_namespaced(object.group(), object.kind());
    let namespace = applied::namespace(&object.value, is_namespaced, app_namespace);
    (object.group(), object.kind(), namespace, object.name())
}

fn named((group, kind, namespace, name): Identity<'_>) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{kind}{dot}{group} {namespace}{slash}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, namespace: Option<&str>, name: &str) -> Object {
        let value =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        Object { value, file: format!("{name}.yaml"), line: 1 }
    }

    fn messages(mistakes: Vec<Of<'_>>) -> Vec<String> {
        mistakes.into_iter().map(|(app, _, mistake)| format!("{app}: {}", mistake.message)).collect()
    }

    #[test]
    fn an_object_of_two_apps_is_found_by_the_namespace_it_gets() {
        let (own, other) = ([object("ConfigMap", None, "a")], [object("ConfigMap", Some("shop"), "a")]);
        let first = Wanted { app: "one", namespace: Some("shop"), objects: &own };
        let second = Wanted { app: "two", namespace: None, objects: &other };
        let found = messages(ownership(&[first, second], &Scopes::default()));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("two: ConfigMap shop/a of the app `two` is also"), "{found:?}");
        assert!(found[0].contains("`one` (a.yaml:1)"), "{found:?}");
        let elsewhere = Wanted { namespace: Some("cart"), ..first };
        assert!(ownership(&[elsewhere, second], &Scopes::default()).is_empty());
    }

    #[test]
    fn a_namespace_comes_from_git_from_an_app_or_is_always_there() {
        let objects = [
            object("ConfigMap", None, "a"),
            object("ConfigMap", Some("brought"), "b"),
            object("ConfigMap", Some("kube-system"), "c"),
            object("ConfigMap", Some("typo"), "d"),
            object("Node", Some("ignored"), "e"),
        ];
        let namespaces_of = [object("Namespace", None, "brought")];
        let apps = [
            Wanted { app: "one", namespace: Some("shop"), objects: &objects },
            Wanted { app: "two", namespace: None, objects: &namespaces_of },
        ];
        let found = messages(namespaces(&apps, &Scopes::default()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("ConfigMap typo/d of the app `one` goes into the namespace `typo`"),
            "{found:?}"
        );
    }
}
