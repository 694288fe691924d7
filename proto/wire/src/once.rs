//! How does a client learn why the hub ended its connection? By making the TLS connection itself, handing it to
//! gRPC once, and noting how it ends.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;

/// A quiet connection is asked for a sign of life this often, and given up without one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long that sign may take.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads of what a broken connection still holds: a few records of 1 KiB are more than a server has
/// sent before it looks at a certificate.
const READS_FOR_REASON_MAX: usize = 16;

/// Why the other side ended TLS, once it did. It is kept here, since on the way through gRPC it gets
/// lost. In TLS 1.3 a server looks at the client's certificate when the client has long gone on, so its
/// refusal comes at any time.
#[derive(Clone, Debug, Default)]
pub struct Refusal(Arc<OnceLock<AlertDescription>>);

impl Refusal {
    /// The alert with which the other side ended TLS, if it did.
    pub fn alert(&self) -> Option<AlertDescription> {
        self.0.get().copied()
    }

    fn note(&self, error: &io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        if let Some(rustls::Error::AlertReceived(alert)) = inner {
            // Only the first one counts.
            let _ = self.0.set(*alert);
        }
    }
}

/// A TLS connection that notes how it ends.
pub struct Witness {
    stream: TlsStream<TcpStream>,
    refusal: Refusal,
    /// The failure to write that is not told yet.
    broken: Option<io::Error>,
}

impl Witness {
    /// A connection that can no longer be written may still hold the reason to be read: reads what is
    /// left up to its end before the failure to write is told.
    fn reason_first<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = written {
            self.broken.get_or_insert(error);
        } else if self.broken.is_none() {
            return written;
        }
        for _ in 0..READS_FOR_REASON_MAX {
            let mut scratch = [0; 1024];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.refusal.note(&error);
                    break;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let lost = || io::ErrorKind::BrokenPipe.into();
        Poll::Ready(Err(self.broken.take().unwrap_or_else(lost)))
    }
}

impl AsyncRead for Witness {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.refusal.note(error);
        }
        read
    }
}

impl AsyncWrite for Witness {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.reason_first(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.reason_first(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The connection for the first call, an error for each further one: gRPC may not connect by itself.
pub fn once(
    stream: TlsStream<TcpStream>,
    refusal: &Refusal,
) -> impl FnMut() -> io::Result<TokioIo<Witness>> + use<> {
    let mut ready = Some(Witness { stream, refusal: refusal.clone(), broken: None });
    move || ready.take().map(TokioIo::new).ok_or_else(|| io::Error::other("the connection was lost"))
}

/// How gRPC is spoken with the hub at `address` (HOST:PORT) over a connection made by [`once()`].
///
/// # Errors
/// A text for people when `address` cannot be one.
pub fn endpoint(address: &str) -> Result<Endpoint, String> {
    // gRPC must not ask for TLS of its own, yet requests must say what they are sent over.
    let origin = format!("https://{address}").parse().map_err(|_| "not a host name".to_owned())?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    Ok(endpoint
        .origin(origin)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}
