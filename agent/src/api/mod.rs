//! How are objects read and written, one request at a time?
//!
//! Thin over kube's client, which does TLS, credentials and connections. Answers stay JSON, since kinds
//! are only known at run time. Nothing here retries: callers know what a failure means to them.
mod congestion;
pub(crate) mod discovery;
mod error;
mod fence;
mod lines;
mod verb;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use congestion::{Gate, Pass};
pub(crate) use error::{ApiError, Cause, FieldConflict};
pub(crate) use fence::{Fence, HANDOVER};
pub(crate) use lines::Lines;
pub(crate) use verb::Verb;
pub(crate) use watch::{From, Line, Of, WatchRequest, read_line};

use crate::FIELD_MANAGER;
use crate::metrics::Metrics;
use crate::object::Resource;

/// Longest wait for an answer. A write may still have happened when this passes: callers look again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer read, in bytes. A page of 50 objects of the largest size etcd takes is about this.
const ANSWER_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Largest part of a refusal read, in bytes; what follows is dropped.
const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// Objects asked for in one page: small, since memory for a page is what a list costs.
pub(crate) const PAGE_OBJECTS: u32 = 50;

/// The API server, as one agent may use it while it leads.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
    fence: Fence,
    metrics: Metrics,
    /// Whom requests are made as, when not as the agent itself.
    user: Option<Arc<str>>,
}

/// How an apply treats fields that others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apply {
    /// It fails and names them.
    Yield,
    /// It takes them over.
    Force,
    /// As `Yield`, and nothing is written.
    Try,
    /// It makes the object. Where there is one by its name already, nothing is written.
    Create,
}

/// A version that no object has. An apply for a version fails with a conflict when the object has another one,
/// and creates the object when there is none (k8s.io/apiserver, `Store.Update`).
const VERSION_OF_NONE: &str = "9223372036854775807";

/// One page of a list; the items are still text, to be parsed one by one.
pub(crate) struct Page {
    pub(crate) items: Vec<Box<RawValue>>,
    pub(crate) resource_version: String,
    /// Where to go on; empty on the last page.
    pub(crate) next: String,
}

impl Api {
    pub(crate) fn new(client: kube::Client, fence: Fence, metrics: Metrics) -> Self {
        Api { client, fence, metrics, user: None }
    }

    /// The same, asking in the name of another user. The server adds the groups of a service account.
    pub(crate) fn acting_as(&self, user: Arc<str>) -> Api {
        Api { user: Some(user), ..self.clone() }
    }

    /// Where requests are counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reads one object.
    pub(crate) async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ApiError> {
        let path = object_path(resource, namespace, name);
        parse(&self.call(Verb::Get, &path, "", Vec::new()).await?)
    }

    /// Reads a path that is no object, such as `/version`.
    pub(crate) async fn get_path(&self, path: &str) -> Result<Value, ApiError> {
        parse(&self.call(Verb::Get, path, "", Vec::new()).await?)
    }

    /// Reads one object's `metadata`; what is below it comes empty.
    pub(crate) async fn get_metadata(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ApiError> {
        let path = object_path(resource, namespace, name);
        parse(&self.call(Verb::GetMetadata, &path, "", Vec::new()).await?)
    }

    /// Applies one object (server-side) and gives it as it is then.
    ///
    /// # Errors
    /// [`ApiError::Held`] where others hold fields of it, unless `mode` forces them; with [`Apply::Create`] that or
    /// [`ApiError::Conflict`] where it exists.
    pub(crate) async fn apply(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: Vec<u8>,
        mode: Apply,
    ) -> Result<Value, ApiError> {
        let seconds = self.fence.check()?;
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&timeout={seconds}s{}",
            object_path(resource, namespace, name),
            match mode {
                Apply::Yield | Apply::Create => "&force=false",
                Apply::Force => "&force=true",
                Apply::Try => "&force=false&dryRun=All",
            }
        );
        let body = if mode == Apply::Create { for_version(&body, VERSION_OF_NONE) } else { body };
        parse(&self.call(Verb::Apply, &path, "application/apply-patch+yaml", body).await?)
    }

