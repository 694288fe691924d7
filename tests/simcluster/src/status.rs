//! How does the API say no? (`Status` objects, as clients parse them.)

use serde_json::{Value, json};

/// One reason among several, naming a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

/// Marks answers that are no Status.
const NO_PAGE: &str = "NoPage";

/// An object, or kind of object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) group: String,
    /// The kind or the resource: the API server says one or the other.
    pub(crate) kind: String,
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// What the request was about.
    pub(crate) details: Option<Box<Subject>>,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Failure {
            code,
            reason,
            message: message.into(),
            details: None,
            causes: Vec::new(),
            retry_after_seconds: None,
        }
    }

    pub(crate) fn about(mut self, name: &str, group: &str, kind: &str) -> Self {
        let (name, group, kind) = (name.to_owned(), group.to_owned(), kind.to_owned());
        self.details = Some(Box::new(Subject { name, group, kind }));
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", qualified(resource, group));
        Self::new(403, "Forbidden", message).about(name, group, resource)
    }

    pub(crate) fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", qualified(resource, group)))
            .about(name, group, resource)
    }

    /// There is no such path or resource at all.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").about("", "", "")
    }

    /// There is no such group or version: answered as by any web server, without a Status.
    pub(crate) fn no_such_page() -> Self {
        Self::new(404, NO_PAGE, "404 page not found\n")
    }

    /// Whether the answer is plain text.
    pub(crate) fn is_page(&self) -> bool {
        self.reason == NO_PAGE
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .about("", "", "")
    }

    pub(crate) fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    pub(crate) fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", qualified(resource, group)))
            .about(name, group, resource)
    }

    pub(crate) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(resource, group);
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {what} {name:?}: {why}"))
            .about(name, group, resource)
    }

    /// The object has changed since the writer read it.
    pub(crate) fn stale(group: &str, resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, why)
    }

    /// Other managers own fields this apply sets; `conflicts` are pairs of manager and field.
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let mut by_manager: Vec<(&str, Vec<&str>)> = Vec::new();
        for (manager, field) in conflicts {
            match by_manager.iter_mut().find(|(name, _)| name == manager) {
                Some((_, fields)) => fields.push(field),
                None => by_manager.push((manager, vec![field])),
            }
        }
        by_manager.sort();
        let list = |(manager, fields): &(&str, Vec<&str>)| match fields.as_slice() {
            [field] => format!("conflict with {manager}: {field}"),
            fields => format!("conflicts with {manager}:\n- {}", fields.join("\n- ")),
        };
        let listed: Vec<String> = by_manager.iter().map(list).collect();
        let count = match conflicts.len() {
            1 => "1 conflict".to_owned(),
            more => format!("{more} conflicts"),
        };
        let mut failure =
            Self::new(409, "Conflict", format!("Apply failed with {count}: {}", listed.join("\n")));
        failure.details = Some(Default::default());
        failure.causes = conflicts
            .iter()
            .map(|(manager, field)| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: field.clone(),
            })
            .collect();
        failure
    }

    /// The object is not valid.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let each: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        // Said once, however many causes say it.
        let mut seen = std::collections::BTreeSet::new();
        let each: Vec<String> = each.into_iter().filter(|text| seen.insert(text.clone())).collect();
        let listed = match each.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {listed}", qualified(kind, group));
        let mut failure = Self::new(422, "Invalid", message).about(name, group, kind);
        failure.causes = causes;
        failure
    }

    /// The text is no resource version.
    pub(crate) fn not_a_version(text: &str) -> Self {
        Self::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        ))
    }

    /// The client has seen a version that this cluster has not come to yet.
    pub(crate) fn too_new(version: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {version}, current: {current}");
        let mut failure = Self::new(504, "Timeout", format!("Timeout: {message}"));
        failure.details = Some(Default::default());
        failure.retry_after_seconds = Some(1);
        let message = "Too large resource version".to_owned();
        failure.causes = vec![Cause { reason: "ResourceVersionTooLarge", message, field: String::new() }];
        failure
    }

    pub(crate) fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// A patch of a type that is none, or that custom kinds do not take.
    pub(crate) fn unsupported_patch() -> Self {
        let mut failure = Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
        failure.details = Some(Default::default());
        failure
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A JSON patch that cannot be applied.
    pub(crate) fn unprocessable_patch() -> Self {
        let mut failure =
            Self::new(422, "Invalid", "the server rejected our request due to an error in our request");
        failure.details = Some(Default::default());
        failure
    }

    /// The patched object has fields the kind does not have, and the client asked to be strict.
    pub(crate) fn strict_patch(patched: &Value, why: &str) -> Self {
        let cause = Cause::invalid("patch", &json!(patched.to_string()), why);
        Self::invalid("", "", "", vec![cause])
    }

    /// What the API server has no better word for, such as an applied configuration that does not fit its schema.
    pub(crate) fn internal(why: impl Into<String>) -> Self {
        Self::new(500, "", why)
    }

    /// A failure somebody asked the simulation for.
    pub(crate) fn injected(code: u16, retry_after_seconds: Option<u32>) -> Self {
        let (reason, message) = match code {
            409 => ("Conflict", "the object has been modified (injected)"),
            429 => ("TooManyRequests", "the server has received too many requests (injected)"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request (injected)"),
            504 => ("Timeout", "the request timed out (injected)"),
            _ => ("InternalError", "Internal error occurred (injected)"),
        };
        let mut failure = Self::new(code, reason, message);
        failure.details = Some(Default::default());
        failure.retry_after_seconds = retry_after_seconds;
        failure
    }

    /// The Status object.
    pub(crate) fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(subject) = &self.details {
            let Subject { name, group, kind } = &**subject;
            let mut details = json!({});
            for (field, text) in [("name", name), ("group", group), ("kind", kind)] {
                if !text.is_empty() {
                    details[field] = json!(text);
                }
            }
            if !self.causes.is_empty() {
                let cause = |cause: &Cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field});
                details["causes"] = self.causes.iter().map(cause).collect();
            }
            if let Some(seconds) = self.retry_after_seconds {
                details["retryAfterSeconds"] = json!(seconds);
            }
            status["details"] = details;
        }
        status
    }
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>, why: &str) -> Cause {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Cause { reason: "FieldValueRequired", message, field: field.into() }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
        Cause {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
            field: field.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Cause {
        let listed: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", listed.join(", "));
        Cause { reason: "FieldValueNotSupported", message, field: field.into() }
    }
}

/// `deployments.apps`, or `pods` in the core group.
pub(crate) fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
