//! Which fields did an App document declare to be none of Git's business?
//!
//! ```text
//! drift:  what is ignored is taken out of the object before its fields are compared
//! apply:  not there yet --> all is applied    held by others only --> left out    ours --> the live value
//! ```
//!
//! Leaving a field out that only we hold would remove it, so then the live value is sent again; that is
//! guarded by the object's version, since it may be old by the time it arrives.
use std::sync::Arc;

use muster_spec::{FieldPath, FieldPlace, IgnoreDifference, PlaceStep, at_place, take_out};
use serde_json::Value;

use super::Path;
use super::fields::{has_keys, step};
use super::our_fields;
use super::who::contains;
use crate::FIELD_MANAGER;
use crate::object::{ObjectKey, items, text};

/// The `ignoreDifferences` of one App document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignores(Vec<Rule>);

/// Which objects, and what of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    group: String,
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
    ignored: Ignored,
}

/// What is ignored of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored {
    paths: Vec<FieldPath>,
    /// Whatever these field managers hold.
    managers: Vec<String>,
}

/// What to apply in place of what Git says.
#[derive(Debug, PartialEq)]
pub(crate) struct Reduced {
    pub(crate) object: Value,
    /// Live values are in it, so it may be applied only to the version they were read from.
    pub(crate) keeps_live_values: bool,
}

impl Ignores {
    /// Takes over what a document says, which was checked when it was read.
    pub(crate) fn of(rules: &[IgnoreDifference]) -> Ignores {
        let rule = |rule: &IgnoreDifference| Rule {
            group: rule.group.clone(),
            kind: rule.kind.clone(),
            namespace: rule.namespace.as_ref().map(ToString::to_string),
            name: rule.name.clone(),
            ignored: Ignored { paths: rule.paths(), managers: rule.managed_fields_managers.clone() },
        };
        Ignores(rules.iter().map(rule).collect())
    }

    /// What is ignored of an object; `None` when that is nothing.
    pub(crate) fn of_object(&self, key: &ObjectKey) -> Option<Arc<Ignored>> {
        let fits = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        let mut all = Ignored::default();
        for rule in &self.0 {
            if fits(&rule.group, &key.kind.group)
                && fits(&rule.kind, &key.kind.kind)
                && rule.namespace.as_ref().is_none_or(|namespace| **namespace == *key.namespace)
                && rule.name.as_ref().is_none_or(|name| **name == *key.name)
            {
                all.paths.extend_from_slice(&rule.ignored.paths);
                all.managers.extend_from_slice(&rule.ignored.managers);
            }
        }
        (all != Ignored::default()).then(|| Arc::new(all))
    }
}

impl Ignored {
    /// The object without the places that the paths name.
    pub(crate) fn strip(&self, object: &Value) -> Value {
        let mut stripped = object.clone();
        take_out(&mut stripped, self.paths.iter().flat_map(|path| path.places(object)).collect());
        stripped
    }

    /// Whether one of the managers holds that field of a live object.
    pub(crate) fn is_managed(&self, live: &Value, path: &Path) -> bool {
        self.entries(live).any(|fields| contains(fields, path))
    }

    /// What is to be applied to a live object.
    pub(crate) fn reduce(&self, desired: &Value, live: &Value) -> Reduced {
        let mut places: Vec<FieldPlace> = self.paths.iter().flat_map(|path| path.places(desired)).collect();
        for fields in self.entries(live) {
            leaves(fields, desired, &mut Vec::new(), &mut places);
        }
        let ours = our_fields(live);
        let mut reduced = Reduced { object: desired.clone(), keeps_live_values: false };
        let mut others = Vec::new();
        for place in places {
            match ours.and_then(|fields| live_value(&place, desired, live, fields)) {
                Some(value) if at_place(&reduced.object, &place) == Some(value) => {}
                Some(value) => {
                    set(&mut reduced.object, &place, value);
                    reduced.keeps_live_values = true;
                }
                None => others.push(place),
            }
        }
        take_out(&mut reduced.object, others);
        reduced
    }

