//! How is etcd spoken to, and which member of it?
//!
//! One connection at a time, to one member. A call that its member does not answer goes to the next one,
//! and so do all that follow.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::rpc::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest,
    RangeResponse, TxnRequest, WatchCreateRequest, WatchRequest, WatchResponse, kv_client::KvClient,
    lease_client::LeaseClient, watch_client::WatchClient, watch_request,
};

/// How long a connection and a call may take.
const CALL_MAX: Duration = Duration::from_secs(2);
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A quiet connection is asked for a sign of life this often, and given up without one.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Largest answer taken, in bytes: a page of records, each of which etcd limits to 1.5 MiB by default.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where etcd is, and as whom it is spoken to.
#[derive(Clone)]
pub struct EtcdSettings {
    /// Members, at least one.
    pub endpoints: Vec<EtcdEndpoint>,
    /// What all keys begin with, so that several fleets may share one etcd.
    pub prefix: String,
    /// `None` speaks in plain text.
    pub tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for EtcdSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls.is_some();
        formatter.debug_struct("EtcdSettings").field("endpoints", &self.endpoints).field("tls", &tls).finish()
    }
}

/// Host and port of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdEndpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// Usually 2379.
    pub port: u16,
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// TLS with etcd: whom to trust, and a client certificate if it wants one. etcd speaks TLS 1.2 or 1.3.
///
/// # Errors
/// A sentence for people about a file that cannot be used.
pub fn tls(ca: &Path, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, String> {
    let unusable =
        |path: &Path, error: &dyn fmt::Display| format!("{} cannot be used: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| unusable(ca, &error))? {
        let added = certificate.map_err(|error| unusable(ca, &error)).map(|found| roots.add(found));
        added?.map_err(|error| unusable(ca, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(certificate, &error))?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| unusable(key, &error))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A connection to whichever member answers.
pub(super) struct Client {
    settings: EtcdSettings,
    /// Counts up with each change of member.
    turn: AtomicUsize,
    channel: Mutex<Channel>,
}

impl Client {
    pub(super) fn new(settings: EtcdSettings) -> Self {
        let channel = Mutex::new(channel(&settings, 0));
        Self { settings, turn: AtomicUsize::new(0), channel }
    }

    pub(super) fn endpoints(&self) -> String {
        let all: Vec<String> = self.settings.endpoints.iter().map(ToString::to_string).collect();
        all.join(", ")
    }

    pub(super) fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// The connection, and its number for [`Client::turn_from`].
    fn current(&self) -> (usize, Channel) {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        (self.turn.load(Ordering::Relaxed), channel.clone())
    }

    /// Goes on to the next member, unless another call has done so.
    fn turn_from(&self, turn: usize) {
        let mut current = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn.load(Ordering::Relaxed) == turn {
            self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
            *current = channel(&self.settings, turn.wrapping_add(1));
        }
    }

    /// Makes a call, and makes it again at the next member, until each was asked once. A call that was not
    /// answered may have been done all the same.
    async fn call<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut asked = 0;
        loop {
            let (turn, channel) = self.current();
            let answer = tokio::time::timeout(CALL_MAX, call(channel)).await;
            let status = match answer {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            if is_of_the_member(&status) {
                self.turn_from(turn);
            }
            asked += 1;
            if !is_of_the_member(&status) || asked >= self.settings.endpoints.len() {
                return Err(status);
            }
        }
    }

    /// A page of keys.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.call(|channel| {
            let request = request.clone();
            async move { Ok(kv(channel).range(request).await?.into_inner()) }
        })
        .await
    }

    /// The revision of a transaction; `None` when its conditions did not hold.
    pub(super) async fn transact(&self, request: TxnRequest) -> Result<Option<i64>, Status> {
        let done = self
            .call(|channel| {
                let request = request.clone();
                async move { Ok(kv(channel).txn(request).await?.into_inner()) }
            })
            .await?;
        Ok(done.succeeded.then(|| done.header.map_or(0, |header| header.revision)))
    }

    /// A lease of so many seconds.
    pub(super) async fn grant(&self, ttl: i64) -> Result<LeaseGrantResponse, Status> {
        self.call(|channel| async move {
            Ok(LeaseClient::new(channel).lease_grant(LeaseGrantRequest { ttl }).await?.into_inner())
        })
        .await
    }

    /// How many seconds a lease lasts from now on; 0 when it is over.
    pub(super) async fn keep_alive(&self, id: i64) -> Result<i64, Status> {
        self.call(|channel| async move {
            let asked = tokio_stream::once(LeaseKeepAliveRequest { id });
            let mut answers = LeaseClient::new(channel).lease_keep_alive(asked).await?.into_inner();
            let answer = answers.message().await?.ok_or_else(|| Status::unavailable("etcd hung up"))?;
            Ok(answer.ttl)
        })
        .await
    }

    /// Ends a lease.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), Status> {
        self.call(|channel| async move {
            LeaseClient::new(channel).lease_revoke(LeaseRevokeRequest { id }).await.map(drop)
        })
        .await
    }

    /// Opens a watch.
    pub(super) async fn watch(&self, create: WatchCreateRequest) -> Result<Streaming<WatchResponse>, Status> {
        self.call(|channel| {
            let union = Some(watch_request::RequestUnion::CreateRequest(create.clone()));
            // The stream must stay open on this side too.
            let rest = tokio_stream::pending();
            let requests = tokio_stream::once(WatchRequest { request_union: union }).chain(rest);
            let mut request = Request::new(requests);
            // A member that is cut off from the others ends the watch, instead of being silent.
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
            let mut client = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            async move { Ok(client.watch(request).await?.into_inner()) }
        })
        .await
    }

    /// Goes on to the next member after a stream broke.
    pub(super) fn next_member(&self) {
        self.turn_from(self.current().0);
    }
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// Whether another member may answer better.
fn is_of_the_member(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a member, made with the first call and again when it broke.
fn channel(settings: &EtcdSettings, turn: usize) -> Channel {
    let endpoint = settings.endpoints[turn % settings.endpoints.len()].clone();
    let tls = settings.tls.clone();
    let connect = service_fn(move |_| {
        let (endpoint, tls) = (endpoint.clone(), tls.clone());
        async move {
            let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from(endpoint.host).map_err(std::io::Error::other)?;
                    Box::new(TlsConnector::from(tls).connect(name, stream).await?)
                }
            };
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // TLS is the connector's affair; tonic only needs some address.
    Endpoint::from_static("http://etcd")
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connect)
}
