//! A hub and a Kubernetes API for tests of the link: small, in process, over real TLS.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Method, Request, Response};
use kube::client::Body;
use muster_wire::v1::{
    Ack, AgentMessage, AppAck, AppStatus, ClusterStatus, EnrollRequest, EnrollResponse, Event, HubMessage,
    RenewRequest, Welcome, agent_message,
    agent_service_server::{AgentService, AgentServiceServer},
    enrollment_service_server::{EnrollmentService, EnrollmentServiceServer},
    hub_message,
};
use prost::Message as _;
use ring::digest;
use rustls::{RootCertStore, ServerConfig, pki_types::CertificateDer, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::server::Connected};

/// A CA like the hub's.
pub(super) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "test hub");
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: rcgen::Issuer::new(params, key), der }
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Certificate and PKCS#8 key for a server of this name.
    pub(super) fn server(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key.serialize_der())
    }

    /// A certificate for the key in `csr`, valid from now.
    pub(super) fn client(&self, csr: &[u8], cluster: &str, lifetime: Duration) -> Vec<u8> {
        let mut request = rcgen::CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        let uri = format!("spiffe://muster/cluster/{cluster}").try_into().unwrap();
        request.params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        let now = std::time::SystemTime::now();
        request.params.not_before = now.into();
        request.params.not_after = (now + lifetime).into();
        request.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    fn fingerprint(&self) -> String {
        digest::digest(&digest::SHA256, &self.der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A token for a hub of this CA.
    pub(super) fn token(&self, secret: &str) -> String {
        format!("muster1.id.{secret}.{}", self.fingerprint())
    }
}

/// What the fake hub knows and how it behaves.
pub(super) struct HubState {
    pub(super) cluster: Option<ClusterStatus>,
    pub(super) apps: BTreeMap<String, AppStatus>,
    pub(super) events: Vec<Event>,
    pub(super) welcomes: usize,
    /// Streams that were refused.
    pub(super) refusals: usize,
    /// Connections that were closed before TLS was done.
    pub(super) failed_handshakes: usize,
    pub(super) heartbeats: usize,
    /// Reports of apps that came in, however often.
    pub(super) reports: usize,
    pub(super) enrolments: usize,
    pub(super) renewals: usize,
    /// Client certificates of the streams, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) secret: String,
    pub(super) lifetime: Duration,
    pub(super) heartbeat_seconds: u32,
    /// What streams are answered with instead of Welcome, until the cluster enrols anew.
    pub(super) refuse: Option<Status>,
    pub(super) acknowledge: bool,
}

impl Default for HubState {
    fn default() -> Self {
        Self {
            cluster: None,
            apps: BTreeMap::new(),
            events: Vec::new(),
            welcomes: 0,
            refusals: 0,
            failed_handshakes: 0,
            heartbeats: 0,
            reports: 0,
            enrolments: 0,
            renewals: 0,
            certificates: Vec::new(),
            secret: "right".to_owned(),
            lifetime: Duration::from_secs(3_600),
            heartbeat_seconds: 60,
            refuse: None,
            acknowledge: true,
        }
    }
}

/// A hub on loopback. It stops when dropped; its state lives on.
pub(super) struct FakeHub {
    pub(super) address: SocketAddr,
    server: JoinHandle<()>,
    cut: broadcast::Sender<()>,
}

#[derive(Clone)]
struct Service {
    authority: Arc<Authority>,
    state: Arc<Mutex<HubState>>,
}

impl FakeHub {
    pub(super) async fn start(authority: &Arc<Authority>, state: &Arc<Mutex<HubState>>, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls(authority)));
        let (cut, _) = broadcast::channel(1);
        let (accepted, connections) = mpsc::channel(16);
        let (cuts, handshakes) = (cut.clone(), state.clone());
        let accept = async move {
            while let Ok((tcp, _)) = listener.accept().await {
                match acceptor.accept(tcp).await {
                    Ok(tls) => {
                        let cut = Box::pin(cut_off(cuts.subscribe()));
                        let _ = accepted.send(Ok::<_, std::io::Error>(Io { tls, cut })).await;
                    }
                    Err(_) => handshakes.lock().unwrap().failed_handshakes += 1,
                }
            }
        };
        let service = Service { authority: authority.clone(), state: state.clone() };
        let serve = tonic::transport::Server::builder()
            .add_service(EnrollmentServiceServer::new(service.clone()))
            .add_service(AgentServiceServer::new(service))
            .serve_with_incoming(ReceiverStream::new(connections));
        let server = tokio::spawn(async move {
            tokio::select! {
                () = accept => {}
                _ = serve => {}
            }
        });
        Self { address, server, cut }
    }

    /// Stops; its port is free afterwards.
    pub(super) async fn stop(mut self) {
        self.cut_connections();
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Ends every connection without a word.
    pub(super) fn cut_connections(&self) {
        let _ = self.cut.send(());
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.cut_connections();
        self.server.abort();
    }
}

async fn cut_off(mut cuts: broadcast::Receiver<()>) {
    let _ = cuts.recv().await;
}

fn tls(authority: &Authority) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from(authority.der.clone());
    roots.add(ca.clone()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let (certificate, key) = authority.server("127.0.0.1");
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.into(), ca], key.try_into().unwrap())
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}

impl Service {
    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap()
    }

    fn certify(&self, csr: &[u8], cluster: &str) -> EnrollResponse {
        EnrollResponse {
            certificate: self.authority.client(csr, cluster, self.state().lifetime),
            ca_certificate: self.authority.der.clone(),
            expires_at: None,
            ca_certificates: Vec::new(), // as from a hub of the first version
        }
    }
}