    /// The fields that the managers hold of a live object.
    fn entries<'a>(&'a self, live: &'a Value) -> impl Iterator<Item = &'a Value> {
        items(live, &["metadata", "managedFields"])
            .iter()
            .filter(|entry| {
                let manager = text(entry, &["manager"]);
                manager != FIELD_MANAGER && self.managers.iter().any(|ignored| ignored == manager)
            })
            .filter_map(|entry| entry.get("fieldsV1"))
    }
}

/// The live value of a place, if it is held by us: as itself, or as a part of a value that we hold whole.
fn live_value<'a>(
    place: &[PlaceStep],
    desired: &Value,
    live: &'a Value,
    fields: &Value,
) -> Option<&'a Value> {
    let (mut value, mut live, mut fields) = (desired, live, Some(fields));
    for step_down in place {
        let owned = fields.and_then(Value::as_object).filter(|owned| !owned.is_empty());
        let below = at_place(value, std::slice::from_ref(step_down))?;
        live = match (owned, step_down) {
            // A part of a value that is ours as a whole.
            (None, _) => {
                fields = None;
                at_place(live, std::slice::from_ref(step_down))?
            }
            (Some(owned), PlaceStep::Field(name)) => {
                fields = Some(owned.get(&format!("f:{name}"))?);
                live.get(name)?
            }
            (Some(owned), PlaceStep::Item(index)) => {
                let (element, child) = owned.iter().find(|(element, _)| is_item(element, below, *index))?;
                fields = Some(child);
                step(live, element)?
            }
        };
        value = below;
    }
    Some(live)
}

/// Whether an element of FieldsV1 means that item of a list.
fn is_item(element: &str, item: &Value, index: usize) -> bool {
    match element.split_once(':') {
        Some(("k", keys)) => serde_json::from_str(keys).is_ok_and(|keys| has_keys(item, &keys)),
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        Some(("i", number)) => number.parse() == Ok(index),
        _ => false,
    }
}

/// Collects the places of an object that are leaves of a field set.
fn leaves(fields: &Value, object: &Value, place: &mut FieldPlace, places: &mut Vec<FieldPlace>) {
    let Value::Object(children) = fields else { return };
    if children.is_empty() {
        places.push(place.clone());
        return;
    }
    for (element, child) in children {
        let next = match (element.split_once(':'), object) {
            (Some(("f", name)), Value::Object(map)) => {
                map.get(name).map(|value| (PlaceStep::Field(name.to_owned()), value))
            }
            (Some(_), Value::Array(list)) => list
                .iter()
                .enumerate()
                .find(|(index, item)| is_item(element, item, *index))
                .map(|(index, item)| (PlaceStep::Item(index), item)),
            _ => None,
        };
        if let Some((step, value)) = next {
            place.push(step);
            leaves(child, value, place, places);
            place.pop();
        }
    }
}

