//! Does the real `muster-hub` keep its promises to agents and operators, and hold against everybody else?

mod access;
mod alertmanager;
mod alerts;
mod audit;
mod backup;
mod bootstrap;
mod compatibility;
mod enrolment;
mod hostile;
mod identity;
mod installed;
mod issuer;
mod metrics;
mod monitoring;
mod replicas;
mod reports;
mod revocation;
mod rotation;
mod stopping;
mod storage;
mod traces;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use muster_tests::ports;
use muster_tests::process::{Launch, Program};
use muster_tests::scratch::Scratch;
use muster_tests::wait;
use muster_wire::v1;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use v1::agent_message::Body as Said;
use v1::hub_message::Body as Heard;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A certificate chain and its key.
#[derive(Clone, Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    fn new(certificate: Vec<u8>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Self { chain: vec![certificate.into()], key: Arc::new(key) }
    }
}

/// A hub with a directory and a port of its own.
struct Hub {
    program: Program,
    directory: PathBuf,
    address: SocketAddr,
    ca: CertificateDer<'static>,
    operator: Identity,
    _scratch: Scratch,
}

impl Hub {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
        Self::start_prepared(arguments, |_| ()).await
    }

    /// Starts it after its directory was changed.
    async fn start_prepared(arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let scratch = Scratch::new("hub").unwrap();
        let directory = scratch.path().join("hub");
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        init(&directory, address).await;
        prepare(&directory);
        let operator: serde_yaml::Value =
            serde_yaml::from_slice(&std::fs::read(directory.join("operator.yaml")).unwrap()).unwrap();
        let pem = |key: &str| operator[key].as_str().unwrap().as_bytes().to_vec();
        let certificate = |key: &str| CertificateDer::from_pem_slice(&pem(key)).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem("key")).unwrap();
        let program = launch(&directory, address, arguments).start().unwrap();
        let mut hub = Self {
            program,
            directory,
            address,
            ca: certificate("ca"),
            operator: Identity { chain: vec![certificate("certificate")], key: Arc::new(key) },
            _scratch: scratch,
        };
        hub.wait().await;
        hub
    }

    async fn wait(&mut self) {
        self.program.wait_for_port(self.address, DEADLINE).await.unwrap();
    }

    /// Starts it again after it ended or was killed.
    async fn restart(&mut self) {
        self.program.restart().unwrap();
        self.wait().await;
    }

    fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    async fn channel(&self, identity: Option<&Identity>) -> Result<Channel, tonic::transport::Error> {
        channel(self.address, client_config(&self.ca, identity)).await
    }

    async fn anonymous(&self) -> Channel {
        self.channel(None).await.unwrap()
    }

    async fn as_operator(&self) -> Channel {
        self.channel(Some(&self.operator)).await.unwrap()
    }

    async fn fleet(&self) -> v1::fleet_service_client::FleetServiceClient<Channel> {
        v1::fleet_service_client::FleetServiceClient::new(self.as_operator().await)
    }

    async fn tokens(&self) -> v1::token_service_client::TokenServiceClient<Channel> {
        v1::token_service_client::TokenServiceClient::new(self.as_operator().await)
    }

    async fn token(&self, cluster: &str, uses: u32) -> v1::CreateTokenResponse {
        let request = v1::CreateTokenRequest { cluster: cluster.into(), uses, ..Default::default() };
        self.tokens().await.create_token(request).await.unwrap().into_inner()
    }

    async fn enrol(&self, token: &str, cluster: &str) -> Result<Identity, Status> {
        let (identity, ca) = self.enrol_with_ca(token, cluster).await?;
        assert_eq!(ca, self.ca.as_ref());
        Ok(identity)
    }

    /// Enrols, and gives the CA that the hub names, too.
    async fn enrol_with_ca(&self, token: &str, cluster: &str) -> Result<(Identity, Vec<u8>), Status> {
        let key = KeyPair::generate().unwrap();
        let request = v1::EnrollRequest { token: token.into(), cluster: cluster.into(), csr: csr(&key) };
        let channel = self.anonymous().await;
        let mut client = v1::enrollment_service_client::EnrollmentServiceClient::new(channel);
        let response = client.enroll(request).await?.into_inner();
        Ok((Identity::new(response.certificate, &key), response.ca_certificate))
    }

    /// The identity of a cluster that enrols with a new token.
    async fn enrolled(&self, cluster: &str) -> Identity {
        let token = self.token(cluster, 1).await.token;
        self.enrol(&token, cluster).await.unwrap()
    }

    /// Entries of the audit log, oldest first.
    async fn audit(&self) -> Vec<v1::AuditRow> {
        self.try_audit().await.unwrap()
    }

    async fn try_audit(&self) -> Result<Vec<v1::AuditRow>, Status> {
        let mut client = v1::audit_service_client::AuditServiceClient::new(self.as_operator().await);
        let request = v1::ListAuditRequest { oldest_first: true, limit: 1_000, ..Default::default() };
        Ok(client.list_audit(request).await?.into_inner().rows)
    }

    /// Waits for an entry with this result, and gives it.
    async fn audited(&self, result: &str) -> v1::AuditRow {
        wait::until(&format!("an audit entry with result {result}"), DEADLINE, async || {
            let rows = self.try_audit().await.map_err(|status| status.to_string())?;
            let seen: Vec<_> = rows.iter().map(|row| row.result.clone()).collect();
            rows.into_iter().rev().find(|row| row.result == result).ok_or(format!("{seen:?}"))
        })
        .await
    }

    /// `muster` as an operator of this hub.
    fn muster(&self, arguments: &[&str]) -> Launch {
        let config = self.directory.join("operator.yaml");
        Launch::binary("muster").unwrap().env("MUSTER_CONFIG", config).args(arguments)
    }

    async fn cluster(&self, name: &str) -> v1::Cluster {
        let request = v1::GetClusterRequest { name: name.into() };
        self.fleet().await.get_cluster(request).await.unwrap().into_inner().cluster.unwrap()
    }

    /// Revision of each app of a cluster.
    async fn revisions(&self, cluster: &str) -> Vec<(String, String)> {
        self.try_revisions(cluster).await.unwrap()
    }

    async fn try_revisions(&self, cluster: &str) -> Result<Vec<(String, String)>, Status> {
        let request = v1::ListAppsRequest { cluster: cluster.into(), ..Default::default() };
        let apps = self.fleet().await.list_apps(request).await?.into_inner().apps;
        let statuses = apps.into_iter().map(|app| app.status.unwrap());
        Ok(statuses.map(|status| (status.app, status.revision)).collect())
    }

    async fn agent(
        &self,
        cluster: &str,
        identity: &Identity,
        apps: &[v1::AppStatus],
    ) -> Result<Agent, Status> {
        Agent::connect(self.channel(Some(identity)).await.unwrap(), cluster, apps).await
    }
}