    /// What [`Api::apply`] would make of the object, taking over whatever others hold; nothing is kept.
    pub(crate) async fn apply_dry_run(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: Vec<u8>,
    ) -> Result<Value, ApiError> {
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict&dryRun=All",
            object_path(resource, namespace, name)
        );
        parse(&self.call(Verb::Apply, &path, "application/apply-patch+yaml", body).await?)
    }

    /// Changes one object by a JSON patch (RFC 6902).
    pub(crate) async fn patch(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let seconds = self.fence.check()?;
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&timeout={seconds}s",
            object_path(resource, namespace, name)
        );
        parse(&self.call(Verb::Patch, &path, "application/json-patch+json", patch.to_string().into()).await?)
    }

    /// Whether the object would be valid if there were none by its name yet. Writes nothing.
    pub(crate) async fn could_be_created(
        &self,
        resource: &Resource,
        namespace: &str,
        body: Vec<u8>,
    ) -> Result<bool, ApiError> {
        let path =
            format!("{}?fieldManager={FIELD_MANAGER}&dryRun=All", collection_path(resource, namespace));
        match self.call(Verb::Create, &path, "application/json", body).await {
            // Validation comes before the look whether it exists already.
            Ok(_) | Err(ApiError::Conflict(_)) => Ok(true),
            Err(ApiError::Invalid { .. } | ApiError::Rejected { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates one object, failing when it exists.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", collection_path(resource, namespace));
        self.send_object(Verb::Create, &path, body).await
    }

    /// The same, only while this agent leads and for no longer.
    pub(crate) async fn create_fenced(
        &self,
        resource: &Resource,
        namespace: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let seconds = self.fence.check()?;
        let path = collection_path(resource, namespace);
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&timeout={seconds}s");
        self.send_object(Verb::Create, &path, body).await
    }

    /// Replaces one object; its `resourceVersion` must be the current one, where it has one.
    pub(crate) async fn replace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", object_path(resource, namespace, name));
        self.send_object(Verb::Update, &path, body).await
    }

    /// The same, only while this agent leads and for no longer.
    pub(crate) async fn replace_fenced(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let seconds = self.fence.check()?;
        let path = object_path(resource, namespace, name);
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&timeout={seconds}s");
        self.send_object(Verb::Update, &path, body).await
    }

    /// Deletes exactly the object with this uid; its dependants follow in the background.
    pub(crate) async fn delete(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ApiError> {
        let seconds = self.fence.check()?;
        let options = serde_json::json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "propagationPolicy": "Background", "preconditions": {"uid": uid},
        });
        let path = format!("{}?timeout={seconds}s", object_path(resource, namespace, name));
        self.call(Verb::Delete, &path, "application/json", options.to_string().into()).await.map(drop)
    }

    /// Reads one page of the objects of a kind, of one namespace or (when empty) of all.
    pub(crate) async fn page(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
        next: &str,
    ) -> Result<Page, ApiError> {
        #[derive(Deserialize)]
        struct List {
            metadata: Metadata,
            #[serde(default)]
            items: Option<Vec<Box<RawValue>>>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            #[serde(default)]
            resource_version: String,
            #[serde(default, rename = "continue")]
            next: String,
        }
        let path = format!(
            "{}?limit={PAGE_OBJECTS}&labelSelector={}&continue={}",
            collection_path(resource, namespace),
            escape(selector),
            escape(next)
        );
        let List { metadata, items } = parse(&self.call(Verb::List, &path, "", Vec::new()).await?)?;
        Ok(Page {
            items: items.unwrap_or_default(),
            resource_version: metadata.resource_version,
            next: metadata.next,
        })
    }

    /// Reads at most `count_max` objects of a namespace that the labels and fields select; empty selects all.
    pub(crate) async fn select(
        &self,
        resource: &Resource,
        namespace: &str,
        labels: &str,
        fields: &str,
        count_max: u32,
    ) -> Result<Vec<Value>, ApiError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            items: Option<Vec<Value>>,
        }
        let path = format!(
            "{}?limit={count_max}&labelSelector={}&fieldSelector={}",
            collection_path(resource, namespace),
            escape(labels),
            escape(fields)
        );
        let List { items } = parse(&self.call(Verb::List, &path, "", Vec::new()).await?)?;
        Ok(items.unwrap_or_default())
    }

    async fn send_object(&self, verb: Verb, path: &str, body: &Value) -> Result<Value, ApiError> {
        parse(&self.call(verb, path, "application/json", body.to_string().into()).await?)
    }

    async fn call(&self, verb: Verb, path: &str, kind: &str, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        let call = async {
            let response = self.send(verb, path, kind, body).await?;
            read(response.into_body(), ANSWER_BYTES_MAX).await
        };
        tokio::time::timeout(ANSWER_TIMEOUT, call).await.unwrap_or(Err(ApiError::Timeout))
    }

    /// Sends a request and gives the answer once its head says success.
    async fn send(
        &self,
        verb: Verb,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<http::Response<Body>, ApiError> {
        let mut request =
            Request::builder().method(verb.method()).uri(path).header(header::ACCEPT, verb.accept());
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(user) = &self.user {
            request = request.header("Impersonate-User", &**user);
        }
        let request = request.body(Body::from(body)).map_err(|error| {
            ApiError::Malformed(format!("The address {path} cannot be asked for: {error}."))
        })?;
        let began = Instant::now();
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.client.send(request)).await;
        let sent = match sent {
            Ok(sent) => sent.map_err(|error| ApiError::from_client(&error)),
            Err(_) => Err(ApiError::Timeout),
        };
        let code = sent.as_ref().map(|response| response.status().as_u16());
        self.metrics.asked(verb, code, began.elapsed());
        let response = sent?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = read(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
        Err(ApiError::from_refusal(head.status.as_u16(), &head.headers, &body))
    }
}

