//! Who is asked before an object is written? An admission webhook over TLS, which does as the test says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Error;
use crate::certificates::Authority;
use crate::{ports, serve};

/// What a webhook answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The object may be written as it is.
    Allow,
    /// The object is changed by this JSON patch.
    Change(Value),
    /// It is refused, for that reason.
    Refuse(String),
    /// The webhook fails (500).
    Fail,
    /// It is allowed, after that long.
    AllowAfter(Duration),
}

type Judge = dyn Fn(&Value) -> Verdict + Send + Sync;

/// A running webhook. Dropping it stops it. It belongs to the Tokio runtime of the test.
pub struct Webhook {
    shared: Arc<Shared>,
    url: String,
    authority: String,
    server: JoinHandle<()>,
}

struct Shared {
    judge: Mutex<Arc<Judge>>,
    asked: Mutex<Vec<Value>>,
}

impl Webhook {
    /// Starts a webhook that judges by `judge`, which is given the `request` of each AdmissionReview.
    ///
    /// # Errors
    /// No certificate or no port can be had.
    pub fn start(judge: impl Fn(&Value) -> Verdict + Send + Sync + 'static) -> Result<Webhook, Error> {
        let authority = Authority::new("webhook test CA")?;
        let acceptor = authority.acceptor(&["127.0.0.1"]).map_err(Error::Kubeconfig)?;
        let (listener, port) = ports::listen();
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared { judge: Mutex::new(Arc::new(judge)), asked: Mutex::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(serve::connections(listener, Some(acceptor), router));
        let url = format!("https://127.0.0.1:{port}/");
        Ok(Webhook { shared, url, authority: authority.certificate().to_owned(), server })
    }

    /// Judges by something else from now on.
    pub fn set(&self, judge: impl Fn(&Value) -> Verdict + Send + Sync + 'static) {
        *lock(&self.shared.judge) = Arc::new(judge);
    }

    /// The requests it was asked about so far, refused ones too.
    pub fn asked(&self) -> Vec<Value> {
        lock(&self.shared.asked).clone()
    }

    /// Its `clientConfig`, for a webhook configuration.
    pub fn client_config(&self) -> Value {
        json!({"url": self.url, "caBundle": STANDARD.encode(&self.authority)})
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let request = &review["request"];
    let judge = Arc::clone(&lock(&shared.judge));
    // One after the other: a judge that counts is to be right.
    let verdict = {
        let mut asked = lock(&shared.asked);
        asked.push(request.clone());
        judge(request)
    };
    let mut response = json!({"uid": request["uid"], "allowed": true});
    match verdict {
        Verdict::Allow => {}
        Verdict::Change(patch) => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(patch.to_string()));
        }
        Verdict::Refuse(reason) => {
            response["allowed"] = json!(false);
            response["status"] = json!({"code": 403, "message": reason});
        }
        Verdict::Fail => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Verdict::AllowAfter(wait) => tokio::time::sleep(wait).await,
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    ([(CONTENT_TYPE, "application/json")], review.to_string()).into_response()
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
