//! Where the cluster's identity is kept: a Secret of the agent's namespace, read at each start and
//! written at each renewal. The private key leaves this process only for there.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{identity::Identity, problem::Problem};

/// Name of the Secret.
pub(super) const NAME: &str = "muster-agent-identity";
/// Longest time for one request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Who owns its fields.
const FIELD_MANAGER: &str = "muster-agent";

/// The Secret, wherever it is.
pub(super) struct Vault {
    secrets: Api<Secret>,
    place: String,
}

impl Vault {
    /// The one in this namespace.
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace), place: format!("{namespace}/{NAME}") }
    }

    /// The identity that is kept, or why the one that is kept is none; nothing when there never was one.
    pub(super) async fn load(&self) -> Result<Option<Result<Identity, String>>, Problem> {
        let secret =
            within(self.secrets.get_opt(NAME)).await.map_err(|message| self.problem("read", message))?;
        Ok(secret.map(|secret| identity(&secret.data.unwrap_or_default())))
    }

    /// Keeps the identity, in place of any other.
    pub(super) async fn save(&self, identity: &Identity) -> Result<(), Problem> {
        let [certificate, key, ca] = identity.to_pem();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER}},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": ca},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = within(self.secrets.patch(NAME, &params, &Patch::Apply(&secret))).await;
        written.map(drop).map_err(|message| self.problem("written", message))
    }

    fn problem(&self, verb: &'static str, message: String) -> Problem {
        Problem::Secret { secret: self.place.clone(), verb, message }
    }
}

/// The answer of the API server, if it comes in time. An error may repeat what was sent or found, and
/// that holds the key: only its reason is told.
async fn within<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => {
            Err(format!("the API server says {} ({})", status.reason, status.code))
        }
        Ok(Err(kube::Error::SerdeError(_))) => Err("it is not a Secret as it should be".to_owned()),
        Ok(Err(_)) => Err("the API server cannot be reached".to_owned()),
        Err(_) => Err(format!("the API server did not answer within {} seconds", REQUEST_TIMEOUT.as_secs())),
    }
}

fn identity(data: &BTreeMap<String, ByteString>) -> Result<Identity, String> {
    let part = |name: &str| data.get(name).map(|part| part.0.as_slice()).ok_or(format!("it has no {name}"));
    Identity::from_pem(part("tls.crt")?, part("tls.key")?, part("ca.crt")?)
}
