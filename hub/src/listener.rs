//! How does a TCP connection become one with a known peer?
//!
//! ```text
//! accept --> handshake (own task, 10 s, bounded number at once) --> Connection with its Peer --> gRPC
//! ```
//! A client that is slow to shake hands holds up nobody but itself, and handshakes begin no faster than the
//! hub can do them, so that after an outage the first to come are served instead of all timing out. A
//! connection without a client certificate is for enrolling, health checks and callers with a bearer token:
//! until it has shown a good one it is one of few and does not live long.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, Sleep, interval, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::identity::Credential;

/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 1_024;
/// Handshakes begun in one [`ADMISSION_TICK`]: 1,000 a second, at about 0.3 ms of a processor each.
const ADMITTED_PER_TICK: usize = 20;
const ADMISSION_TICK: Duration = Duration::from_millis(20);
/// Connections at once.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections without a client certificate at once.
const ANONYMOUS_MAX: usize = 256;
/// Life of a connection without a client certificate.
const ANONYMOUS_LIFE: Duration = Duration::from_secs(30);
/// Pause after the system refused to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What TLS says of the other end.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// No client certificate.
    Anonymous,
    /// A certificate of the hub's CA that names somebody.
    Known(Credential),
    /// A certificate of the hub's CA that names nobody, and why.
    Unusable(String),
}

/// The other end of a connection; a request carries it among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    address: SocketAddr,
    caller: Caller,
    /// It has shown who it is, by a certificate or in a call.
    settled: AtomicBool,
    /// Its place among the connections that have not.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Peer {
    /// One that calls over HTTP, where nobody shows a certificate.
    pub(crate) fn without_certificate(address: SocketAddr) -> Self {
        let settled = AtomicBool::new(true);
        Self(Arc::new(Ends { address, caller: Caller::Anonymous, settled, place: Mutex::default() }))
    }

    /// Where it calls from.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// It has shown who it is: its connection may stay.
    pub(crate) fn settle(&self) {
        if !self.0.settled.swap(true, Ordering::Relaxed) {
            self.0.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    fn is_settled(&self) -> bool {
        self.0.settled.load(Ordering::Relaxed)
    }
}

/// The connections that are open, so that those can be cut whose certificate is no longer taken.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<(u64, HashMap<u64, Entry>)>,
}

#[derive(Debug)]
struct Entry {
    chain: Vec<CertificateDer<'static>>,
    cut: CancellationToken,
}

