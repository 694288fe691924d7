//! Who may speak to a test cluster, and how? Kubeconfigs that stand alone, one a user.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::Error;
use crate::certificates::Authority;
use crate::scratch::Scratch;

/// One user's way into a cluster.
#[derive(Clone)]
pub struct Access {
    path: PathBuf,
    config: kube::Config,
}

impl Access {
    /// The kubeconfig file; it lives as long as the cluster.
    pub fn kubeconfig(&self) -> &Path {
        &self.path
    }

    /// The same as a configuration of the Rust client.
    pub fn config(&self) -> &kube::Config {
        &self.config
    }

    /// A new client for this user. It belongs to the calling Tokio runtime.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::try_from(self.config.clone()).expect("the configuration was accepted when it was made")
    }
}

/// Access by a client certificate; an existing kubeconfig of that user is replaced.
pub(super) async fn for_user(
    scratch: &Scratch,
    cluster: &str,
    server: &str,
    authority: &Authority,
    user: &str,
    group: Option<&str>,
) -> Result<Access, Error> {
    let identity = authority.client(user, group)?;
    let credential = json!({
        "client-certificate-data": STANDARD.encode(identity.certificate),
        "client-key-data": STANDARD.encode(identity.key),
    });
    write(scratch, cluster, server, authority, user, &credential).await
}

/// Access by a bearer token.
pub(super) async fn for_token(
    scratch: &Scratch,
    cluster: &str,
    server: &str,
    authority: &Authority,
    user: &str,
    token: &str,
) -> Result<Access, Error> {
    write(scratch, cluster, server, authority, user, &json!({ "token": token })).await
}

/// A token for a service account, valid for an hour.
pub(super) async fn token(client: kube::Client, namespace: &str, name: &str) -> Result<String, Error> {
    let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token);
    token.ok_or_else(|| Error::Kubeconfig(format!("the API server gave no token for {namespace}/{name}")))
}

async fn write(
    scratch: &Scratch,
    cluster: &str,
    server: &str,
    authority: &Authority,
    user: &str,
    credential: &Value,
) -> Result<Access, Error> {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": cluster, "cluster": {
            "server": server,
            "certificate-authority-data": STANDARD.encode(authority.certificate()),
        }}],
        "users": [{ "name": user, "user": credential }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": user } }],
        "current-context": cluster,
    });
    let unusable = |reason: &dyn std::fmt::Display| Error::Kubeconfig(reason.to_string());
    let text = serde_yaml::to_string(&document).map_err(|error| unusable(&error))?;
    let path = scratch.path().join(format!("{}.kubeconfig", user.replace([':', '/'], "-")));
    std::fs::write(&path, &text)?;
    let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| unusable(&error))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Ok(Access { path, config: config.map_err(|error| unusable(&error))? })
}
