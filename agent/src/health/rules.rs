//! How do an app and a fleet say which objects are healthy?
//!
//! The first expression that is true counts, in the order degraded, suspended, progressing, healthy.
use muster_cel::{EvalError, Program};
use muster_spec::{Expression, HealthRule};
use muster_wire::v1::HealthStatus;
use serde_json::Value;

use super::Health;
use crate::object::GroupKind;

/// The rules of an app, the fleet's for the kinds it has none for included. Cheap to compare by what they say.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthRules {
    rules: Vec<Rule>,
}

/// The rule for one kind.
#[derive(Clone)]
struct Rule {
    kind: GroupKind,
    /// Where it stands, for messages: `apps/web.yaml:3 spec.health[0]`.
    place: String,
    /// What it says, to tell when it changes.
    text: String,
    tests: Vec<Test>,
}

/// One expression, and what is the case when it is true.
#[derive(Clone)]
struct Test {
    /// Name of its field.
    field: &'static str,
    status: HealthStatus,
    program: Program,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl PartialEq for HealthRules {
    fn eq(&self, other: &Self) -> bool {
        let said = |rules: &HealthRules| -> Vec<(GroupKind, String)> {
            rules.rules.iter().map(|rule| (rule.kind.clone(), rule.text.clone())).collect()
        };
        said(self) == said(other)
    }
}

impl Eq for HealthRules {}

impl HealthRules {
    /// Adds the rules of a document found at `place`, but for kinds that have one already.
    pub(crate) fn add(&mut self, rules: &[HealthRule], place: &str) {
        for (index, rule) in rules.iter().enumerate() {
            let kind = GroupKind::new(&rule.group, &rule.kind);
            if self.of(&kind).is_none() {
                self.rules.push(Rule::new(kind, rule, format!("{place} spec.health[{index}]")));
            }
        }
    }

    /// Whether there is a rule for a kind.
    pub(crate) fn has(&self, kind: &GroupKind) -> bool {
        self.of(kind).is_some()
    }

    /// Health of an object by the rule of its kind; none where there is no rule.
    pub(crate) fn judge(&self, kind: &GroupKind, object: &Value) -> Option<Health> {
        let rule = self.of(kind)?;
        Some(super::before_its_kind(object).unwrap_or_else(|| rule.judge(object)))
    }

    /// Kinds whose rule is not the same in the other.
    pub(crate) fn changed(&self, other: &HealthRules) -> Vec<GroupKind> {
        let differs = |one: &HealthRules, kind: &GroupKind, two: &HealthRules| {
            one.of(kind).map(|rule| &rule.text) != two.of(kind).map(|rule| &rule.text)
        };
        let kinds = self.rules.iter().chain(&other.rules).map(|rule| &rule.kind);
        let mut changed: Vec<_> = kinds.filter(|kind| differs(self, kind, other)).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }

    fn of(&self, kind: &GroupKind) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.kind == *kind)
    }
}

impl Rule {
    fn new(kind: GroupKind, rule: &HealthRule, place: String) -> Self {
        let fields: [(_, _, Option<&Expression>); 4] = [
            ("degraded", HealthStatus::Degraded, rule.degraded.as_ref()),
            ("suspended", HealthStatus::Suspended, rule.suspended.as_ref()),
            ("progressing", HealthStatus::Progressing, rule.progressing.as_ref()),
            ("healthy", HealthStatus::Healthy, Some(&rule.healthy)),
        ];
        // An expression that cannot be read is an error of its document, so there is none here.
        let tests = fields.iter().filter_map(|(field, status, expression)| {
            let program = Program::compile((*expression)?.as_str()).ok()?;
            Some(Test { field, status: *status, program })
        });
        let said =
            fields.iter().map(|(field, _, said)| format!("{field}={:?}", said.map(Expression::as_str)));
        let text = said.collect::<Vec<_>>().join(" ");
        Rule { kind, place, text, tests: tests.collect() }
    }

