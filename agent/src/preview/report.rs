//! How is a plan shown?
use std::collections::BTreeMap;
use std::fmt::Write;

use muster_render::difference::Difference;
use serde::Serialize;

use super::Found;
use crate::object::ObjectKey;
use crate::plan::{Doomed, Step};
use crate::reconcile::preview::{Left, Outlook};
use crate::source::Problem;

/// What applying an object would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    /// These fields; none when it is as Git says already.
    Update(Vec<Difference>),
    /// The API server would not take it, and says why.
    Refused(String),
}

/// Everything `plan` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    cluster: String,
    /// Commit at the head of the branch.
    revision: String,
    apps: Vec<AppReport>,
    /// What is wrong with the repository as a whole.
    errors: Vec<ErrorReport>,
}

/// What would be done about one app.
#[derive(Debug, Serialize)]
pub(super) struct AppReport {
    app: String,
    revision: String,
    steps: Vec<StepReport>,
    /// What is left alone.
    left: Vec<LeftReport>,
    errors: Vec<ErrorReport>,
}

#[derive(Debug, Serialize)]
struct StepReport {
    /// `apply`, `wait`, `prune` and so on.
    step: &'static str,
    /// What a step without objects is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    about: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<ObjectReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectReport {
    object: String,
    /// Where in Git it is written.
    #[serde(skip_serializing_if = "String::is_empty")]
    place: String,
    /// `create`, `change`, `refused`, `run` or `delete`.
    change: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldReport>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

#[derive(Debug, Serialize)]
struct FieldReport {
    path: String,
    /// JSON; not there when the field is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
}

#[derive(Debug, Serialize)]
struct LeftReport {
    what: String,
    /// `skip` or `refuse`.
    verb: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct ErrorReport {
    place: String,
    message: String,
}

impl ErrorReport {
    fn new(problem: &Problem) -> ErrorReport {
        ErrorReport { place: problem.place.clone(), message: problem.message.clone() }
    }
}

impl AppReport {
    /// `changes` says what each apply would do, `missing` which namespaces are not there yet.
    pub(super) fn new(
        outlook: &Outlook,
        changes: &BTreeMap<ObjectKey, Change>,
        missing: &[String],
    ) -> AppReport {
        let left = |left: &Left| LeftReport {
            what: left.what.clone(),
            verb: left.verb.to_string(),
            reason: left.reason.clone(),
        };
        AppReport {
            app: outlook.app.clone(),
            revision: outlook.revision.clone(),
            steps: outlook.plan.steps.iter().filter_map(|one| step(one, changes, missing)).collect(),
            left: outlook.left.iter().map(left).collect(),
            errors: outlook.problems.iter().map(ErrorReport::new).collect(),
        }
    }

