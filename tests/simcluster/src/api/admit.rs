//! May this be written here? (namespaces that are missing or ending; questions about what is allowed)

use super::incoming::parse_body;
use super::{Call, Reply};
use crate::kinds::Kind;
use crate::state::State;
use crate::status::{Cause, Failure};
use serde_json::json;

/// Objects are only created in namespaces that are there and are not being deleted.
pub(super) fn namespace(state: &State, kind: &Kind, namespace: &str, name: &str) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    let Some(record) = state.namespace(namespace) else {
        return Err(Failure::not_found("", "namespaces", namespace));
    };
    if record.deleting {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Failure::forbidden(&kind.group, &kind.resource, name, &why);
        failure.causes = vec![Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        }];
        return Err(failure);
    }
    Ok(())
}

/// Some namespaces cannot be deleted.
pub(super) fn deletion(kind: &Kind, name: &str) -> Result<(), Failure> {
    let immortal = ["default", "kube-public", "kube-system"];
    if kind.kind == "Namespace" && kind.group.is_empty() && immortal.contains(&name) {
        return Err(Failure::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Answers who the user is, and that everything is allowed.
pub(super) fn review(state: &State, call: &Call<'_>) -> Result<Reply, Failure> {
    let mut review = parse_body(state, call)?;
    review["status"] = match call.kind().kind.as_str() {
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": call.request.user, "groups": ["system:masters", "system:authenticated"]}})
        }
        _ => json!({"allowed": true, "reason": "the simulation allows everything"}),
    };
    review["kind"] = json!(call.kind().kind);
    review["apiVersion"] = json!(call.kind().api_version());
    Ok(Reply::value(201, &review))
}
