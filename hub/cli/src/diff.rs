//! What differs: between Git and the clusters, by what agents report; or between what two revisions render to.
//!
//! ```text
//! apps as reported -> reported: drifts that are still so, objects that are not as Git says
//! objects of two revisions -> between: added, removed, changed fields
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use muster_render::difference::{self, differences};
use serde::Serialize;
use serde_json::Value;

use crate::model::{App, Connection, FieldDrift, ObjectRef, Sync};
use crate::render::{AppObjects, Applied};

/// In which way an object in a cluster is not as Git says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    /// Fields of it were changed.
    Changed,
    /// It was deleted.
    Deleted,
    /// It is not as Git says for another reason, which the message gives.
    OutOfSync,
}

/// One object that is not as Git says, or an app that is not, without any object being known for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reported {
    pub(crate) cluster: String,
    pub(crate) app: String,
    /// What is known of a cluster that is not connected is what it said last.
    pub(crate) connection: Connection,
    pub(crate) revision: String,
    pub(crate) wanted_revision: String,
    /// Null where the app as a whole is meant.
    pub(crate) object: Option<ObjectRef>,
    pub(crate) state: State,
    /// Who changed it; empty when nobody is known.
    pub(crate) field_manager: String,
    pub(crate) detected_at: Option<Timestamp>,
    /// Values are JSON, those of Secrets masked.
    pub(crate) fields: Vec<FieldDrift>,
    pub(crate) message: String,
}

/// What differs of some apps, by cluster, app and object.
pub(crate) fn reported(apps: &[App]) -> Vec<Reported> {
    let mut found: Vec<Reported> = apps.iter().flat_map(of_app).collect();
    found.sort_by(|one, other| {
        (&one.cluster, &one.app, &one.object).cmp(&(&other.cluster, &other.app, &other.object))
    });
    found
}

fn of_app(app: &App) -> Vec<Reported> {
    let nothing = || Reported {
        cluster: app.cluster.clone(),
        app: app.app.clone(),
        connection: app.connection,
        revision: app.revision.clone(),
        wanted_revision: app.wanted_revision.clone(),
        object: None,
        state: State::OutOfSync,
        field_manager: String::new(),
        detected_at: None,
        fields: Vec::new(),
        message: String::new(),
    };
    let open = app.drifts.iter().flatten().filter(|drift| drift.corrected_at.is_none());
    let mut found: Vec<Reported> = open
        .map(|drift| Reported {
            object: Some(drift.object.clone()),
            state: if drift.deleted { State::Deleted } else { State::Changed },
            field_manager: drift.field_manager.clone(),
            detected_at: drift.detected_at,
            fields: drift.fields.clone(),
            ..nothing()
        })
        .collect();
    let others = app.objects.iter().flatten().filter(|object| object.sync != Sync::Synced);
    for object in others {
        if !found.iter().any(|known| known.object.as_ref() == Some(&object.object)) {
            let message = object.message.clone();
            found.push(Reported { object: Some(object.object.clone()), message, ..nothing() });
        }
    }
    if found.is_empty() && app.reported_sync != Sync::Synced {
        found.push(Reported { message: app.cause(), ..nothing() });
    }
    found
}

/// How an object of one revision compares with that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Change {
    Added,
    Removed,
    Changed,
}

/// One object that two revisions do not have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Between {
    /// Empty where a directory is rendered by itself.
    pub(crate) cluster: String,
    pub(crate) app: String,
    /// `Kind.group/namespace/name`.
    pub(crate) object: String,
    pub(crate) change: Change,
    /// Where it is written, at the revision that has it last; empty for what only the agent makes.
    pub(crate) place: String,
    pub(crate) fields: Vec<Field>,
}

/// One field; values are JSON, and null where it is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl From<difference::Difference> for Field {
    fn from(found: difference::Difference) -> Field {
        Field { path: found.path, before: found.before, after: found.after }
    }
}