    fn is_refused(&self) -> bool {
        let mut objects = self.steps.iter().flat_map(|step| &step.objects);
        !self.errors.is_empty() || objects.any(|object| object.change == "refused")
    }
}

/// One step; none when it would change nothing.
fn step(step: &Step, changes: &BTreeMap<ObjectKey, Change>, missing: &[String]) -> Option<StepReport> {
    let plain = |step, about: String| Some(StepReport { step, about, objects: Vec::new() });
    let some = |step, objects: Vec<ObjectReport>| {
        (!objects.is_empty()).then_some(StepReport { step, about: String::new(), objects })
    };
    let is_new =
        |key: &ObjectKey| changes.get(key).is_none_or(|change| *change != Change::Update(Vec::new()));
    match step {
        Step::SetParent(parent) => {
            let kinds: Vec<_> = parent.kinds.iter().map(ToString::to_string).collect();
            plain("inventory", kinds.join(" "))
        }
        Step::DeleteParent(app) => plain("delete-inventory", app.clone()),
        Step::EnsureNamespace(name) if missing.contains(name) => plain("namespace", name.clone()),
        Step::EnsureNamespace(_) => None,
        Step::Wait(wait) => plain("wait", wait.to_string()),
        Step::AwaitDefinitions(keys) => {
            let new: Vec<_> = keys.iter().filter(|key| is_new(key)).map(ToString::to_string).collect();
            if new.is_empty() {
                None
            } else {
                plain("wait", format!("definitions to be served: {}", new.join(" ")))
            }
        }
        Step::Apply(objects) => some(
            "apply",
            objects
                .iter()
                .filter(|(key, _)| is_new(key))
                .map(|(key, desired)| applied(key, desired.place.to_string(), changes.get(key)))
                .collect(),
        ),
        Step::RunHooks(runs) => some(
            "run",
            runs.iter()
                .map(|run| ObjectReport {
                    message: run.phase.to_string(),
                    ..object(&run.key, run.desired.place.to_string(), "run")
                })
                .collect(),
        ),
        Step::Prune(doomed) => some("prune", deleted(doomed)),
        Step::DeleteHooks(doomed) => some("delete-hook", deleted(doomed)),
    }
}

fn object(key: &ObjectKey, place: String, change: &'static str) -> ObjectReport {
    ObjectReport { object: key.to_string(), place, change, fields: Vec::new(), message: String::new() }
}

fn applied(key: &ObjectKey, place: String, change: Option<&Change>) -> ObjectReport {
    let field = |one: &Difference| FieldReport {
        path: one.path.clone(),
        live: one.before.clone(),
        wanted: one.after.clone(),
    };
    match change {
        None | Some(Change::Create) => object(key, place, "create"),
        Some(Change::Update(fields)) => {
            ObjectReport { fields: fields.iter().map(field).collect(), ..object(key, place, "change") }
        }
        Some(Change::Refused(message)) => {
            ObjectReport { message: message.clone(), ..object(key, place, "refused") }
        }
    }
}

fn deleted(doomed: &[Doomed]) -> Vec<ObjectReport> {
    doomed.iter().map(|one| object(&one.key, String::new(), "delete")).collect()
}

impl Report {
    pub(super) fn new(cluster: String, revision: String, apps: Vec<AppReport>, errors: &[Problem]) -> Report {
        Report { cluster, revision, apps, errors: errors.iter().map(ErrorReport::new).collect() }
    }

    pub(super) fn found(&self) -> Found {
        if !self.errors.is_empty() || self.apps.iter().any(AppReport::is_refused) {
            Found::Errors
        } else if self.apps.iter().any(|app| !app.steps.is_empty()) {
            Found::Changes
        } else {
            Found::Nothing
        }
    }

    pub(super) fn json(&self) -> String {
        // Strings and lists of them: there is nothing that could not be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people; with `diff` every changed field on a line of its own.
    pub(super) fn text(&self, diff: bool) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, diff);
        text
    }

