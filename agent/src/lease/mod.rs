//! Is this agent the one that acts?
//!
//! One Lease in the agent's namespace. The holder renews it every 5 s and may write for 10 s after each
//! renewal was asked for ([`Fence`]); others wait until it has not changed for its 15 s. On a clean stop
//! it is let go, and another takes over at once.
mod decide;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Fence, HANDOVER};
use crate::object::{Gvk, Resource, number, text};
use decide::{Decision, Held, Observed};

const LEASE: &str = "muster-agent";

/// How long a Lease counts after a renewal.
const DURATION: Duration = Duration::from_secs(15);

/// How long the holder itself goes on writing after a renewal: the rest is its distance to a successor.
const TRUST: Duration = DURATION.saturating_sub(HANDOVER);

const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How often those that wait look.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Wait after a request that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the election says, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Nobody is known to lead.
    Unknown,
    /// Another agent leads.
    Standby { leader: String },
    /// This agent leads.
    Leading,
}

/// One agent's part in the election.
pub(crate) struct Election {
    api: Api,
    fence: Fence,
    namespace: String,
    identity: String,
    leadership: watch::Sender<Leadership>,
}

impl Election {
    pub(crate) fn new(
        api: Api,
        fence: Fence,
        namespace: String,
        identity: String,
        leadership: watch::Sender<Leadership>,
    ) -> Self {
        Election { api, fence, namespace, identity, leadership }
    }

    /// Takes part until `shutdown`, then lets the Lease go. Whoever acts on [`Leadership::Leading`] must
    /// have stopped by then.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut seen = Observed::nothing(Instant::now());
        let mut trusted_until = None;
        while !shutdown.is_cancelled() {
            let wait = tokio::select! {
                wait = self.round(&mut seen, &mut trusted_until) => wait,
                () = shutdown.cancelled() => break,
            };
            if trusted_until.is_some_and(|until| until <= Instant::now()) {
                tracing::warn!("The Lease could not be renewed in time, so this agent stops acting.");
                trusted_until = None;
                self.fence.close();
                self.leadership.send_replace(Leadership::Unknown);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.fence.close();
        if *self.leadership.borrow() == Leadership::Leading {
            self.release().await;
        }
        self.leadership.send_replace(Leadership::Unknown);
    }

    /// Looks, decides, perhaps writes; gives the wait until the next round.
    async fn round(&self, seen: &mut Observed, trusted_until: &mut Option<Instant>) -> Duration {
        let began = Instant::now();
        // Requests must not outlast the trust they are to prolong.
        let attempt = tokio::time::timeout(RENEW_EVERY, self.attempt(seen, began)).await;
        match attempt.unwrap_or(Err(ApiError::Timeout)) {
            Ok(Decision::Take) => {
                *trusted_until = Some(began + TRUST);
                self.fence.open_until(began + TRUST);
                self.announce(Leadership::Leading);
                RENEW_EVERY
            }
            Ok(Decision::Wait(wait)) => {
                *trusted_until = None;
                self.fence.close();
                let leader = seen.holder().to_owned();
                self.announce(Leadership::Standby { leader });
                wait
            }
            Err(error) => {
                tracing::warn!(%error, "The Lease could not be read or written.");
                RETRY_AFTER
            }
        }
    }

    async fn attempt(&self, seen: &mut Observed, now: Instant) -> Result<Decision, ApiError> {
        let lease = match self.api.get(&resource(), &self.namespace, LEASE).await {
            Ok(lease) => Some(lease),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        seen.see(lease.as_ref().map(read), now);
        let decision = seen.decide(&self.identity, LOOK_EVERY, now);
        if decision != Decision::Take {
            return Ok(decision);
        }
        let written = match &lease {
            Some(lease) => {
                let body = self.taken(lease);
                self.api.replace(&resource(), &self.namespace, LEASE, &body).await
            }
            None => self.create().await,
        };
        match written {
            Ok(_) => Ok(Decision::Take),
            // Another was faster: see what it wrote.
            Err(ApiError::Conflict(_)) => Ok(Decision::Wait(Duration::from_millis(100))),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<Value, ApiError> {
        let lease = self.taken(&json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": self.namespace},
        }));
        match self.api.create(&resource(), &self.namespace, &lease).await {
            Err(ApiError::NotFound { .. }) => {
                self.create_namespace().await?;
                self.api.create(&resource(), &self.namespace, &lease).await
            }
            result => result,
        }
    }

    async fn create_namespace(&self) -> Result<(), ApiError> {
        let gvk = Gvk::of("v1", "Namespace");
        let namespaces = Resource { gvk, plural: "namespaces".to_owned(), namespaced: false };
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        match self.api.create(&namespaces, "", &body).await {
            Ok(_) | Err(ApiError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The Lease as it is when we hold it from now on.
    fn taken(&self, lease: &Value) -> Value {
        let now = timestamp();
        let mut lease = lease.clone();
        let another = text(&lease, &["spec", "holderIdentity"]) != self.identity;
        let transitions = number(&lease, &["spec", "leaseTransitions"]).unwrap_or(0);
        let acquired = text(&lease, &["spec", "acquireTime"]).to_owned();
        lease["spec"] = json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION.as_secs(),
            "renewTime": now.as_str(),
            "acquireTime": if another || acquired.is_empty() { now } else { acquired },
            "leaseTransitions": transitions + i64::from(another),
        });
        lease
    }

    /// Lets the Lease go, so that nobody has to wait for it to expire.
    async fn release(&self) {
        let released = async {
            let mut lease = self.api.get(&resource(), &self.namespace, LEASE).await?;
            if text(&lease, &["spec", "holderIdentity"]) == self.identity {
                lease["spec"]["holderIdentity"] = json!("");
                self.api.replace(&resource(), &self.namespace, LEASE, &lease).await?;
            }
            Ok::<_, ApiError>(())
        };
        match tokio::time::timeout(Duration::from_secs(2), released).await {
            Ok(Ok(())) => tracing::info!("The Lease is released."),
            Ok(Err(error)) => tracing::warn!(%error, "The Lease could not be released and will expire."),
            Err(_) => tracing::warn!("The Lease could not be released in time and will expire."),
        }
    }

    fn announce(&self, leadership: Leadership) {
        self.leadership.send_if_modified(|current| {
            let changed = *current != leadership;
            if changed {
                tracing::info!(?leadership, identity = self.identity, "Leadership changed.");
                *current = leadership;
            }
            changed
        });
    }
}

fn resource() -> Resource {
    Resource {
        gvk: Gvk::of("coordination.k8s.io/v1", "Lease"),
        plural: "leases".to_owned(),
        namespaced: true,
    }
}

fn read(lease: &Value) -> Held {
    let seconds = number(lease, &["spec", "leaseDurationSeconds"]).unwrap_or(0);
    Held {
        holder: text(lease, &["spec", "holderIdentity"]).to_owned(),
        duration: u64::try_from(seconds).map_or(DURATION, Duration::from_secs),
        version: text(lease, &["metadata", "resourceVersion"]).to_owned(),
    }
}

/// Now, as Leases spell it: microseconds, in UTC.
fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
