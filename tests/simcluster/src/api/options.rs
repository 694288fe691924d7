//! What does a write ask for besides its object? (field manager, dry run, force, validation)

use super::Call;
use crate::managed::{Operation, Writer};
use crate::status::{Cause, Failure};
use serde_json::json;

/// What a write is for, besides its object.
pub(super) struct Options {
    pub(super) writer: Writer,
    pub(super) dry_run: bool,
    pub(super) force: bool,
    pub(super) validation: Validation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Validation {
    Ignore,
    Warn,
    Strict,
}

impl Options {
    pub(super) fn of(call: &Call<'_>, operation: Operation) -> Result<Options, Failure> {
        let request = call.request;
        let options_kind = match request.method.as_str() {
            "PATCH" => "PatchOptions",
            "POST" => "CreateOptions",
            _ => "UpdateOptions",
        };
        let refuse = |cause: Cause| Failure::invalid("meta.k8s.io", options_kind, "", vec![cause]);
        let name = match (request.query("fieldManager"), operation) {
            ("", Operation::Apply) => {
                return Err(refuse(Cause::required("fieldManager", "is required for apply patch")));
            }
            ("", Operation::Update) => {
                let product = request.user_agent.split('/').next().unwrap_or_default();
                product.chars().filter(|c| !c.is_control()).take(128).collect()
            }
            (name, _) => name.to_owned(),
        };
        if name.len() > 128 {
            let why = "may not be more than 128 bytes";
            return Err(refuse(Cause::invalid("fieldManager", &json!(name), why)));
        }
        let dry_run = match request.query("dryRun") {
            "" => false,
            "All" => true,
            other => return Err(refuse(Cause::unsupported("dryRun", &json!([other]), &["All"]))),
        };
        let validation = match request.query("fieldValidation") {
            "Strict" => Validation::Strict,
            "Ignore" => Validation::Ignore,
            "" | "Warn" => Validation::Warn,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                return Err(refuse(Cause::unsupported("fieldValidation", &json!(other), &supported)));
            }
        };
        if request.flag("force") && operation == Operation::Update && request.method == "PATCH" {
            return Err(refuse(Cause::forbidden("force", "may not be specified for non-apply patch")));
        }
        let subresource = call.place.subresource.clone().unwrap_or_default();
        let writer = Writer { operation, name, api_version: call.kind().api_version(), subresource };
        Ok(Options { writer, dry_run, force: request.flag("force"), validation })
    }
}
