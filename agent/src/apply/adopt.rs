//! May this app have an object that is there already, and what becomes of what others applied of it?
//!
//! ```text
//! metadata of the live object --judge--> Ours | From(who) | refused, and why
//!                             --migrate--> managedFields in which what others applied is ours
//! ```
//!
//! Fields that are ours and that Git does not name are removed by the apply that follows. So an adopted object
//! ends as Git says, with nothing left behind. The way is that of client-go's `csaupgrade` package.
use serde_json::{Map, Value, json};

use super::managers::{self, Share};
use crate::applyset::{self, PART_OF};
use crate::object::{items, text};
use crate::source::Conflicts;
use crate::{APP_LABEL, FIELD_MANAGER};

/// Annotation in which kubectl keeps what it applied last, from the client's side.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Most names of managers in one sentence.
const MANAGERS_MAX: usize = 3;

/// Who wants the object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// Name of the app.
    pub(super) app: &'a str,
    /// Namespace of the parents of this agent's ApplySets.
    pub(super) home: &'a str,
    pub(super) conflicts: Conflicts,
}

/// An object that may be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The app has it already.
    Ours,
    /// It is taken over; from whom, as a person would say it.
    From(String),
}

/// Decides about a live object by its metadata.
///
/// # Errors
/// A sentence that says why not, and what to do.
pub(super) fn judge(live: &Value, claim: &Claim<'_>) -> Result<Standing, String> {
    let set = text(live, &["metadata", "labels", PART_OF]);
    let holder = text(live, &["metadata", "labels", APP_LABEL]);
    if set == applyset::id(claim.app, claim.home) && is_applied_by_us(live) {
        return Ok(Standing::Ours);
    }
    // What apps of this agent want of each other's is settled before: here it is only about to be handed over.
    let elsewhere = !set.is_empty() && set != applyset::id(holder, claim.home);
    if elsewhere && claim.conflicts != Conflicts::Force {
        let whose = match holder {
            "" => String::new(),
            app => format!(" (of an app {app} that another agent has)"),
        };
        return Err(format!(
            "It belongs to another ApplySet, {set}{whose}. Remove it there, or take it over with \
             `spec.sync.conflicts: Force` or the annotation muster.dev/conflicts: Force."
        ));
    }
    let from = from(live, set, holder);
    if claim.conflicts == Conflicts::Refuse && (set.is_empty() || elsewhere) {
        return Err(format!(
            "It exists already, made by {from}, and spec.sync.conflicts is Refuse. Delete it, or let it be adopted with \
             `Known` or `Force`."
        ));
    }
    Ok(Standing::From(from))
}

/// Whether the server keeps no track of who wrote the object.
pub(super) fn is_untracked(live: &Value) -> bool {
    entries(live).is_empty()
}

fn is_applied_by_us(live: &Value) -> bool {
    entries(live).iter().any(is_our_apply)
}

fn is_our_apply(entry: &Value) -> bool {
    text(entry, &["manager"]) == FIELD_MANAGER && is_whole(entry) && text(entry, &["operation"]) == "Apply"
}

fn is_whole(entry: &Value) -> bool {
    text(entry, &["subresource"]).is_empty()
}

fn entries(live: &Value) -> &[Value] {
    items(live, &["metadata", "managedFields"])
}

fn from(live: &Value, set: &str, holder: &str) -> String {
    if !set.is_empty() {
        return if holder.is_empty() { format!("the ApplySet {set}") } else { format!("the app {holder}") };
    }
    if let Some(tool) = managers::tool_of(live) {
        return tool;
    }
    let mut names: Vec<_> = entries(live)
        .iter()
        .filter(|entry| is_whole(entry))
        .map(|entry| text(entry, &["manager"]))
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MANAGERS_MAX);
    if names.is_empty() { "an unknown manager".to_owned() } else { names.join(", ") }
}