#[tonic::async_trait]
impl EnrollmentService for Service {
    async fn enroll(
        &self,
        request: tonic::Request<EnrollRequest>,
    ) -> Result<tonic::Response<EnrollResponse>, Status> {
        let request = request.into_inner();
        self.state().enrolments += 1;
        if request.token != self.authority.token(&self.state().secret) {
            return Err(Status::unauthenticated("the token is not known"));
        }
        self.state().refuse = None;
        Ok(tonic::Response::new(self.certify(&request.csr, &request.cluster)))
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    type ConnectStream = ReceiverStream<Result<HubMessage, Status>>;

    async fn connect(
        &self,
        request: tonic::Request<Streaming<AgentMessage>>,
    ) -> Result<tonic::Response<Self::ConnectStream>, Status> {
        let Some(Peer(Some(certificate))) = request.extensions().get::<Peer>().cloned() else {
            return Err(Status::unauthenticated("no certificate"));
        };
        let refuse = self.state().refuse.clone();
        if let Some(status) = refuse {
            self.state().refusals += 1;
            return Err(status);
        }
        self.state().certificates.push(certificate);
        let mut messages = request.into_inner();
        let (answers, answered) = mpsc::channel(128);
        let service = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                if let Some(answer) = service.heard(message)
                    && answers.send(Ok(HubMessage { body: Some(answer) })).await.is_err()
                {
                    break;
                }
            }
        });
        Ok(tonic::Response::new(ReceiverStream::new(answered)))
    }

    async fn renew(
        &self,
        request: tonic::Request<RenewRequest>,
    ) -> Result<tonic::Response<EnrollResponse>, Status> {
        self.state().renewals += 1;
        Ok(tonic::Response::new(self.certify(&request.into_inner().csr, "dev")))
    }
}

impl Service {
    fn heard(&self, message: AgentMessage) -> Option<hub_message::Body> {
        let mut state = self.state();
        let mut ack = Ack::default();
        match message.body? {
            agent_message::Body::Hello(hello) => {
                state.apps.retain(|name, _| hello.apps.iter().any(|digest| digest.app == *name));
                let stale = hello.apps.iter().filter(|digest| {
                    let known = state.apps.get(&digest.app).map(|status| status.encode_to_vec());
                    known.is_none_or(|known| {
                        digest::digest(&digest::SHA256, &known).as_ref()[..16] != digest.digest[..]
                    })
                });
                let send_apps = stale.map(|digest| digest.app.clone()).collect();
                state.welcomes += 1;
                let heartbeat_seconds = state.heartbeat_seconds;
                let welcome = Welcome {
                    hub_version: "test".into(),
                    send_apps,
                    heartbeat_seconds,
                    ..Welcome::default()
                };
                return Some(hub_message::Body::Welcome(welcome));
            }
            agent_message::Body::Cluster(status) => {
                state.cluster = Some(status);
                ack.cluster = true;
            }
            agent_message::Body::App(report) => {
                let status = report.status.unwrap();
                ack.apps.push(AppAck { app: status.app.clone(), sequence: report.sequence });
                state.apps.insert(status.app.clone(), status);
                state.reports += 1;
            }
            agent_message::Body::Removed(removed) => {
                state.apps.remove(&removed.app);
                ack.apps.push(AppAck { app: removed.app, sequence: removed.sequence });
            }
            agent_message::Body::Event(event) => {
                ack.event_ids.push(event.id.clone());
                state.events.push(event);
            }
            agent_message::Body::Heartbeat(_) => {
                state.heartbeats += 1;
                return None;
            }
            agent_message::Body::Trusted(_) => return None,
        }
        state.acknowledge.then_some(hub_message::Body::Ack(ack))
    }
}

/// The certificate of a client, if it showed one.
#[derive(Clone)]
struct Peer(Option<Vec<u8>>);

/// A connection that can be cut.
struct Io {
    tls: TlsStream<TcpStream>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connected for Io {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let (_, session) = self.tls.get_ref();
        Peer(session.peer_certificates().and_then(|chain| chain.first()).map(|first| first.to_vec()))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            self.cut = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

/// The one Secret, as a Kubernetes API that knows nothing else; none before it was written.
pub(super) type FakeSecret = Arc<Mutex<Option<serde_json::Value>>>;

/// A client of it.
pub(super) fn kubernetes(secret: &FakeSecret) -> kube::Client {
    let secret = secret.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let secret = secret.clone();
        async move {
            assert_eq!(
                request.uri().path(),
                "/api/v1/namespaces/muster-system/secrets/muster-agent-identity"
            );
            let method = request.method().clone();
            let body = request.into_body().collect_bytes().await.unwrap();
            if method == Method::PATCH {
                let mut written: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let texts = written.as_object_mut().unwrap().remove("stringData").unwrap();
                for (name, text) in texts.as_object().unwrap() {
                    written["data"][name] = BASE64_STANDARD.encode(text.as_str().unwrap()).into();
                }
                *secret.lock().unwrap() = Some(written);
            }
            let (code, body) = match &*secret.lock().unwrap() {
                Some(secret) => (200, secret.to_string()),
                None => {
                    let status = serde_json::json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "not found", "reason": "NotFound", "code": 404,
                    });
                    (404, status.to_string())
                }
            };
            let response = Response::builder().status(code).body(Body::from(body.into_bytes()));
            Ok::<_, std::io::Error>(response.unwrap())
        }
    });
    kube::Client::new(service, "muster-system")
}
