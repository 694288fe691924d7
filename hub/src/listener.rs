//! How does a TCP connection become one with a known peer?
//!
//! ```text
//! accept --> handshake (own task, 10 s, bounded number at once) --> Connection with its Peer --> gRPC
//! ```
//! A client that is slow to shake hands holds up nobody but itself. A connection without a client
//! certificate is for enrolling and health checks: there are few of them and they do not live long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::identity::Credential;

/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 1_024;
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
pub(crate) struct Peer(Arc<(SocketAddr, Caller)>);

impl Peer {
    /// Where it calls from.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.0
    }

    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.1
    }
}

/// A connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// When it is cut.
    end: Option<Pin<Box<Sleep>>>,
    /// Its places among the connections at once.
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
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
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
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

/// Accepts connections until told to stop; the finished ones go to `ready`.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<Connection>,
    stop: CancellationToken,
) {
    let handshakes_max = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let door = Arc::new(Door {
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        anonymous: Arc::new(Semaphore::new(ANONYMOUS_MAX)),
        tls,
    });
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
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
                let (door, ready) = (Arc::clone(&door), ready.clone());
                handshakes.spawn(async move {
                    let connection = timeout(HANDSHAKE_MAX, door.shake_hands(stream, address)).await;
                    drop(slot);
                    match connection {
                        Ok(Ok(connection)) => drop(ready.send(connection).await), // the hub stops
                        Ok(Err(error)) => tracing::debug!(peer = %address, %error, "no TLS connection"),
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
    tls: TlsAcceptor,
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
        let stream = self.tls.accept(stream).await?;
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
        Ok(Connection {
            stream,
            peer: Peer(Arc::new((address, caller))),
            end,
            _places: (connected, anonymous),
        })
    }
}
