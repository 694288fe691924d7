//! What runs before, during or after a sync, or when it fails?
//!
//! ```text
//! annotations in Git --> Hook (phases, when to delete)      run id --> annotation on the object
//! object in the cluster --> Outcome                         record (on the parent) --> what is done
//! ```
//!
//! Hooks are read in three spellings: Muster's, Argo CD's, and Helm's with the meaning Argo CD gives it.
//! A hook is no member of the app: nobody heals it, and it is not part of the app's health.
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::applyset::Record;
use crate::object::{GroupKind, hex, items, text};

/// Annotation on a hook in the cluster: which run of it this is.
pub(crate) const RUN: &str = "muster.dev/hook-run";

/// Kinds of object annotations, most telling first: which are the phases, which say when to delete.
const SPELLINGS: &[(&str, &str)] = &[
    ("muster.dev/hook", "muster.dev/hook-delete-policy"),
    ("argocd.argoproj.io/hook", "argocd.argoproj.io/hook-delete-policy"),
    ("helm.sh/hook", "helm.sh/hook-delete-policy"),
];

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Before anything of the app is applied.
    PreSync,
    /// With the objects of its wave.
    Sync,
    /// After everything is applied and healthy.
    PostSync,
    /// When the sync has failed.
    OnFailure,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::PreSync => "pre-sync",
            Phase::Sync => "sync",
            Phase::PostSync => "post-sync",
            Phase::OnFailure => "on-failure",
        })
    }
}

/// What Git says of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Empty when Muster never runs it.
    pub(crate) phases: BTreeSet<Phase>,
    /// To be deleted once it has succeeded.
    pub(crate) delete_succeeded: bool,
    /// To be deleted once it has failed.
    pub(crate) delete_failed: bool,
    /// The words in Git for which there is no phase, such as `test`.
    pub(crate) ignored: Vec<String>,
}

/// Reads the annotations of an object; `None` when it is no hook.
///
/// # Errors
/// A word that means nothing, as a sentence that names the annotation.
pub(crate) fn read(annotations: Option<&Map<String, Value>>) -> Result<Option<Hook>, String> {
    let Some(annotations) = annotations else { return Ok(None) };
    let value = |name: &str| annotations.get(name).and_then(Value::as_str);
    let Some((name, policy, phases)) =
        SPELLINGS.iter().find_map(|(name, policy)| Some((*name, *policy, value(name)?)))
    else {
        return Ok(None);
    };
    let mut hook =
        Hook { phases: BTreeSet::new(), delete_succeeded: false, delete_failed: false, ignored: Vec::new() };
    let mut plain = false;
    for word in words(phases) {
        match meaning(word) {
            Some(Meaning::Phase(phase)) => drop(hook.phases.insert(phase)),
            Some(Meaning::Plain) => plain = true,
            Some(Meaning::Never) => hook.ignored.push(word.to_owned()),
            None => {
                return Err(format!(
                    "The annotation {name} says `{word}`; expected pre-sync, sync, post-sync or on-failure."
                ));
            }
        }
    }
    for word in words(value(policy).unwrap_or_default()) {
        match word {
            // The object of an earlier run always goes before the next.
            "before-hook-creation" | "BeforeHookCreation" => {}
            "hook-succeeded" | "HookSucceeded" => hook.delete_succeeded = true,
            "hook-failed" | "HookFailed" => hook.delete_failed = true,
            _ => {
                return Err(format!(
                    "The annotation {policy} says `{word}`; expected before-hook-creation, hook-succeeded or \
                     hook-failed."
                ));
            }
        }
    }
    let nothing = hook.phases.is_empty() && hook.ignored.is_empty();
    Ok((!(nothing || plain && hook.phases.is_empty())).then_some(hook))
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// What one word of a hook annotation says.
enum Meaning {
    Phase(Phase),
    /// It is an object like all others.
    Plain,
    /// It is for an occasion that Muster does not have.
    Never,
}

fn meaning(word: &str) -> Option<Meaning> {
    Some(match word {
        "pre-sync" | "PreSync" | "pre-install" | "pre-upgrade" => Meaning::Phase(Phase::PreSync),
        "sync" | "Sync" => Meaning::Phase(Phase::Sync),
        "post-sync" | "PostSync" | "post-install" | "post-upgrade" => Meaning::Phase(Phase::PostSync),
        "on-failure" | "SyncFail" => Meaning::Phase(Phase::OnFailure),
        "crd-install" => Meaning::Plain,
        "Skip" | "PreDelete" | "PostDelete" | "pre-delete" | "post-delete" | "pre-rollback"
        | "post-rollback" | "test" | "test-success" | "test-failure" => Meaning::Never,
        _ => return None,
    })
}

/// How a run of a hook fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Running(String),
    Succeeded,
    Failed(String),
}

