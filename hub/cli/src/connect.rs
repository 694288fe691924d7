//! One mTLS connection to the hub, and what stood in the way of it.
//!
//! TCP and TLS are done here and handed to gRPC ready made, so that "no such host", "wrong CA" and
//! "your certificate expired" are told apart before gRPC turns them all into "transport error".

use std::{error::Error as _, sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tower::service_fn;

use crate::{config::Config, failure::Failure, text::age};
pub(crate) use muster_wire::once::Refusal;
use muster_wire::once::{endpoint, once};

/// Where the hub is: `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `https://HOST[:PORT]`, or the same without `https://`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` is not the address of a hub ({why}); write https://HOST:PORT");
        let rest = match text.split_once("://") {
            Some(("https", rest)) => rest,
            Some(_) => return Err(wrong("the hub speaks only https")),
            None => text,
        };
        let authority: tonic::codegen::http::uri::Authority =
            rest.trim_end_matches('/').parse().map_err(|_| wrong("no host and port"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong("no host and port"));
        }
        Ok(Self { host: authority.host().to_owned(), port: authority.port_u16().unwrap_or(443) })
    }

    /// Host as sockets and certificates want it: without the brackets of IPv6.
    fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Where the hub is, and how to be trusted by it.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) address: Address,
    pub(crate) tls: Arc<ClientConfig>,
    /// The value of the header `authorization`, for a user with a token.
    pub(crate) bearer: Option<MetadataValue<Ascii>>,
}

/// TLS 1.3 with the operator's certificate if there is one, trusting the hub's CA and nobody else.
pub(crate) fn tls(config: &Config, now: Timestamp) -> Result<ClientConfig, TlsProblem> {
    let invalid = |what: &str| TlsProblem::Config(format!("`{what}` is not PEM as it should be"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(config.ca.as_bytes()) {
        roots.add(certificate.map_err(|_| invalid("ca"))?).map_err(|_| invalid("ca"))?;
    }
    if roots.is_empty() {
        return Err(invalid("ca"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsProblem::Config(error.to_string()))?
        .with_root_certificates(roots);
    let mut tls = if config.certificate.is_empty() && config.key.is_empty() {
        builder.with_no_client_auth()
    } else {
        let (chain, key) = identity(config, now)?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            TlsProblem::Config(format!("`certificate` and `key` do not belong together: {error}"))
        })?
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

/// The operator's certificate and key.
fn identity(
    config: &Config,
    now: Timestamp,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsProblem> {
    let invalid = |what: &str| TlsProblem::Config(format!("`{what}` is not PEM as it should be"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(config.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("certificate"))?;
    let first = chain.first().ok_or_else(|| invalid("certificate"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|_| invalid("certificate"))?;
    let expires = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok();
    if expires.is_some_and(|end| end <= now) {
        let shown = expires.map(|end| end.to_string()).unwrap_or_default();
        return Err(TlsProblem::Expired(format!("{} ago, at {shown}", age(expires, now))));
    }
    let key = PrivateKeyDer::from_pem_slice(config.key.as_bytes()).map_err(|_| invalid("key"))?;
    Ok((chain, key))
}

/// Why no TLS configuration can be made of the config file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TlsProblem {
    Config(String),
    Expired(String),
}

/// Connects once. The channel does not reconnect by itself: who wants that asks again. With it comes
/// the place where it will say why the hub ended it, if it does.
pub(crate) async fn connect(
    address: &Address,
    tls: Arc<ClientConfig>,
    timeout: Duration,
) -> Result<(Channel, Refusal), Failure> {
    let unreachable = |message: String| Failure::Unreachable { hub: address.to_string(), message };
    let stream = tokio::time::timeout(timeout, handshake(address, tls))
        .await
        .map_err(|_| unreachable(format!("no answer within {}", humantime::format_duration(timeout))))??;
    let endpoint = endpoint(&address.to_string()).map_err(unreachable)?;
    let refusal = Refusal::default();
    let mut once = once(stream, &refusal);
    let connector = service_fn(move |_| std::future::ready(once()));
    match endpoint.connect_with_connector(connector).await {
        Ok(channel) => Ok((channel, refusal)),
        Err(error) => Err(broken(address, &refusal, &error)),
    }
}

async fn handshake(address: &Address, tls: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Failure> {
    let unreachable = |message: String| Failure::Unreachable { hub: address.to_string(), message };
    let name = ServerName::try_from(address.name().to_owned())
        .map_err(|_| unreachable(format!("`{}` is not a host name", address.host)))?;
    let stream = TcpStream::connect((address.name(), address.port))
        .await
        .map_err(|error| unreachable(plain_io(&error)))?;
    stream.set_nodelay(true).map_err(|error| unreachable(plain_io(&error)))?;
    TlsConnector::from(tls).connect(name, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                Failure::HubNotTrusted { hub: address.to_string(), message: distrust(reason) }
            }
            Some(rustls::Error::AlertReceived(alert)) => refused(address, *alert),
            Some(other) => unreachable(format!("no TLS 1.3 there ({other})")),
            None => unreachable(plain_io(&error)),
        }
    })
}

/// An operating system's error without its number.
fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.trim_start_matches("failed to lookup address information: ").to_lowercase()
}

fn distrust(reason: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Reason;
    match reason {
        Reason::Expired | Reason::ExpiredContext { .. } => "its certificate expired".to_owned(),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is this computer's clock right?".to_owned()
        }
        Reason::UnknownIssuer => "its certificate is not from the CA in the config file".to_owned(),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => {
            "its certificate is for another address".to_owned()
        }
        other => other.to_string(),
    }
}

fn refused(address: &Address, alert: AlertDescription) -> Failure {
    let message = match alert {
        AlertDescription::CertificateExpired => "it expired".to_owned(),
        AlertDescription::CertificateRevoked => "it was revoked".to_owned(),
        AlertDescription::UnknownCA => "it is not from the hub's CA".to_owned(),
        other => format!("{other:?}"),
    };
    Failure::Refused { hub: address.to_string(), message }
}

/// A connection that broke, and why if the hub said so.
fn broken(address: &Address, refusal: &Refusal, error: &(dyn std::error::Error + 'static)) -> Failure {
    if let Some(alert) = refusal.alert() {
        return refused(address, alert);
    }
    let mut messages: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        messages.push(error.to_string());
        next = error.source();
    }
    messages.dedup();
    Failure::HubFailed { hub: address.to_string(), message: messages.join(": ") }
}

/// What a gRPC status means to the person at the terminal.
pub(crate) fn failed(
    address: &Address,
    refusal: &Refusal,
    timeout: Duration,
    status: &tonic::Status,
) -> Failure {
    use tonic::Code;
    let message = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated => Failure::Refused { hub: address.to_string(), message },
        Code::DeadlineExceeded => {
            Failure::TimedOut { timeout: humantime::format_duration(timeout).to_string() }
        }
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::ResourceExhausted => Failure::Rejected { message },
        Code::Unimplemented => Failure::Rejected {
            message: "it does not know this request; it may be older than this muster".to_owned(),
        },
        _ => match status.source() {
            Some(source) => broken(address, refusal, source),
            None => Failure::HubFailed { hub: address.to_string(), message },
        },
    }
}

#[cfg(test)]
mod tests;