    fn write(&self, out: &mut String, diff: bool) -> std::fmt::Result {
        for error in &self.errors {
            writeln!(out, "error {}: {}", error.place, error.message)?;
        }
        let mut quiet = 0;
        for app in &self.apps {
            if app.steps.is_empty() && app.left.is_empty() && app.errors.is_empty() {
                quiet += 1;
                continue;
            }
            writeln!(out, "{} at {}", app.app, app.revision)?;
            for step in &app.steps {
                step.write(out, diff)?;
            }
            for left in &app.left {
                writeln!(out, "  {} {}: {}", left.verb, left.what, left.reason)?;
            }
            for error in &app.errors {
                writeln!(out, "  error {}: {}", error.place, error.message)?;
            }
        }
        let all = self.apps.len();
        match quiet {
            0 => Ok(()),
            _ if quiet == all => {
                writeln!(
                    out,
                    "Nothing to do: all {all} apps of {} are as Git says at {}.",
                    self.cluster, self.revision
                )
            }
            _ => writeln!(out, "Nothing to do for {quiet} more of {all} apps."),
        }
    }
}

impl StepReport {
    fn write(&self, out: &mut String, diff: bool) -> std::fmt::Result {
        if self.objects.is_empty() {
            let word = if self.step == "wait" { "wait for" } else { self.step };
            return writeln!(out, "  {word} {}", self.about);
        }
        for object in &self.objects {
            let verb = if object.change == "run" {
                format!("run {}", object.message)
            } else {
                object.change.to_owned()
            };
            let place = if object.place.is_empty() { String::new() } else { format!(" ({})", object.place) };
            writeln!(out, "  {verb} {}{place}", object.object)?;
            if object.change == "refused" {
                writeln!(out, "      {}", object.message)?;
            }
            for field in object.fields.iter().filter(|_| diff) {
                let shown = Difference {
                    path: field.path.clone(),
                    before: field.live.clone(),
                    after: field.wanted.clone(),
                };
                writeln!(out, "      {shown}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupKind;
    use crate::plan::{Plan, Wait, testing};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(GroupKind::new("", "ConfigMap"), "demo", name)
    }

    fn outlook(steps: Vec<Step>) -> Outlook {
        Outlook {
            account: None,
            app: "web".to_owned(),
            revision: "abc".to_owned(),
            plan: Plan { steps },
            left: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn report(outlook: &Outlook, changes: &[(&str, Change)]) -> Report {
        let changes = changes.iter().map(|(name, change)| (key(name), change.clone())).collect();
        let app = AppReport::new(outlook, &changes, &[]);
        Report::new("dev".to_owned(), "abc".to_owned(), vec![app], &[])
    }

    fn apply(names: &[&str]) -> Step {
        Step::Apply(names.iter().map(|name| (key(name), testing::desired(&key(name)))).collect())
    }

    #[test]
    fn what_would_change_nothing_is_not_shown() {
        let outlook = outlook(vec![apply(&["a"]), Step::EnsureNamespace("demo".to_owned())]);
        let report = report(&outlook, &[("a", Change::Update(Vec::new()))]);
        assert_eq!(report.found(), Found::Nothing);
        assert_eq!(report.text(true), "Nothing to do: all 1 apps of dev are as Git says at abc.\n");
    }

    #[test]
    fn changes_are_shown_in_order_and_their_fields_on_request() {
        let fields = vec![Difference {
            path: ".data.x".to_owned(),
            before: Some("1".to_owned()),
            after: Some("2".to_owned()),
        }];
        let wait = Step::Wait(Wait::Gone(vec![key("old")]));
        let outlook = outlook(vec![apply(&["a", "b"]), wait, apply(&["c"])]);
        let changes = [("a", Change::Create), ("b", Change::Update(fields)), ("c", Change::Create)];
        let report = report(&outlook, &changes);
        assert_eq!(report.found(), Found::Changes);
        let lines =
            "web at abc\n  create ConfigMap/demo/a (a.yaml:1)\n  change ConfigMap/demo/b (a.yaml:1)\n";
        let rest = "  wait for an earlier run to be gone: ConfigMap/demo/old\n  create ConfigMap/demo/c (a.yaml:1)\n";
        assert_eq!(report.text(false), format!("{lines}{rest}"));
        assert_eq!(report.text(true), format!("{lines}      .data.x: 1 -> 2\n{rest}"));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["apps"][0]["steps"][0]["objects"][1]["fields"][0]["path"], ".data.x");
        assert_eq!(json["apps"][0]["steps"][1]["step"], "wait");
    }

    #[test]
    fn what_the_server_would_refuse_is_an_error() {
        let report = report(&outlook(vec![apply(&["a"])]), &[("a", Change::Refused("No.".to_owned()))]);
        assert_eq!((report.found(), report.found().code()), (Found::Errors, 2));
        assert_eq!(report.text(false), "web at abc\n  refused ConfigMap/demo/a (a.yaml:1)\n      No.\n");
    }
}
