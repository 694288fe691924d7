//! How does a connection of a browser come about?

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};

use super::settings::DashboardSettings;
use crate::{reload::Watched, tls::provider};

/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections at once, those in their handshake among them.
const CONNECTIONS_MAX: usize = 2_048;
/// Connections that wait to be served.
const READY_MAX: usize = 64;
/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after the system refused to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that is ready to be served.
pub(super) struct Stream {
    bytes: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    /// Its place among the connections at once.
    _place: OwnedSemaphorePermit,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Doors>> for Source {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Where connections come in.
pub(super) struct Doors {
    ready: mpsc::Receiver<(Stream, SocketAddr)>,
    address: SocketAddr,
}

impl Doors {
    /// Listens.
    pub(super) async fn open(settings: &DashboardSettings, stop: CancellationToken) -> io::Result<Self> {
        let tls = match &settings.tls {
            None => None,
            Some((certificate, key)) => {
                let config = tls(certificate, key)?;
                let (sender, receiver) = tokio::sync::watch::channel(config);
                let files = (certificate.clone(), key.clone());
                tokio::spawn(follow(files, sender, stop.clone()));
                Some(receiver)
            }
        };
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(READY_MAX);
        tokio::spawn(accept(listener, tls, sender, stop));
        Ok(Self { ready, address })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl axum::serve::Listener for Doors {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await, // the hub stops
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<tokio::sync::watch::Receiver<Arc<ServerConfig>>>,
    ready: mpsc::Sender<(Stream, SocketAddr)>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return,
        };
        let (Ok(place), Ok((stream, address))) = (place, accepted) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true); // slower, and no less right
        let ready = ready.clone();
        match &tls {
            None => {
                let stream = Stream { bytes: Either::Left(stream), _place: place };
                let _ = ready.send((stream, address)).await; // the hub stops
            }
            Some(tls) => {
                let config = Arc::clone(&tls.borrow());
                tokio::spawn(async move {
                    let shaken = timeout(HANDSHAKE_MAX, TlsAcceptor::from(config).accept(stream)).await;
                    match shaken {
                        Ok(Ok(stream)) => {
                            let stream = Stream { bytes: Either::Right(Box::new(stream)), _place: place };
                            let _ = ready.send((stream, address)).await; // the hub stops
                        }
                        Ok(Err(error)) => tracing::debug!(peer = %address, %error, "no TLS connection"),
                        Err(_) => tracing::debug!(peer = %address, "the TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// TLS 1.3 with what is in the files.
fn tls(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let wrong = |path: &Path, problem: &dyn std::fmt::Display| {
        io::Error::other(format!("dashboard: {}: {problem}", path.display()))
    };
    let chain = fs::read(certificate).map_err(|error| wrong(certificate, &error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(certificate, &error))?;
    let text = fs::read(key).map_err(|error| wrong(key, &error))?;
    // Without the error's own words, which could hold some of the key.
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|_| wrong(key, &"it holds no PEM key"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes over what is in the files whenever they change.
async fn follow(
    (certificate, key): (PathBuf, PathBuf),
    config: tokio::sync::watch::Sender<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    let names = [certificate.to_string_lossy().into_owned(), key.to_string_lossy().into_owned()];
    // Paths that are absolute stay so below any directory.
    let mut watched = Watched::new(Path::new(""), &[&names[0], &names[1]]);
    let mut ticks = interval(LOOK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if !watched.changed() {
            continue;
        }
        match tls(&certificate, &key) {
            Ok(read) => {
                config.send_replace(read);
                tracing::info!("the dashboard's certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the dashboard's certificate has changed and cannot be used; the old one stays");
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().bytes).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_shutdown(context)
    }
}