/// The JSON patch that makes ours what deployment tools applied; none where there is nothing of theirs. It
/// fails with a conflict when the object has changed meanwhile.
pub(super) fn migrate(live: &Value) -> Option<Value> {
    let last_applied: Value =
        serde_json::from_str(text(live, &["metadata", "annotations", LAST_APPLIED])).unwrap_or_default();
    let mut ours = entries(live).iter().find(|entry| is_our_apply(entry)).cloned();
    let mut others = Vec::new();
    let mut moved = false;
    for entry in entries(live).iter().filter(|entry| !is_our_apply(entry)) {
        let fields = entry.get("fieldsV1").cloned().unwrap_or_else(|| json!({}));
        let applied = match is_whole(entry) {
            true => managers::applied_by(text(entry, &["manager"]), text(entry, &["operation"])),
            false => Share::None,
        };
        let (taken, left) = match applied {
            Share::None => (Value::Null, fields),
            Share::All => (fields, Value::Null),
            Share::LastApplied => split(&fields, &last_applied),
        };
        if !is_empty(&taken) {
            moved = true;
            let entry = ours.get_or_insert_with(|| our_entry(entry));
            entry["fieldsV1"] = union(entry["fieldsV1"].take(), taken);
        }
        if !is_empty(&left) {
            let mut entry = entry.clone();
            entry["fieldsV1"] = left;
            others.push(entry);
        }
    }
    others.extend(ours);
    moved.then(|| {
        json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": others},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": text(live, &["metadata", "resourceVersion"])},
        ])
    })
}

fn our_entry(theirs: &Value) -> Value {
    let mut entry = theirs.clone();
    entry["manager"] = json!(FIELD_MANAGER);
    entry["operation"] = json!("Apply");
    entry["fieldsV1"] = json!({});
    entry
}

fn is_empty(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

/// The fields of both sets.
fn union(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, fields) in other {
                let before = one.remove(&name).unwrap_or_else(|| json!({}));
                one.insert(name, union(before, fields));
            }
            Value::Object(one)
        }
        (Value::Null, fields) | (fields, _) => fields,
    }
}