    fn judge(&self, object: &Value) -> Health {
        let mut missing: Option<EvalError> = None;
        for test in &self.tests {
            match test.program.is_true(object) {
                Ok(true) => return self.health(test),
                Ok(false) => {}
                // Nearly always this means that the controller has not written it yet.
                Err(error) if error.missing => drop(missing.get_or_insert(error)),
                Err(error) => {
                    return Health::unknown(format!(
                        "{}.{} cannot be told: {error}.",
                        self.place, test.field
                    ));
                }
            }
        }
        Health::progressing(match missing {
            Some(error) => format!("{} is not true of it yet: {error}.", self.place),
            None => format!("{} is not true of it yet.", self.place),
        })
    }

    fn health(&self, test: &Test) -> Health {
        match test.status {
            HealthStatus::Healthy => Health::healthy(),
            status => Health::new(status, format!("{}.{} is true of it.", self.place, test.field)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(more: &Value) -> HealthRule {
        let mut rule =
            json!({"group": "example.com", "kind": "Database", "healthy": "self.status.phase == 'Running'"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(rule).unwrap()
    }

    fn kind() -> GroupKind {
        GroupKind::new("example.com", "Database")
    }

    fn rules(more: &Value) -> HealthRules {
        let mut rules = HealthRules::default();
        rules.add(&[rule(more)], "app.yaml:3");
        rules
    }

    #[test]
    fn the_first_that_is_true_counts() {
        let all = rules(&json!({
            "degraded": "self.status.phase == 'Failed'",
            "suspended": "self.?spec.?paused.orValue(false)",
            "progressing": "self.status.members < 3",
        }));
        let cases = [
            (json!({"status": {"phase": "Running", "members": 3}}), Health::healthy()),
            (
                json!({"status": {"phase": "Running", "members": 2}}),
                Health::progressing("app.yaml:3 spec.health[0].progressing is true of it."),
            ),
            (
                json!({"spec": {"paused": true}, "status": {"phase": "Running"}}),
                Health::suspended("app.yaml:3 spec.health[0].suspended is true of it."),
            ),
            (
                json!({"spec": {"paused": true}, "status": {"phase": "Failed"}}),
                Health::degraded("app.yaml:3 spec.health[0].degraded is true of it."),
            ),
            (
                json!({"metadata": {}}),
                Health::progressing("app.yaml:3 spec.health[0] is not true of it yet: there is no `status`."),
            ),
            (
                json!({"status": {"phase": "Starting", "members": 3}}),
                Health::progressing("app.yaml:3 spec.health[0] is not true of it yet."),
            ),
            (
                json!({"status": {"phase": "Starting", "members": "many"}}),
                Health::unknown(
                    "app.yaml:3 spec.health[0].progressing cannot be told: `<` does not take a string and an int.",
                ),
            ),
            (
                json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "phase": "Running"}}),
                Health::progressing("Its controller has seen generation 1 of 2."),
            ),
        ];
        for (object, expected) in cases {
            assert_eq!(all.judge(&kind(), &object), Some(expected), "{object}");
        }
        assert_eq!(all.judge(&GroupKind::new("", "Database"), &json!({})), None);
    }

    #[test]
    fn a_rule_that_takes_too_long_is_ended() {
        let slow =
            rules(&json!({"healthy": "self.items.all(a, self.items.all(b, self.items.all(c, true)))"}));
        let health = slow.judge(&kind(), &json!({"items": vec![0; 1_000]})).unwrap();
        assert_eq!(health.status, HealthStatus::Unspecified);
        assert!(health.message.contains("too many steps"), "{health:?}");
    }

    #[test]
    fn the_apps_rule_goes_before_the_fleets() {
        let mut both = rules(&json!({}));
        both.add(
            &[
                rule(&json!({"healthy": "false"})),
                serde_json::from_value(json!({"kind": "Cache", "healthy": "true"})).unwrap(),
            ],
            "muster.yaml:1",
        );
        assert_eq!(both.judge(&kind(), &json!({"status": {"phase": "Running"}})), Some(Health::healthy()));
        let cache = GroupKind::new("", "Cache");
        assert_eq!(both.judge(&cache, &json!({})), Some(Health::healthy()));
        let app = rules(&json!({}));
        assert_eq!(both.changed(&app), std::slice::from_ref(&cache));
        assert_eq!(app.changed(&both), [cache]);
        assert!(app != both && app == rules(&json!({})));
    }
}
