//! How a cluster gets its certificate, the first time with a token and later with the one it has.

use std::{path::Path, time::Duration};

use muster_wire::v1::{
    EnrollRequest, EnrollResponse, RenewRequest, agent_service_client::AgentServiceClient,
    enrollment_service_client::EnrollmentServiceClient,
};
use tonic::{Code, Request, Status, transport::Channel};

use super::{
    connect::{Address, Refusal, broken},
    identity::{Identity, Key},
    pin::{Fingerprint, TOKEN_BYTES_MAX, fingerprint},
    problem::Problem,
};

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An enrolment token. It has no `Debug`, so it cannot get into a log.
pub(super) struct Token {
    text: String,
    ca: Fingerprint,
}

impl Token {
    /// Reads the file; none when there is no file, or nothing in it.
    pub(super) async fn read(path: &Path) -> Result<Option<Self>, Problem> {
        let problem = |message: String| Problem::TokenFile { path: path.to_owned(), message };
        // Even a file without end is read only as far as a token may go.
        let text = match read_start(path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(error.to_string())),
        };
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let ca = fingerprint(text).map_err(problem)?;
        Ok(Some(Self { text: text.to_owned(), ca }))
    }

    /// Hash of the CA of the hub it is for.
    pub(super) fn ca(&self) -> Fingerprint {
        self.ca
    }

    /// Tells two tokens apart without keeping either.
    pub(super) fn mark(&self) -> Fingerprint {
        Fingerprint::of(self.text.as_bytes())
    }
}

async fn read_start(path: &Path) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;
    let mut text = String::new();
    let limit = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    tokio::fs::File::open(path).await?.take(limit).read_to_string(&mut text).await?;
    Ok(text)
}

/// Trades the token for an identity. The key pair is made here; only its public half is sent.
pub(super) async fn enrol(
    channel: Channel,
    address: &Address,
    cluster: &str,
    token: &Token,
) -> Result<Identity, Problem> {
    let key = Key::generate().map_err(Problem::Key)?;
    let csr = key.request().map_err(Problem::Key)?;
    let mut client = EnrollmentServiceClient::new(channel);
    let mut request =
        Request::new(EnrollRequest { token: token.text.clone(), cluster: cluster.to_owned(), csr });
    request.set_timeout(REQUEST_TIMEOUT);
    let hub = || address.to_string();
    let answer = within(client.enroll(request)).await.map_err(|status| match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => Problem::TokenRefused {
            hub: hub(),
            cluster: cluster.to_owned(),
            message: status.message().to_owned(),
        },
        // No certificate was shown, so none was refused.
        _ => broken(address, cluster, &Refusal::default(), &status),
    })?;
    let identity = accept(answer.into_inner(), cluster, &key)
        .map_err(|message| Problem::BadCertificate { hub: hub(), message })?;
    if identity.fingerprints().contains(&token.ca) {
        Ok(identity)
    } else {
        let message = "its CA is not the one the token names".to_owned();
        Err(Problem::BadCertificate { hub: hub(), message })
    }
}

/// A new identity for the same cluster, over the connection of the old one.
pub(super) async fn renew(channel: Channel, address: &Address, cluster: &str) -> Result<Identity, Problem> {
    let key = Key::generate().map_err(Problem::Key)?;
    let mut request = Request::new(RenewRequest { csr: key.request().map_err(Problem::Key)? });
    request.set_timeout(REQUEST_TIMEOUT);
    let answer = within(AgentServiceClient::new(channel).renew(request)).await;
    let answer = answer.map_err(|status| broken(address, cluster, &Refusal::default(), &status))?;
    accept(answer.into_inner(), cluster, &key)
        .map_err(|message| Problem::BadCertificate { hub: address.to_string(), message })
}

/// The hub is told the deadline too, but may not keep to it.
async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Err(Status::deadline_exceeded("no answer in time"));
    tokio::time::timeout(REQUEST_TIMEOUT, answer).await.unwrap_or_else(late)
}

/// What the hub gave is used only if this cluster can use it.
fn accept(answer: EnrollResponse, cluster: &str, key: &Key) -> Result<Identity, String> {
    let cas =
        if answer.ca_certificates.is_empty() { vec![answer.ca_certificate] } else { answer.ca_certificates };
    let identity = Identity::new(answer.certificate, cas, key)?;
    match identity.fault(cluster, jiff::Timestamp::now()) {
        Some(fault) => Err(fault),
        None => Ok(identity),
    }
}
