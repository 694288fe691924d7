//! Health of the Gateway API's kinds (gateway-api.sigs.k8s.io, GEP-1364: Accepted, Programmed, ResolvedRefs).
use serde_json::Value;

use super::conditions::{Condition, named};
use super::{Health, condition};
use crate::object::{items, number, text};

pub(super) fn class(object: &Value) -> Health {
    match condition(object, "Accepted") {
        Some(accepted) if accepted.is_true() => Health::healthy(),
        Some(accepted) if accepted.is_false() => Health::degraded(accepted.explain()),
        // The definition's own default: Unknown, until a controller takes the class.
        _ => Health::progressing("No controller has taken the class yet."),
    }
}

pub(super) fn gateway(object: &Value) -> Health {
    let accepted = condition(object, "Accepted");
    if let Some(refused) = accepted.filter(Condition::is_false) {
        return Health::degraded(refused.explain());
    }
    for listener in items(object, &["status", "listeners"]) {
        let conditions = items(listener, &["conditions"]);
        let broken = named(conditions, "Conflicted")
            .filter(Condition::is_true)
            .or_else(|| named(conditions, "ResolvedRefs").filter(Condition::is_false))
            .or_else(|| named(conditions, "Accepted").filter(Condition::is_false));
        if let Some(broken) = broken {
            let name = text(listener, &["name"]);
            return Health::degraded(format!("Listener {name}: {}", broken.explain()));
        }
    }
    let generation = number(object, &["metadata", "generation"]);
    match condition(object, "Programmed") {
        Some(programmed) if programmed.is_older(generation) => {
            Health::progressing("Its controller has not seen the last change yet.")
        }
        Some(programmed) if programmed.is_true() => Health::healthy(),
        Some(programmed) if programmed.is_false() && programmed.reason == "Invalid" => {
            Health::degraded(programmed.explain())
        }
        Some(programmed) if programmed.is_false() => Health::progressing(programmed.explain()),
        _ if accepted.is_some_and(|accepted| accepted.is_true()) => {
            Health::progressing("It is accepted and not programmed yet.")
        }
        _ => Health::progressing("No controller has taken the Gateway yet."),
    }
}

/// Routes of all protocols: each parent (a Gateway or a Service) says what it makes of the route.
pub(super) fn route(object: &Value) -> Health {
    each(object, "parents", "parentRef", "No Gateway has taken the route yet.")
}

/// Policies say the same by what they are attached to.
pub(super) fn policy(object: &Value) -> Health {
    each(object, "ancestors", "ancestorRef", "No Gateway has taken the policy yet.")
}

fn each(object: &Value, list: &str, reference: &str, none: &str) -> Health {
    let generation = number(object, &["metadata", "generation"]);
    let parents = items(object, &["status", list]);
    let said = parents.iter().map(|parent| {
        let name = text(parent, &[reference, "name"]);
        let conditions = items(parent, &["conditions"]);
        let accepted = named(conditions, "Accepted");
        let broken = accepted
            .filter(Condition::is_false)
            .or_else(|| named(conditions, "ResolvedRefs").filter(Condition::is_false))
            .or_else(|| named(conditions, "PartiallyInvalid").filter(Condition::is_true));
        match (broken, accepted) {
            (Some(broken), _) if broken.is_older(generation) => older(name),
            (Some(broken), _) => Health::degraded(format!("{name}: {}", broken.explain())),
            (None, Some(accepted)) if accepted.is_older(generation) => older(name),
            (None, Some(accepted)) if accepted.is_true() => Health::healthy(),
            _ => Health::progressing(format!("{name} has not taken it yet.")),
        }
    });
    // The first of the worst, so that the message does not change with the order of equals.
    said.reduce(
        |worst, next| {
            if super::severity(next.status) > super::severity(worst.status) { next } else { worst }
        },
    )
    .unwrap_or_else(|| Health::progressing(none))
}

fn older(name: &str) -> Health {
    Health::progressing(format!("{name} has not seen the last change yet."))
}
