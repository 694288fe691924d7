//! What does the cluster answer to a request? A function of the request, the state and the time.
//!
//! ```text
//! request -> route (which endpoint) -> verb (read, write, delete, watch) -> answer
//! ```

mod admit;
mod delete;
mod discovery;
mod form;
mod incoming;
mod open_api;
mod options;
mod patching;
mod read;
mod route;
mod scale;
mod table;
#[cfg(test)]
mod tests;
mod validate;
mod watch;
mod write;

pub(crate) use watch::Watch;

use crate::kinds::Kind;
use crate::state::State;
use crate::status::Failure;
use bytes::Bytes;
use form::Form;
use jiff::Timestamp;
use route::{Endpoint, Place};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Larger bodies are refused, as by etcd and the API server.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A request, as far as the API looks at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) user: String,
    pub(crate) user_agent: String,
    pub(crate) content_type: String,
    pub(crate) accept: String,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) warnings: Vec<String>,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Reply {
    pub(crate) fn json(code: u16, body: impl Into<Bytes>) -> Reply {
        let content_type = "application/json".to_owned();
        Reply { code, content_type, body: body.into(), warnings: Vec::new(), retry_after_seconds: None }
    }

    fn value(code: u16, value: &Value) -> Reply {
        Self::json(code, value.to_string())
    }

    fn text(code: u16, text: &'static str) -> Reply {
        Reply { content_type: "text/plain; charset=utf-8".to_owned(), ..Self::json(code, text) }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Reply {
        if failure.is_page() {
            let content_type = "text/plain; charset=utf-8".to_owned();
            return Reply { content_type, ..Reply::json(failure.code, failure.message) };
        }
        let reply = Reply::value(failure.code, &failure.to_json());
        Reply { retry_after_seconds: failure.retry_after_seconds, ..reply }
    }
}

/// What the shell is to do.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    /// Send what [`Watch::poll`] gives until it ends.
    Watch(Box<Watch>),
}

/// A request for a kind, with what its verbs need.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) place: &'a Place,
    pub(crate) form: Form,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    pub(crate) fn kind(&self) -> &Arc<Kind> {
        &self.place.kind
    }
}

/// Answers one request.
pub(crate) fn handle(state: &mut State, request: &Request, now: Timestamp) -> Answer {
    match answer(state, request, now) {
        Ok(answer) => answer,
        Err(failure) => Answer::Reply(failure.into()),
    }
}

fn answer(state: &mut State, request: &Request, now: Timestamp) -> Result<Answer, Failure> {
    let endpoint = route::route(&state.kinds, &request.path)?;
    let place = match endpoint {
        Endpoint::Health => return Ok(Answer::Reply(Reply::text(200, "ok"))),
        Endpoint::Version => return Ok(Answer::Reply(Reply::value(200, &discovery::version()))),
        Endpoint::Discovery(document) => {
            return Ok(Answer::Reply(discovery::reply(&state.kinds, &document, request)?));
        }
        Endpoint::OpenApi(path) => return Ok(Answer::Reply(open_api::reply(&state.kinds, &path)?)),
        Endpoint::Resource(place) => place,
    };
    let verb = route::verb(&request.method, &place, request)?;
    count_and_fail(state, verb, &place)?;
    let form = form::negotiate(&request.accept)?;
    let call = Call { request, place: &place, form, now };
    if place.kind.is_review() {
        return Ok(Answer::Reply(admit::review(state, &call)?));
    }
    if place.subresource.as_deref() == Some("scale") {
        return Ok(Answer::Reply(scale::handle(state, &call, verb)?));
    }
    let reply = match verb {
        "watch" => return Ok(Answer::Watch(Box::new(watch::start(state, &call)?))),
        "get" => read::get(state, &call)?,
        "list" => read::list(state, &call)?,
        "create" => write::create(state, &call)?,
        "update" => write::update(state, &call)?,
        "patch" => patching::patch(state, &call)?,
        "delete" => delete::delete(state, &call)?,
        _ => delete::delete_collection(state, &call)?,
    };
    let mut reply = reply;
    if place.kind.kind == "Endpoints" {
        let warning = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
        reply.warnings.push(warning.to_owned());
    }
    Ok(Answer::Reply(reply))
}

fn count_and_fail(state: &mut State, verb: &str, place: &Place) -> Result<(), Failure> {
    let resource = match &place.subresource {
        Some(subresource) => format!("{}/{subresource}", place.kind.resource),
        None => place.kind.resource.clone(),
    };
    *state.counts.entry((verb.to_owned(), resource.clone())).or_default() += 1;
    let name = place.name.as_deref().unwrap_or_default();
    match state.faults.meet(verb, &resource, name) {
        Some(fault) => Err(Failure::injected(fault.code, fault.retry_after_seconds)),
        None => Ok(()),
    }
}
