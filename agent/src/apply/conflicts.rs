//! Others hold fields that Git sets to something else: are those taken over?
//!
//! ```text
//! Git held the field before          yes: it was changed by others since, which is drift
//! else by spec.sync.conflicts:       Known: of deployment tools   Force: of everybody   Refuse: of nobody
//! ```
use super::managers;
use crate::api::{ApiError, FieldConflict};
use crate::drift::Projection;
use crate::source::Conflicts;

/// Decides about all conflicts of one apply: it is forced, or not done.
///
/// `held` are the fields that Git named when it was last applied, where that is known.
///
/// # Errors
/// A sentence that names who holds what, and says what to do.
pub(super) fn judge(
    conflicts: &[FieldConflict],
    policy: Conflicts,
    held: Option<&Projection>,
) -> Result<(), String> {
    let may_take = |conflict: &&FieldConflict| {
        held.is_some_and(|held| held.has(&conflict.field))
            || match policy {
                Conflicts::Known => managers::is_known(&conflict.manager),
                Conflicts::Force => true,
                Conflicts::Refuse => false,
            }
    };
    let refused: Vec<_> = conflicts.iter().filter(|conflict| !may_take(conflict)).cloned().collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Git sets fields that others hold with other values: {} Leave them out of Git, or take them over with \
         `spec.sync.conflicts: {}` or the annotation muster.dev/conflicts: Force.",
        ApiError::Held(refused),
        if policy == Conflicts::Refuse { "Known` or `Force" } else { "Force" },
    ))
}

/// From whom which fields are taken over, in one sentence.
pub(super) fn taken(conflicts: &[FieldConflict]) -> String {
    format!("Taken over: {}", ApiError::Held(conflicts.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_policy_decides_about_fields_that_were_not_gits_before() {
        let fields =
            json!({"f:spec": {"f:paused": {}, "f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}});
        let held = Projection::of(&fields, &json!({}), &json!({}));
        let conflict =
            |manager: &str, field: &str| FieldConflict { manager: manager.into(), field: field.into() };
        let (hpa, kubectl) = ("kube-controller-manager", "kubectl-edit");
        let cases = [
            (vec![conflict(kubectl, ".spec.replicas")], [true, true, false]),
            (vec![conflict(hpa, ".spec.replicas")], [false, true, false]),
            (vec![conflict(hpa, ".spec.replicas"), conflict(kubectl, ".spec.x")], [false, true, false]),
            // Git had it, somebody changed it: that is put right whoever it was.
            (vec![conflict(hpa, ".spec.paused")], [true, true, true]),
            (vec![conflict(hpa, ".spec.containers[name=\"web\"].image")], [true, true, true]),
            (vec![conflict(hpa, ".spec.containers[name=\"web\"]")], [true, true, true]),
            (vec![conflict(hpa, ".spec.pausedUntil")], [false, true, false]),
        ];
        for (conflicts, expected) in cases {
            for (policy, may) in
                [Conflicts::Known, Conflicts::Force, Conflicts::Refuse].into_iter().zip(expected)
            {
                let verdict = judge(&conflicts, policy, Some(&held));
                assert_eq!(verdict.is_ok(), may, "{conflicts:?} {policy:?} {verdict:?}");
            }
        }
    }

    #[test]
    fn a_refusal_names_who_holds_what_and_what_to_do() {
        let conflicts = [
            FieldConflict { manager: "hpa".into(), field: ".spec.replicas".into() },
            FieldConflict { manager: "kubectl-edit".into(), field: ".spec.paused".into() },
        ];
        assert_eq!(
            judge(&conflicts, Conflicts::Known, None).unwrap_err(),
            "Git sets fields that others hold with other values: hpa holds .spec.replicas. Leave them out of Git, or \
             take them over with `spec.sync.conflicts: Force` or the annotation muster.dev/conflicts: Force."
        );
        assert_eq!(
            taken(&conflicts),
            "Taken over: hpa holds .spec.replicas; kubectl-edit holds .spec.paused."
        );
    }
}