/// A hook's object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Which run it is, as [`run_id`] made it.
    pub(crate) run: Box<str>,
    pub(crate) outcome: Outcome,
}

/// Reads an object of the cluster; `None` when it is no run of a hook. `health` is what is known otherwise
/// of how the object fares: a kind that ends (Job, Pod) is judged by its end, any other by its health.
pub(crate) fn ran(kind: &GroupKind, object: &Value, health: &crate::health::Health) -> Option<Ran> {
    let run = text(object, &["metadata", "annotations", RUN]);
    (!run.is_empty()).then(|| Ran { run: run.into(), outcome: outcome(kind, object, health) })
}

fn outcome(kind: &GroupKind, object: &Value, health: &crate::health::Health) -> Outcome {
    use muster_wire::v1::HealthStatus;
    if kind.is("batch", "Job") {
        let ended = |name: &str| {
            let conditions = items(object, &["status", "conditions"]).iter();
            conditions
                .filter(|condition| text(condition, &["status"]) == "True")
                .find(|c| text(c, &["type"]) == name)
        };
        if let Some(failed) = ended("Failed") {
            return Outcome::Failed(text(failed, &["message"]).to_owned());
        }
        return if ended("Complete").is_some() {
            Outcome::Succeeded
        } else {
            Outcome::Running(health.message.clone())
        };
    }
    if kind.is("", "Pod") {
        return match text(object, &["status", "phase"]) {
            "Succeeded" => Outcome::Succeeded,
            "Failed" => Outcome::Failed(health.message.clone()),
            _ => Outcome::Running(health.message.clone()),
        };
    }
    match health.status {
        HealthStatus::Healthy => Outcome::Succeeded,
        HealthStatus::Degraded => Outcome::Failed(health.message.clone()),
        _ => Outcome::Running(health.message.clone()),
    }
}

/// Names one run of a hook: for which content, in which phase, and which try it is (from 1).
pub(crate) fn run_id(record: &Record, phase: Phase, attempt: u32) -> String {
    format!("{}{attempt}", runs(record, phase))
}

/// What the names of all runs for that content in that phase begin with.
pub(crate) fn runs(record: &Record, phase: Phase) -> String {
    format!("{}/{}/{phase}/", hex(&record.content), record.number)
}

