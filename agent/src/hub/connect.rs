//! One TLS connection to the hub: before the cluster has a certificate, and with it.
//!
//! TCP and TLS are done here and handed to gRPC ready made, so that what stands in the way is known for
//! what it is, and one identity is used for exactly one connection.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, client::WantsClientCert, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{Code, Status, transport::Channel};
use tower::service_fn;

use super::{
    identity::Identity,
    pin::{Fingerprint, PinnedCa},
    problem::Problem,
};
pub(super) use muster_wire::once::Refusal;
use muster_wire::once::{endpoint, once};

/// Longest time for TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the hub is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `HOST:PORT`; `https://` before it is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = || Problem::Address { address: text.to_owned() };
        let rest = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let authority: http::uri::Authority = rest.parse().map_err(|_| wrong())?;
        let port = authority.port_u16().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Self { host: authority.host().to_owned(), port })
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

/// A connection to a hub that is known by its CA's hash alone. It is good for enrolment.
pub(super) async fn pinned(address: &Address, fingerprint: Fingerprint) -> Result<Channel, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(PinnedCa::new(fingerprint, Arc::clone(&provider)));
    let tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(address, &error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    connect(address, tls).await.map(|(channel, _)| channel)
}

/// A connection with the cluster's certificate, to a hub with a certificate of the same CA;
/// and the place where it will say that the hub does not take the certificate, if it does not.
pub(super) async fn mutual(address: &Address, identity: &Identity) -> Result<(Channel, Refusal), Problem> {
    let (chain, key) = identity.for_tls();
    let tls = trusting(identity)
        .and_then(|builder| builder.with_client_auth_cert(chain, key))
        .map_err(|error| failed(address, &error))?;
    connect(address, tls).await
}

fn trusting(
    identity: &Identity,
) -> Result<rustls::ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for ca in identity.cas() {
        roots.add(ca.clone())?;
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots))
}

fn failed(address: &Address, error: &dyn std::fmt::Display) -> Problem {
    Problem::Failed { hub: address.to_string(), message: error.to_string() }
}

async fn connect(address: &Address, mut tls: ClientConfig) -> Result<(Channel, Refusal), Problem> {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let unreachable = |message: String| Problem::Unreachable { hub: address.to_string(), message };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, handshake(address, tls))
        .await
        .map_err(|_| unreachable(format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs())))??;
    let endpoint = endpoint(&address.to_string()).map_err(unreachable)?;
    let refusal = Refusal::default();
    let mut once = once(stream, &refusal);
    let connector = service_fn(move |_| std::future::ready(once()));
    match endpoint.connect_with_connector(connector).await {
        Ok(channel) => Ok((channel, refusal)),
        Err(error) => Err(failed(address, &error)),
    }
}

async fn handshake(address: &Address, tls: ClientConfig) -> Result<TlsStream<TcpStream>, Problem> {
    let unreachable = |message: String| Problem::Unreachable { hub: address.to_string(), message };
    let name = ServerName::try_from(address.name().to_owned())
        .map_err(|_| Problem::Address { address: address.to_string() })?;
    let tcp = TcpStream::connect((address.name(), address.port));
    let stream = tcp.await.map_err(|error| unreachable(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                Problem::HubNotTrusted { hub: address.to_string(), message: distrust(reason) }
            }
            _ => unreachable(error.to_string()),
        }
    })
}

fn distrust(reason: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Reason;
    match reason {
        Reason::UnknownIssuer => "its certificate is from another CA".to_owned(),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => {
            "its certificate is for another address".to_owned()
        }
        Reason::Expired | Reason::ExpiredContext { .. } => "its certificate expired".to_owned(),
        other => other.to_string(),
    }
}

/// What the end of a stream, or an answer that is an error, means for this cluster.
pub(super) fn broken(address: &Address, cluster: &str, refusal: &Refusal, status: &Status) -> Problem {
    let (hub, cluster) = (address.to_string(), cluster.to_owned());
    if let Some(alert) = refusal.alert() {
        return Problem::CertificateRefused { hub, cluster, message: format!("{alert:?}") };
    }
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            Problem::CertificateRefused { hub, cluster, message: status.message().to_owned() }
        }
        Code::Aborted => Problem::Replaced { cluster },
        _ => Problem::Failed { hub, message: chain(status) },
    }
}

/// All that is known of an error, outermost first.
fn chain(status: &Status) -> String {
    let mut messages = vec![status.message().to_owned()];
    let mut next = std::error::Error::source(status);
    while let Some(error) = next {
        let message = error.to_string();
        if !messages.iter().any(|known| known.contains(&message)) {
            messages.push(message);
        }
        next = error.source();
    }
    messages.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (text, expected) in [
            ("hub.example.com:8443", Some("hub.example.com:8443")),
            ("https://hub:8443/", Some("hub:8443")),
            ("[::1]:8443", Some("[::1]:8443")),
            ("hub", None),
            ("http://hub:8443", None),
            ("me@hub:8443", None),
            ("", None),
        ] {
            assert_eq!(
                Address::parse(text).ok().map(|address| address.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn statuses_become_what_they_mean_for_the_cluster() {
        let address = Address::parse("hub:1").unwrap();
        let problem = |code| broken(&address, "dev", &Refusal::default(), &Status::new(code, "because"));
        assert!(problem(Code::PermissionDenied).is_about_identity());
        assert!(problem(Code::Unauthenticated).is_about_identity());
        assert!(matches!(problem(Code::Aborted), Problem::Replaced { .. }));
        assert_eq!(problem(Code::Unavailable).to_string(), "the hub at hub:1 failed: because");
    }
}