/// What differs between the objects of two revisions, by cluster, app and object.
pub(crate) fn between(before: &[AppObjects], after: &[AppObjects]) -> Vec<Between> {
    let (before, after) = (by_name(before), by_name(after));
    let mut found = Vec::new();
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (change, applied, fields) = match (before.get(name), after.get(name)) {
            (None, Some(added)) => (Change::Added, added, Vec::new()),
            (Some(removed), None) => (Change::Removed, removed, Vec::new()),
            (Some(old), Some(new)) if old.value != new.value => {
                let fields: Vec<Field> =
                    differences(&old.value, &new.value).into_iter().map(Field::from).collect();
                if fields.is_empty() {
                    continue;
                }
                (Change::Changed, new, fields)
            }
            _ => continue,
        };
        let (cluster, app, object) = name.clone();
        found.push(Between { cluster, app, object, change, place: applied.place.clone(), fields });
    }
    found
}

/// Objects by cluster, app and name.
fn by_name(apps: &[AppObjects]) -> BTreeMap<(String, String, String), &Applied> {
    let named = |app: &AppObjects, object: &Value| {
        (app.cluster.clone(), app.app.clone(), crate::render::name(object))
    };
    apps.iter()
        .flat_map(|app| app.objects.iter().map(move |object| (named(app, &object.value), object)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Drift, Health, Object};
    use crate::sample;
    use serde_json::json;

    fn object(name: &str) -> ObjectRef {
        ObjectRef {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "web".to_owned(),
            name: name.to_owned(),
        }
    }

    fn drift(name: &str, corrected: bool) -> Drift {
        Drift {
            object: object(name),
            deleted: false,
            fields: vec![FieldDrift {
                path: ".data.key".to_owned(),
                wanted: "1".to_owned(),
                found: "2".to_owned(),
            }],
            field_manager: "kubectl".to_owned(),
            detected_at: sample::before(5),
            corrected_at: if corrected { sample::before(1) } else { None },
        }
    }

    #[test]
    fn what_is_still_not_as_git_says_is_told_once() {
        let out = |name: &str, message: &str| Object {
            object: object(name),
            sync: Sync::OutOfSync,
            health: Health::Healthy,
            message: message.to_owned(),
        };
        let drifted = App {
            drifts: Some(vec![drift("a", false), drift("b", true)]),
            objects: Some(vec![out("a", ""), out("c", "It is refused.")]),
            reported_sync: Sync::OutOfSync,
            ..sample::app("web", "prod")
        };
        let waiting = App {
            reported_sync: Sync::OutOfSync,
            message: "Changes from Git wait.".to_owned(),
            ..sample::app("web", "dev")
        };
        let found = reported(&[drifted, sample::app("api", "dev"), waiting]);
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                let name = one.object.as_ref().map_or("", |object| object.name.as_str());
                (one.cluster.as_str(), name, one.state, one.fields.len(), one.message.as_str())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("dev", "", State::OutOfSync, 0, "Changes from Git wait."),
                ("prod", "a", State::Changed, 1, ""),
                ("prod", "c", State::OutOfSync, 0, "It is refused."),
            ]
        );
    }

    #[test]
    fn two_revisions_are_compared_object_by_object_and_secrets_stay_masked() {
        let app = |objects: &[(&str, &str, &str)]| AppObjects {
            cluster: "dev".to_owned(),
            app: "web".to_owned(),
            is_suspended: false,
            objects: objects
                .iter()
                .map(|(kind, name, value)| Applied {
                    value: json!({
                        "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "web"},
                        "data": {"key": value},
                    }),
                    place: format!("{name}.yaml:1"),
                })
                .collect(),
        };
        let before =
            [app(&[("ConfigMap", "a", "1"), ("ConfigMap", "b", "1"), ("Secret", "s", "aHVudGVyMg==")])];
        let after = [app(&[("ConfigMap", "a", "2"), ("ConfigMap", "c", "1"), ("Secret", "s", "c2VjcmV0")])];
        let found = between(&before, &after);
        let told: Vec<_> = found.iter().map(|one| (one.object.as_str(), one.change)).collect();
        assert_eq!(
            told,
            [
                ("ConfigMap/web/a", Change::Changed),
                ("ConfigMap/web/b", Change::Removed),
                ("ConfigMap/web/c", Change::Added),
                ("Secret/web/s", Change::Changed),
            ]
        );
        assert_eq!(found[0].fields[0].after.as_deref(), Some("\"2\""));
        let text = format!("{found:?}");
        assert!(!text.contains("aHVudGVyMg") && !text.contains("c2VjcmV0"), "{text}");
        assert!(between(&before, &before).is_empty());
    }
}