/// The body of an object, as one run of a hook.
pub(crate) fn stamped(body: &[u8], run: &str) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if annotations.is_null() {
            *annotations = Value::Object(Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(RUN.to_owned(), run.into());
        }
    }
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health;
    use serde_json::json;

    fn hook(annotations: &Value) -> Result<Option<Hook>, String> {
        read(annotations.as_object())
    }

    fn phases(annotations: &Value) -> String {
        match hook(annotations) {
            Err(message) => message,
            Ok(None) => "no hook".to_owned(),
            Ok(Some(hook)) => {
                let phases: Vec<_> = hook.phases.iter().map(ToString::to_string).collect();
                format!("{} ignored {}", phases.join(" "), hook.ignored.join(" "))
            }
        }
    }

    #[test]
    fn the_three_spellings_are_read() {
        let cases = [
            (json!({}), "no hook"),
            (json!({"muster.dev/hook": "pre-sync"}), "pre-sync ignored "),
            (json!({"muster.dev/hook": "post-sync, on-failure"}), "post-sync on-failure ignored "),
            (json!({"argocd.argoproj.io/hook": "PreSync,SyncFail"}), "pre-sync on-failure ignored "),
            (json!({"argocd.argoproj.io/hook": "Skip"}), " ignored Skip"),
            (json!({"argocd.argoproj.io/hook": "PostDelete"}), " ignored PostDelete"),
            (json!({"helm.sh/hook": "pre-install,pre-upgrade"}), "pre-sync ignored "),
            (json!({"helm.sh/hook": "post-upgrade,post-rollback"}), "post-sync ignored post-rollback"),
            (json!({"helm.sh/hook": "test"}), " ignored test"),
            (json!({"helm.sh/hook": "crd-install"}), "no hook"),
            (json!({"helm.sh/hook": "test", "muster.dev/hook": "sync"}), "sync ignored "),
            (
                json!({"muster.dev/hook": "presync"}),
                "The annotation muster.dev/hook says `presync`; expected pre-sync, sync, post-sync or on-failure.",
            ),
        ];
        for (annotations, expected) in cases {
            assert_eq!(phases(&annotations), expected, "{annotations}");
        }
    }

    #[test]
    fn policies_are_read_in_the_spelling_of_the_hook() {
        let read = |policy: &str, text: &str| {
            hook(&json!({"argocd.argoproj.io/hook": "Sync", policy: text}))
                .map(|hook| hook.map(|hook| (hook.delete_succeeded, hook.delete_failed)))
        };
        let argo = "argocd.argoproj.io/hook-delete-policy";
        assert_eq!(read(argo, "HookSucceeded"), Ok(Some((true, false))));
        assert_eq!(read(argo, "BeforeHookCreation,HookFailed"), Ok(Some((false, true))));
        assert_eq!(read("helm.sh/hook-delete-policy", "hook-failed"), Ok(Some((false, false))));
        assert!(read(argo, "never").unwrap_err().contains("says `never`"));
    }

    #[test]
    fn a_run_ends_as_its_kind_ends() {
        let job = |name: &str, status: &str| {
            json!({"metadata": {"annotations": {RUN: "r"}}, "status": {"conditions": [
                {"type": name, "status": status, "message": "No luck."},
            ]}})
        };
        let pod = |phase: &str| json!({"metadata": {"annotations": {RUN: "r"}}, "status": {"phase": phase}});
        let ready = |status: &str| {
            json!({"metadata": {"annotations": {RUN: "r"}}, "status": {"conditions": [
                {"type": "Ready", "status": status},
            ]}})
        };
        let cases = [
            ("Job.batch", job("Complete", "True"), "Succeeded"),
            ("Job.batch", job("Failed", "True"), "Failed"),
            // Some of its Pods have succeeded, and more are to come.
            ("Job.batch", job("SuccessCriteriaMet", "True"), "Running"),
            ("Job.batch", job("Complete", "False"), "Running"),
            ("Pod", pod("Succeeded"), "Succeeded"),
            ("Pod", pod("Failed"), "Failed"),
            ("Pod", pod("Running"), "Running"),
            ("Thing.example.org", ready("True"), "Succeeded"),
            ("Thing.example.org", ready("False"), "Running"),
            ("ConfigMap", json!({"metadata": {"annotations": {RUN: "r"}}}), "Succeeded"),
        ];
        for (kind, object, expected) in cases {
            let kind = GroupKind::parse(kind).unwrap();
            let ran = ran(&kind, &object, &health::of(&kind, &object)).unwrap();
            let word = format!("{:?}", ran.outcome);
            assert!(word.starts_with(expected), "{kind}: {word}");
        }
        assert_eq!(ran(&GroupKind::new("", "ConfigMap"), &json!({}), &health::Health::healthy()), None);
    }

    #[test]
    fn a_stamped_body_is_the_same_but_for_the_run() {
        let body = json!({"metadata": {"name": "a", "annotations": {"x": "y"}}, "spec": {"z": 1}});
        let stamped: Value = serde_json::from_slice(&stamped(body.to_string().as_bytes(), "r")).unwrap();
        assert_eq!(
            stamped,
            json!({"metadata": {"name": "a", "annotations": {"x": "y", RUN: "r"}}, "spec": {"z": 1}})
        );
        let record = Record::begin([0; 16], None);
        assert_eq!(run_id(&record, Phase::PreSync, 2), format!("{}/1/pre-sync/2", "0".repeat(32)));
    }
}