async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let collected = Limited::new(body, bytes_max).collect().await;
    collected.map(|body| body.to_bytes().into()).map_err(|error| ApiError::Unreachable(error.to_string()))
}

fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, ApiError> {
    // The error's text gives a position, never content, so no Secret can slip into it.
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::Malformed(format!("The API server's answer is not the JSON expected: {error}."))
    })
}

/// The object, as it is written for one of its versions alone.
fn for_version(object: &[u8], version: &str) -> Vec<u8> {
    // What is no object is sent as it is: the server says best what is wrong with it.
    let Ok(mut value) = serde_json::from_slice::<Value>(object) else { return object.to_vec() };
    match value.get_mut("metadata").and_then(Value::as_object_mut) {
        Some(metadata) => drop(metadata.insert("resourceVersion".to_owned(), version.into())),
        None => return object.to_vec(),
    }
    value.to_string().into_bytes()
}

fn collection_path(resource: &Resource, namespace: &str) -> String {
    let gvk = &resource.gvk;
    let root = match &*gvk.group_kind.group {
        "" => format!("/api/{}", gvk.version),
        group => format!("/apis/{group}/{}", gvk.version),
    };
    match namespace {
        "" => format!("{root}/{}", resource.plural),
        namespace => format!("{root}/namespaces/{}/{}", escape(namespace), resource.plural),
    }
}

fn object_path(resource: &Resource, namespace: &str, name: &str) -> String {
    format!("{}/{}", collection_path(resource, namespace), escape(name))
}

/// Escapes what does not stand for itself in a path segment or a query value.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                escaped.push(byte.into());
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;

    #[test]
    fn an_object_is_written_for_one_version() {
        let written = |object: &str| String::from_utf8(for_version(object.as_bytes(), "7")).unwrap();
        assert_eq!(
            written(r#"{"kind":"A","metadata":{"name":"a"}}"#),
            r#"{"kind":"A","metadata":{"name":"a","resourceVersion":"7"}}"#
        );
        for odd in ["", "[]", r#"{"metadata":1}"#] {
            assert_eq!(written(odd), odd);
        }
    }

    #[test]
    fn addresses_follow_group_scope_and_escape_names() {
        let resource = |group, plural: &str, namespaced| Resource {
            gvk: Gvk::new(group, "v1", "Any"),
            plural: plural.to_owned(),
            namespaced,
        };
        let cases = [
            (resource("", "configmaps", true), "demo", "a", "/api/v1/namespaces/demo/configmaps/a"),
            (
                resource("apps", "deployments", true),
                "demo",
                "a",
                "/apis/apps/v1/namespaces/demo/deployments/a",
            ),
            (
                resource("rbac.authorization.k8s.io", "clusterroles", false),
                "",
                "system:a/../b",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2F..%2Fb",
            ),
        ];
        for (resource, namespace, name, path) in cases {
            assert_eq!(object_path(&resource, namespace, name), path);
        }
    }
}
