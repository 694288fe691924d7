//! Agents that only talk with the hub, by the thousand: what does it make of what they say?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_hub::{authority::Authority, identity::Identity, init};
use muster_wire::once::{self, Refusal};
use muster_wire::v1::{
    self, AgentMessage, AppStatus, HubMessage, agent_message::Body, agent_service_client::AgentServiceClient,
    hub_message,
};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic::Streaming;
use tonic::transport::Channel;

/// What went wrong, whatever it is.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Life of the certificates made here.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Messages of an agent that the network has not taken.
const OUTBOUND_MAX: usize = 256;

/// TLS as the agent of each of so many clusters, by certificates of the CA in the hub's directory: nobody enrols.
///
/// # Errors
/// The CA cannot be read.
pub fn configs(hub: &Path, count: usize) -> Result<Vec<Arc<ClientConfig>>> {
    let authority = init::authority(hub)?;
    (0..count).map(|number| config(&authority, &Identity::Cluster(name(number).parse()?))).collect()
}

/// TLS as the operator whose file `init` wrote.
///
/// # Errors
/// It cannot be read.
pub fn operator(hub: &Path) -> Result<Arc<ClientConfig>> {
    let file: serde_yaml::Value = serde_yaml::from_slice(&std::fs::read(hub.join("operator.yaml"))?)?;
    let text = |key: &str| file[key].as_str().unwrap_or_default().as_bytes().to_vec();
    let chain = vec![CertificateDer::from_pem_slice(&text("certificate"))?];
    let key = PrivateKeyDer::from_pem_slice(&text("key"))?;
    client_config(CertificateDer::from_pem_slice(&text("ca"))?, chain, key)
}

fn config(authority: &Authority, identity: &Identity) -> Result<Arc<ClientConfig>> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let issued = authority.certify(identity, &key, 0, LIFETIME, jiff::Timestamp::now())?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    client_config(authority.certificate().clone(), vec![issued.certificate.to_vec().into()], private)
}

fn client_config(
    ca: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = builder.with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Name of the cluster of that number.
#[must_use]
pub fn name(number: usize) -> String {
    format!("cluster-{number:04}")
}

/// A connection to the hub.
///
/// # Errors
/// The hub does not take it.
pub async fn channel(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Channel> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    let mut once = once::once(stream, &Refusal::default());
    let connector = tower::service_fn(move |_| std::future::ready(once()));
    Ok(once::endpoint(&address.to_string())?.connect_with_connector(connector).await?)
}

/// An agent on its stream.
pub struct Agent {
    /// What it says.
    pub outbound: mpsc::Sender<AgentMessage>,
    /// What the hub says.
    pub inbound: Streaming<HubMessage>,
    /// Apps the hub wants to be sent again.
    pub resend: usize,
    _channel: Channel,
}

impl Agent {
    /// Connects and says which apps the cluster has.
    ///
    /// # Errors
    /// The hub does not welcome it.
    pub async fn connect(
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        cluster: &str,
        apps: &[AppStatus],
    ) -> Result<Self> {
        let channel = channel(address, tls).await?;
        let apps =
            apps.iter().map(|status| v1::AppDigest { app: status.app.clone(), digest: digest(status) });
        let hello = v1::Hello {
            agent_version: "test".into(),
            cluster: cluster.into(),
            apps: apps.collect(),
            ..v1::Hello::default()
        };
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        outbound.send(AgentMessage { body: Some(Body::Hello(hello)) }).await?;
        let messages = futures::stream::unfold(messages, async |mut messages| {
            let message = messages.recv().await?;
            Some((message, messages))
        });
        let mut inbound = AgentServiceClient::new(channel.clone()).connect(messages).await?.into_inner();
        match inbound.message().await?.and_then(|message| message.body) {
            Some(hub_message::Body::Welcome(welcome)) => {
                Ok(Self { outbound, inbound, resend: welcome.send_apps.len(), _channel: channel })
            }
            other => Err(format!("not Welcome but {other:?}").into()),
        }
    }
}

/// As the protocol has it: the first 16 bytes of the SHA-256 of the encoded status.
fn digest(status: &AppStatus) -> Vec<u8> {
    use prost::Message as _;
    ring::digest::digest(&ring::digest::SHA256, &status.encode_to_vec()).as_ref()[..16].to_vec()
}

/// A report of about 300 bytes: an app with three objects.
#[must_use]
pub fn status(app: &str, revision: &str) -> AppStatus {
    let object = |kind: &str| v1::ObjectStatus {
        object: Some(v1::ObjectRef {
            group: "apps".into(),
            version: "v1".into(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: app.into(),
        }),
        sync: v1::SyncStatus::Synced.into(),
        health: v1::HealthStatus::Healthy.into(),
        message: String::new(),
    };
    AppStatus {
        app: app.into(),
        revision: revision.into(),
        wanted_revision: "5c704748f1b2a0e6d3c9b8a7f6e5d4c3b2a19080".into(),
        path: format!("manifests/{app}"),
        sync: v1::SyncStatus::Synced.into(),
        health: v1::HealthStatus::Healthy.into(),
        objects: ["Deployment", "Service", "ConfigMap"].map(object).to_vec(),
        object_count: 3,
        ..AppStatus::default()
    }
}

/// A report as a message, by its number among those about the app.
#[must_use]
pub fn report(sequence: u64, status: AppStatus) -> AgentMessage {
    AgentMessage { body: Some(Body::App(v1::AppReport { sequence, status: Some(status) })) }
}