fn set(object: &mut Value, place: &[PlaceStep], value: &Value) {
    let target = place.iter().try_fold(object, |object, step| match step {
        PlaceStep::Field(name) => object.get_mut(name),
        PlaceStep::Item(index) => object.get_mut(*index),
    });
    if let Some(target) = target {
        *target = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupKind;
    use serde_json::json;

    fn ignores(rule: Value) -> Ignores {
        Ignores::of(&[serde_json::from_value(rule).unwrap()])
    }

    fn ignored(rule: Value) -> Arc<Ignored> {
        let mut rule = rule;
        rule["kind"] = json!("*");
        ignores(rule).of_object(&ObjectKey::new(GroupKind::new("", "Any"), "a", "b")).unwrap()
    }

    #[test]
    fn a_rule_is_for_the_objects_it_names() {
        let web = ObjectKey::new(GroupKind::new("apps", "Deployment"), "shop", "web");
        let rule = |more: Value| {
            let mut rule = json!({"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ignores(rule).of_object(&web).is_some()
        };
        assert!(rule(json!({})));
        assert!(rule(json!({"group": "*", "kind": "*"})));
        assert!(rule(json!({"namespace": "shop", "name": "web"})));
        assert!(!rule(json!({"group": ""})));
        assert!(!rule(json!({"kind": "StatefulSet"})));
        assert!(!rule(json!({"namespace": "other"})));
        assert!(!rule(json!({"name": "other"})));
    }

    /// A live object of which we hold what `ours` says and `autoscaler` what `theirs` says.
    fn live(mut object: Value, ours: &Value, theirs: &Value) -> Value {
        object["metadata"]["managedFields"] = json!([
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": ours},
            {"manager": "autoscaler", "operation": "Update", "subresource": "scale", "fieldsV1": theirs},
        ]);
        object
    }

    #[test]
    fn what_others_hold_is_left_out_and_what_we_hold_keeps_its_live_value() {
        let desired = json!({"spec": {"replicas": 2, "image": "a"}});
        let found = json!({"spec": {"replicas": 5, "image": "a"}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let both = json!({"f:spec": {"f:replicas": {}, "f:image": {}}});
        let image = json!({"f:spec": {"f:image": {}}});
        for rule in [
            json!({"jsonPointers": ["/spec/replicas"]}),
            json!({"jqPathExpressions": [".spec.replicas"]}),
            json!({"managedFieldsManagers": ["autoscaler"]}),
        ] {
            let ignored = ignored(rule.clone());
            let theirs = ignored.reduce(&desired, &live(found.clone(), &image, &replicas));
            let left_out = Reduced { object: json!({"spec": {"image": "a"}}), keeps_live_values: false };
            assert_eq!(theirs, left_out, "{rule}");
            let shared = ignored.reduce(&desired, &live(found.clone(), &both, &replicas));
            let kept = Reduced { object: found.clone(), keeps_live_values: true };
            assert_eq!(shared, kept, "{rule}");
        }
        let ignored = ignored(json!({"jsonPointers": ["/spec/replicas"]}));
        let equal = ignored.reduce(&desired, &live(desired.clone(), &both, &json!({})));
        assert_eq!(equal, Reduced { object: desired, keeps_live_values: false }, "nothing to guard");
    }

    #[test]
    fn items_are_found_by_their_keys_and_parts_of_whole_values_by_their_place() {
        let desired = json!({"spec": {
            "containers": [{"name": "web", "image": "a"}, {"name": "proxy", "image": "b"}],
            "args": ["x", "y"],
        }});
        let found = json!({"spec": {
            "containers": [{"name": "proxy", "image": "B"}, {"name": "web", "image": "A"}],
            "args": ["x", "Y"],
        }});
        let ours = json!({"f:spec": {"f:args": {}, "f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}},
            "k:{\"name\":\"proxy\"}": {".": {}, "f:name": {}},
        }}});
        let theirs = json!({"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {"f:image": {}}}}});
        let live = live(found, &ours, &theirs);
        let ignored = ignored(json!({"jqPathExpressions": [".spec.containers[].image", ".spec.args[1]"]}));
        let reduced = ignored.reduce(&desired, &live);
        let expected = json!({"spec": {
            "containers": [{"name": "web", "image": "A"}, {"name": "proxy"}],
            "args": ["x", "Y"],
        }});
        assert_eq!(reduced, Reduced { object: expected, keeps_live_values: true });
    }

    #[test]
    fn what_an_ignored_manager_holds_is_no_drift() {
        let ignored = ignored(json!({"managedFieldsManagers": ["autoscaler"]}));
        let fields = json!({"f:spec": {"f:replicas": {}, "f:image": {}}});
        let before = json!({"spec": {"replicas": 2, "image": "a"}});
        let projection = super::super::Projection::of(&fields, &before, &before);
        let after = json!({"spec": {"replicas": 5, "image": "b"}});
        let after = live(after, &json!({}), &json!({"f:spec": {"f:replicas": {}}}));
        let left: Vec<_> = projection
            .differs(&after)
            .into_iter()
            .filter(|path| !ignored.is_managed(&after, path))
            .map(|path| path.to_string())
            .collect();
        assert_eq!(left, [".spec.image"]);
    }
}