/// Splits a set into the fields that a configuration names and the rest.
fn split(fields: &Value, configuration: &Value) -> (Value, Value) {
    let Some(children) = fields.as_object().filter(|children| !children.is_empty()) else {
        return (fields.clone(), Value::Null);
    };
    let (mut named, mut rest) = (Map::new(), Map::new());
    for (element, child) in children {
        match crate::drift::step(configuration, element) {
            _ if element == "." => drop(named.insert(element.clone(), child.clone())),
            // kubectl's own annotation is no part of what it names, and goes with it.
            _ if element.strip_prefix("f:") == Some(LAST_APPLIED) => {
                named.insert(element.clone(), child.clone());
            }
            Some(below) if !below.is_null() => {
                let leaf = is_empty(child);
                let (taken, left) = split(child, below);
                if leaf || !is_empty(&taken) {
                    named.insert(element.clone(), taken);
                }
                if !leaf && !is_empty(&left) {
                    rest.insert(element.clone(), left);
                }
            }
            _ => drop(rest.insert(element.clone(), child.clone())),
        }
    }
    (Value::Object(named), Value::Object(rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const HOME: &str = "muster-system";

    fn claim(conflicts: Conflicts) -> Claim<'static> {
        Claim { app: "web", home: HOME, conflicts }
    }

    fn live(labels: &Value, managers: &[(&str, &str)]) -> Value {
        let entry = |(manager, operation): &(&str, &str)| json!({"manager": manager, "operation": operation, "fieldsV1": {}});
        let entries: Vec<_> = managers.iter().map(entry).collect();
        json!({"metadata": {"labels": labels, "managedFields": entries}})
    }

    #[test]
    fn whose_an_object_is_decides_whether_it_may_be_had() {
        let set = |app: &str, home: &str| json!({APP_LABEL: app, PART_OF: applyset::id(app, home)});
        let ours: &[(&str, &str)] = &[(FIELD_MANAGER, "Apply")];
        let theirs: &[(&str, &str)] = &[("kubectl-client-side-apply", "Update"), ("kubelet", "Update")];
        let named = "kubectl-client-side-apply, kubelet";
        let cases = [
            ("ours", live(&set("web", HOME), ours), [Ok(None), Ok(None), Ok(None)]),
            (
                "nobody's set",
                live(&json!({}), theirs),
                [Ok(Some(named)), Ok(Some(named)), Err("exists already, made by kubectl-client-side-apply")],
            ),
            (
                "handed over by another app of this agent",
                live(&set("old", HOME), ours),
                [Ok(Some("the app old")), Ok(Some("the app old")), Ok(Some("the app old"))],
            ),
            (
                "another agent's",
                live(&set("web", "elsewhere"), ours),
                [Err("another ApplySet"), Ok(Some("the app web")), Err("another ApplySet")],
            ),
            (
                "kubectl's set",
                live(&json!({PART_OF: "applyset-x-v1"}), theirs),
                [Err("another ApplySet"), Ok(Some("the ApplySet applyset-x-v1")), Err("another ApplySet")],
            ),
            (
                "our label, copied by a controller",
                live(&set("web", HOME), &[("controller", "Update")]),
                [Ok(Some("the app web")), Ok(Some("the app web")), Ok(Some("the app web"))],
            ),
            ("Helm's", live(&json!({}), theirs), [Ok(Some(named)), Ok(Some(named)), Err("made by")]),
        ];
        for (name, live, expected) in cases {
            for (conflicts, expected) in
                [Conflicts::Known, Conflicts::Force, Conflicts::Refuse].into_iter().zip(expected)
            {
                let found = judge(&live, &claim(conflicts));
                match (&found, expected) {
                    (Ok(Standing::Ours), Ok(None)) => {}
                    (Ok(Standing::From(who)), Ok(Some(expected))) => assert_eq!(who, expected, "{name}"),
                    (Err(error), Err(part)) => assert!(error.contains(part), "{name}: {error}"),
                    _ => panic!("{name}, {conflicts:?}: {found:?}"),
                }
            }
        }
    }

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn migrated(entries: &[Value], last_applied: Option<Value>) -> Option<Vec<Value>> {
        let mut live = json!({"metadata": {"resourceVersion": "7", "managedFields": entries}});
        if let Some(last_applied) = last_applied {
            live["metadata"]["annotations"] = json!({LAST_APPLIED: last_applied.to_string()});
        }
        let patch = migrate(&live)?;
        assert_eq!(patch[1], json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}));
        patch[0]["value"].as_array().cloned()
    }

    #[test]
    fn what_was_applied_from_the_clients_side_becomes_ours() {
        let fields = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
        let status = json!({"manager": "kubectl", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}});
        let before = vec![
            entry("kubectl-client-side-apply", "Update", &fields),
            entry("kubectl-edit", "Update", &json!({"f:data": {"f:c": {}}})),
            status.clone(),
        ];
        let after = migrated(&before, None).unwrap();
        assert_eq!(after, [before[1].clone(), status, entry(FIELD_MANAGER, "Apply", &fields)]);
        assert_eq!(migrated(&after, None), None, "there is nothing left to do");
    }

    #[test]
    fn what_several_tools_applied_is_added_to_what_is_ours() {
        let after = migrated(
            &[
                entry(FIELD_MANAGER, "Apply", &json!({"f:data": {"f:a": {}}})),
                entry(
                    "helm",
                    "Update",
                    &json!({"f:data": {"f:b": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}),
                ),
                entry("argocd-controller", "Apply", &json!({"f:data": {"f:a": {}, "f:c": {}}})),
            ],
            None,
        );
        let fields =
            json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}, "f:metadata": {"f:labels": {"f:x": {}}}});
        assert_eq!(after.unwrap(), [entry(FIELD_MANAGER, "Apply", &fields)]);
    }

    #[test]
    fn of_a_vague_manager_only_what_was_last_applied() {
        let last = json!({
            "apiVersion": "v1", "metadata": {"name": "n", "annotations": {}},
            "data": {"a": "1"}, "spec": {"list": [{"name": "x", "size": 1}]},
        });
        let fields = json!({
            "f:metadata": {"f:annotations": {format!("f:{LAST_APPLIED}"): {}}},
            "f:data": {"f:a": {}, "f:b": {}},
            "f:spec": {"f:list": {"k:{\"name\":\"x\"}": {".": {}, "f:size": {}, "f:extra": {}}}},
        });
        for manager in ["before-first-apply", "kubectl"] {
            let after = migrated(&[entry(manager, "Update", &fields)], Some(last.clone()));
            let after = after.unwrap();
            let left = json!({
                "f:data": {"f:b": {}}, "f:spec": {"f:list": {"k:{\"name\":\"x\"}": {"f:extra": {}}}},
            });
            let taken = json!({
                "f:metadata": {"f:annotations": {format!("f:{LAST_APPLIED}"): {}}},
                "f:data": {"f:a": {}},
                "f:spec": {"f:list": {"k:{\"name\":\"x\"}": {".": {}, "f:size": {}}}},
            });
            assert_eq!(after, [entry(manager, "Update", &left), entry(FIELD_MANAGER, "Apply", &taken)]);
            // Without the annotation nothing is known to have been applied.
            assert_eq!(migrated(&[entry(manager, "Update", &fields)], None), None);
        }
    }

    /// A set of fields, and a configuration that names some of them.
    fn fields() -> impl Strategy<Value = Value> {
        let leaf = Just(json!({}));
        let names = prop::sample::select(vec!["f:a", "f:b", "k:{\"name\":\"x\"}", "v:1", "."]);
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop::collection::btree_map(names.clone(), inner, 0..4).prop_map(|map| json!(map))
        })
    }

    fn configuration() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), Just(json!(1))];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), inner.clone(), 0..3)
                    .prop_map(|map| json!(map)),
                inner.prop_map(|item| json!([1, {"name": "x", "a": item}])),
            ]
        })
    }

    fn leaves(fields: &Value, path: &str, found: &mut BTreeSet<String>) {
        let children = fields.as_object().into_iter().flatten();
        let mut any = false;
        for (element, child) in children {
            any = true;
            leaves(child, &format!("{path}/{element}"), found);
        }
        if !any && !fields.is_null() {
            found.insert(path.to_owned());
        }
    }

    fn leaves_of(sets: &[&Value]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        sets.iter().filter(|set| !is_empty(set)).for_each(|set| leaves(set, "", &mut found));
        found
    }

    proptest! {
        /// Whatever is taken and left, no field gets lost, none appears, and none has two owners.
        #[test]
        fn splitting_loses_and_doubles_nothing(fields in fields(), configuration in configuration()) {
            let (taken, left) = split(&fields, &configuration);
            prop_assume!(!is_empty(&fields));
            prop_assert_eq!(leaves_of(&[&taken, &left]), leaves_of(&[&fields]));
            prop_assert!(leaves_of(&[&taken]).is_disjoint(&leaves_of(&[&left])));
            prop_assert_eq!(leaves_of(&[&union(taken, left)]), leaves_of(&[&fields]));
        }

        #[test]
        fn a_union_has_what_either_has(one in fields(), other in fields()) {
            let both = union(one.clone(), other.clone());
            let covered = |leaf: &String| {
                let all = leaves_of(&[&both]);
                all.contains(leaf) || all.iter().any(|found| found.starts_with(&format!("{leaf}/")))
            };
            prop_assert!(leaves_of(&[&one, &other]).iter().all(covered));
            prop_assert_eq!(union(both.clone(), both.clone()), both);
        }
    }
}
