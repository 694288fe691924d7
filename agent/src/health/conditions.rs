//! What do an object's conditions say? For kinds without a rule of their own, this is all there is.
use serde_json::Value;

use super::Health;
use crate::object::{GroupKind, items, text};
use crate::shorten::shorten;

/// Longest message taken over from an object, in bytes.
const MESSAGE_BYTES_MAX: usize = 300;

/// A condition's status and what can be shown of it.
#[derive(Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    /// Generation it is about; none where it does not say.
    observed: Option<i64>,
}

impl Condition<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(super) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Whether it is about an older object than the one of this generation.
    pub(super) fn is_older(&self, generation: Option<i64>) -> bool {
        matches!((self.observed, generation), (Some(observed), Some(generation)) if observed < generation)
    }

    /// The message, or the reason where there is none, short enough to show.
    pub(super) fn explain(&self) -> String {
        let said = [self.message, self.reason, "It does not say why."];
        brief(said.into_iter().find(|said| !said.is_empty()).unwrap_or_default())
    }
}

/// Text of an object, short enough to show.
pub(super) fn brief(text: &str) -> String {
    shorten(text.trim().to_owned(), MESSAGE_BYTES_MAX)
}

/// The condition of that type in `status.conditions`.
pub(super) fn condition<'a>(object: &'a Value, name: &str) -> Option<Condition<'a>> {
    named(items(object, &["status", "conditions"]), name)
}

/// The condition of that type in a list of conditions.
pub(super) fn named<'a>(conditions: &'a [Value], name: &str) -> Option<Condition<'a>> {
    let condition = conditions.iter().find(|condition| text(condition, &["type"]) == name)?;
    Some(Condition {
        status: text(condition, &["status"]),
        reason: text(condition, &["reason"]),
        message: text(condition, &["message"]),
        observed: crate::object::number(condition, &["observedGeneration"]),
    })
}

/// Conditions that say "failed" when true, and those that say "done" when true, in order of weight.
const BAD: &[&str] = &["Failed", "Degraded"];
const GOOD: &[&str] = &["Ready", "Available", "Established", "Accepted", "Programmed", "Synced"];

/// For kinds without a rule: many controllers follow the convention of `Ready` and its like.
pub(super) fn judge(kind: &GroupKind, object: &Value) -> Health {
    for name in BAD {
        if let Some(condition) = condition(object, name).filter(Condition::is_true) {
            return Health::degraded(format!("{name}: {}", condition.explain()));
        }
    }
    for name in GOOD {
        match condition(object, name) {
            Some(condition) if condition.is_true() => return Health::healthy(),
            Some(condition) if condition.is_false() && is_final_when_false(kind) => {
                return Health::degraded(format!("{name}: {}", condition.explain()));
            }
            // False says "not now", which need not mean "never": kstatus calls it in progress too.
            Some(condition) => return Health::progressing(format!("{name}: {}", condition.explain())),
            None => {}
        }
    }
    Health::healthy()
}

/// Knative's conditions say False only of what has failed, and Unknown of what is on its way
/// (knative/specs, errors.md).
fn is_final_when_false(kind: &GroupKind) -> bool {
    kind.group.ends_with(".knative.dev")
}

/// The rule of many controllers: Ready says True when it is well, and False only when something is wrong.
pub(super) fn ready(object: &Value, unseen: &str) -> Health {
    match condition(object, "Ready") {
        Some(ready) if ready.is_true() => Health::healthy(),
        Some(ready) if ready.is_false() => Health::degraded(ready.explain()),
        Some(ready) => Health::progressing(ready.explain()),
        None => Health::progressing(unseen),
    }
}