async fn init(directory: &Path, address: SocketAddr) {
    let init = Launch::binary("muster-hub").unwrap().args(["init", "--dir"]).arg(directory);
    init.args(["--address", &address.to_string()]).run(DEADLINE).await.unwrap().success();
}

fn launch(directory: &Path, address: SocketAddr, arguments: &[&str]) -> Launch {
    let run = Launch::binary("muster-hub").unwrap().args(["run", "--dir"]).arg(directory);
    run.args(["--listen", &address.to_string()]).args(arguments)
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn client_config(ca: &CertificateDer<'static>, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn channel(address: SocketAddr, config: ClientConfig) -> Result<Channel, tonic::transport::Error> {
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_: http::Uri| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::IpAddress(address.ip().into());
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    // TLS is the connector's affair; tonic only needs some address.
    Endpoint::from_static("http://hub").connect_with_connector(connect).await
}

fn status(app: &str, revision: &str) -> v1::AppStatus {
    v1::AppStatus {
        app: app.into(),
        revision: revision.into(),
        sync: v1::SyncStatus::Synced.into(),
        health: v1::HealthStatus::Healthy.into(),
        ..Default::default()
    }
}

/// As the protocol has it: the first 16 bytes of the SHA-256 of the encoded status.
fn digest(status: &v1::AppStatus) -> Vec<u8> {
    use prost::Message as _;
    let full = ring::digest::digest(&ring::digest::SHA256, &status.encode_to_vec());
    full.as_ref()[..16].to_vec()
}

/// An agent that says what it is told to.
struct Agent {
    outbound: mpsc::Sender<v1::AgentMessage>,
    inbound: Streaming<v1::HubMessage>,
    send_apps: Vec<String>,
    heartbeat_seconds: u32,
}

impl Agent {
    async fn connect(channel: Channel, cluster: &str, apps: &[v1::AppStatus]) -> Result<Self, Status> {
        let apps =
            apps.iter().map(|status| v1::AppDigest { app: status.app.clone(), digest: digest(status) });
        let hello = v1::Hello {
            agent_version: "test".into(),
            cluster: cluster.into(),
            apps: apps.collect(),
            ..Default::default()
        };
        Self::connect_with(channel, hello).await
    }

    async fn connect_with(channel: Channel, hello: v1::Hello) -> Result<Self, Status> {
        let (outbound, messages) = mpsc::channel(64);
        outbound.send(v1::AgentMessage { body: Some(Said::Hello(hello)) }).await.unwrap();
        let mut client = v1::agent_service_client::AgentServiceClient::new(channel)
            .max_encoding_message_size(64 * 1024 * 1024);
        let messages = futures::stream::unfold(messages, async |mut messages| {
            let message = messages.recv().await?;
            Some((message, messages))
        });
        let mut inbound = client.connect(messages).await?.into_inner();
        match next(&mut inbound).await? {
            Some(Heard::Welcome(welcome)) => Ok(Self {
                outbound,
                inbound,
                send_apps: welcome.send_apps,
                heartbeat_seconds: welcome.heartbeat_seconds,
            }),
            other => panic!("not Welcome but {other:?}"),
        }
    }

    async fn say(&self, said: Said) {
        // When the hub has ended the stream, what it answered says why.
        let _ = self.outbound.send(v1::AgentMessage { body: Some(said) }).await;
    }

    async fn report(&self, sequence: u64, status: v1::AppStatus) {
        self.say(Said::App(v1::AppReport { sequence, status: Some(status) })).await;
    }

    /// Reports and waits until it is acknowledged.
    async fn report_kept(&mut self, sequence: u64, status: v1::AppStatus) {
        let app = status.app.clone();
        self.report(sequence, status).await;
        self.acknowledged(&app, sequence).await;
    }

    async fn acknowledged(&mut self, app: &str, sequence: u64) {
        loop {
            let ack = self.ack().await.unwrap();
            if ack.apps.iter().any(|ack| ack.app == app && ack.sequence >= sequence) {
                return;
            }
        }
    }

    async fn ack(&mut self) -> Result<v1::Ack, Status> {
        loop {
            match next(&mut self.inbound).await? {
                Some(Heard::Ack(ack)) => return Ok(ack),
                Some(Heard::TrustBundle(_) | Heard::Fetch(_)) => {}
                other => panic!("not an Ack but {other:?}"),
            }
        }
    }

    /// Why the hub ended the stream; acknowledgements before it are passed over.
    async fn end(&mut self) -> Status {
        loop {
            match next(&mut self.inbound).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the hub ended the stream without a word"),
                Err(status) => return status,
            }
        }
    }
}

async fn next(inbound: &mut Streaming<v1::HubMessage>) -> Result<Option<Heard>, Status> {
    let message = tokio::time::timeout(DEADLINE, inbound.message()).await.expect("the hub says something");
    Ok(message?.and_then(|message| message.body))
}