/// The place of one connection among those that are open.
struct Open {
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.lock().1.remove(&self.number);
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Entry>)> {
        // No code that holds the lock can panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, chain: Vec<CertificateDer<'static>>, cut: CancellationToken) -> Open {
        let mut open = self.lock();
        let number = open.0;
        open.0 += 1;
        open.1.insert(number, Entry { chain, cut });
        Open { connections: Arc::clone(self), number }
    }

    /// Cuts those with a certificate that is not taken any more; says how many.
    pub(crate) fn recheck(&self, taken: impl Fn(&[CertificateDer<'static>]) -> bool) -> usize {
        let open = self.lock();
        let cut = open.1.values().filter(|entry| !entry.chain.is_empty() && !taken(&entry.chain));
        cut.inspect(|entry| entry.cut.cancel()).count()
    }
}

/// What became of a handshake that failed, and is worth remembering.
#[derive(Debug)]
pub(crate) struct FailedHandshake {
    /// With whom.
    pub(crate) address: SocketAddr,
    /// The reason's name in the audit log.
    pub(crate) reason: &'static str,
    /// In words.
    pub(crate) detail: String,
}

/// A connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// When it is cut.
    end: Option<Pin<Box<Sleep>>>,
    /// Ready when its certificate is no longer taken.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: Open,
    /// Its place among the connections at once.
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            if self.peer.is_settled() {
                self.end = None;
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Accepts connections until told to stop; the finished ones go to `ready`, and those that failed for a reason
/// that somebody should know of to `failed`.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    ready: mpsc::Sender<Connection>,
    failed: mpsc::Sender<FailedHandshake>,
    open: Arc<Connections>,
    stop: CancellationToken,
) {
    let handshakes_max = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let door = Arc::new(Door {
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        anonymous: Arc::new(Semaphore::new(ANONYMOUS_MAX)),
        open,
        tls,
    });
    let mut handshakes = JoinSet::new();
    let mut ticks = interval(ADMISSION_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = 0;
    loop {
        while handshakes.try_join_next().is_some() {}
        if left == 0 {
            tokio::select! {
                _ = ticks.tick() => left = ADMITTED_PER_TICK,
                () = stop.cancelled() => break,
            }
        }
        let next = async {
            let slot = Arc::clone(&handshakes_max).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                left -= 1;
                let failed = failed.clone();
                let (door, ready) = (Arc::clone(&door), ready.clone());
                handshakes.spawn(async move {
                    let connection = timeout(HANDSHAKE_MAX, door.shake_hands(stream, address)).await;
                    drop(slot);
                    match connection {
                        Ok(Ok(connection)) => drop(ready.send(connection).await), // the hub stops
                        Ok(Err(error)) => {
                            tracing::debug!(peer = %address, %error, "no TLS connection");
                            if let Some((reason, detail)) = reason(&error) {
                                drop(failed.send(FailedHandshake { address, reason, detail }).await); // as above
                            }
                        }
                        Err(_) => tracing::debug!(peer = %address, "the TLS handshake took too long"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    handshakes.shutdown().await;
}

/// What every handshake needs.
struct Door {
    connections: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    open: Arc<Connections>,
    tls: watch::Receiver<Arc<ServerConfig>>,
}

impl Door {
    async fn shake_hands(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Connection> {
        let place = |of: &Arc<Semaphore>, what: &str| {
            Arc::clone(of).try_acquire_owned().map_err(|_| {
                tracing::warn!(peer = %address, "turned away: too many {what}");
                io::Error::from(io::ErrorKind::ConnectionRefused)
            })
        };
        let connected = place(&self.connections, "connections")?;
        stream.set_nodelay(true)?;
        let tls = Arc::clone(&self.tls.borrow());
        let stream = TlsAcceptor::from(tls).accept(stream).await?;
        let caller = match stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) {
            None => Caller::Anonymous,
            Some(leaf) => match Credential::read(leaf) {
                Ok(credential) => Caller::Known(credential),
                Err(error) => Caller::Unusable(error.to_string()),
            },
        };
        let known = matches!(caller, Caller::Known(_));
        let anonymous =
            if known { None } else { Some(place(&self.anonymous, "connections without a certificate")?) };
        let end = (!known).then(|| Box::pin(sleep_until(Instant::now() + ANONYMOUS_LIFE)));
        let ends = Ends { address, caller, settled: AtomicBool::new(known), place: Mutex::new(anonymous) };
        let cut = CancellationToken::new();
        let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
        let chain = chain.into_iter().map(CertificateDer::into_owned).collect();
        let open = self.open.add(chain, cut.clone());
        let cut = Box::pin(cut.cancelled_owned());
        Ok(Connection { stream, peer: Peer(Arc::new(ends)), end, cut, _open: open, _place: connected })
    }
}

/// Why TLS was refused, where it was this side that refused; whoever hangs up or knocks by mistake is no news.
fn reason(error: &io::Error) -> Option<(&'static str, String)> {
    use rustls::{CertificateError as Certificate, Error, PeerIncompatible};
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let name = match error {
        Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "certificate-expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "certificate-not-yet-valid",
            Certificate::UnknownIssuer => "certificate-unknown-issuer",
            Certificate::BadSignature => "certificate-forged",
            _ => "certificate-invalid",
        },
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => "tls-version",
        Error::PeerIncompatible(_) | Error::PeerMisbehaved(_) | Error::DecryptError => "tls-handshake",
        Error::NoApplicationProtocol => "tls-not-http2",
        _ => return None,
    };
    Some((name, error.to_string()))
}
