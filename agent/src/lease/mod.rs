//! Is this agent the one that acts?
//!
//! One Lease in the agent's namespace. The holder renews it every 7.5 s, with one request, and may write for
//! 10 s after each renewal was asked for ([`Fence`]); others hear of renewals by one watch and wait until
//! there has been none for 13 s. On a clean stop it is let go, and another takes over at once.
//!
//! The times follow from two bounds: another must lead within 15 s of the holder's death, also when it hears of
//! renewals late, and the requests for all this must be few.
mod decide;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Fence, From, HANDOVER, Line, Lines, Of, WatchRequest, read_line};
use crate::object::{Gvk, Resource, number, text};
use decide::{Decision, Held, Observed};

const LEASE: &str = "muster-agent";

/// The longest time between the death of a holder and another's first act.
const TAKEOVER_MAX: Duration = Duration::from_secs(15);

/// How long a Lease counts after a renewal.
const DURATION: Duration = Duration::from_secs(13);

/// How long the holder itself goes on writing after a renewal: the rest is its distance to a successor.
const TRUST: Duration = DURATION.saturating_sub(HANDOVER);

const RENEW_EVERY: Duration = Duration::from_millis(7_500);

/// How long one renewal may take: what is left of the trust in the one before.
const RENEW_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How often those that wait look when they cannot watch.
const LOOK_EVERY: Duration = Duration::from_secs(2);

// Whoever waits has seen the last renewal at most `LOOK_EVERY` after it was made.
const _: () = assert!(DURATION.as_millis() + LOOK_EVERY.as_millis() <= TAKEOVER_MAX.as_millis());
// A renewal that takes as long as it may is in time all the same.
const _: () = assert!(RENEW_EVERY.as_millis() + RENEW_TIMEOUT.as_millis() <= TRUST.as_millis());

/// How long a watch of the Lease is kept open.
const WATCH_SECONDS: std::ops::Range<u64> = 1_800..3_600;

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

/// What one agent knows of the election.
struct Part {
    seen: Observed,
    /// The Lease as we wrote it last, while we hold it.
    mine: Option<Value>,
    /// Until when the last renewal counts for us.
    trusted_until: Option<Instant>,
}

/// What to wait for.
enum Next {
    Time(Duration),
    /// Of the Lease.
    News,
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
        let mut part = Part { seen: Observed::nothing(Instant::now()), mine: None, trusted_until: None };
        while !shutdown.is_cancelled() {
            let next = tokio::select! {
                next = self.round(&mut part) => next,
                () = shutdown.cancelled() => break,
            };
            if part.trusted_until.is_some_and(|until| until <= Instant::now()) {
                tracing::warn!("The Lease could not be renewed in time, so this agent stops acting.");
                part.trusted_until = None;
                self.fence.close();
                self.leadership.send_replace(Leadership::Unknown);
            }
            tokio::select! {
                () = self.wait(next, &mut part.seen) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.fence.close();
        if *self.leadership.borrow() == Leadership::Leading {
            self.release().await;
        }
        self.leadership.send_replace(Leadership::Unknown);
    }

    /// Looks, decides, perhaps writes; says what to wait for until the next round.
    async fn round(&self, part: &mut Part) -> Next {
        let began = Instant::now();
        // Requests must not outlast the trust they are to prolong.
        let attempt = tokio::time::timeout(RENEW_TIMEOUT, self.attempt(part, began)).await;
        match attempt.unwrap_or(Err(ApiError::Timeout)) {
            Ok(Decision::Take) => {
                part.trusted_until = Some(began + TRUST);
                self.fence.open_until(began + TRUST);
                self.announce(Leadership::Leading);
                Next::Time((began + RENEW_EVERY).saturating_duration_since(Instant::now()))
            }
            Ok(Decision::Wait(_)) => {
                part.trusted_until = None;
                self.fence.close();
                let leader = part.seen.holder().to_owned();
                self.announce(Leadership::Standby { leader });
                Next::News
            }
            Err(error) => {
                tracing::warn!(%error, "The Lease could not be read or written.");
                Next::Time(RETRY_AFTER)
            }
        }
    }

    async fn attempt(&self, part: &mut Part, now: Instant) -> Result<Decision, ApiError> {
        // What we wrote last is what is there, unless another has written since: then this is refused.
        if let Some(mine) = part.mine.take() {
            match self.api.replace(&resource(), &self.namespace, LEASE, &self.taken(&mine)).await {
                Ok(lease) => {
                    part.mine = Some(lease);
                    return Ok(Decision::Take);
                }
                Err(ApiError::Conflict(_) | ApiError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let lease = match self.api.get(&resource(), &self.namespace, LEASE).await {
            Ok(lease) => Some(lease),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        part.seen.see(lease.as_ref().map(read), now);
        let decision = part.seen.decide(&self.identity, now);
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
            Ok(lease) => {
                part.mine = Some(lease);
                Ok(Decision::Take)
            }
            // Another was faster.
            Err(ApiError::Conflict(_)) => {
                let lease = self.api.get(&resource(), &self.namespace, LEASE).await?;
                part.seen.see(Some(read(&lease)), now);
                match part.seen.decide(&self.identity, now) {
                    Decision::Take => Err(ApiError::Conflict("The Lease keeps changing.".to_owned())),
                    wait => Ok(wait),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn wait(&self, next: Next, seen: &mut Observed) {
        match next {
            Next::Time(wait) => tokio::time::sleep(wait).await,
            Next::News => self.listen(seen).await,
        }
    }

    /// Hears of the holder's renewals until there is none for too long, it lets go, or nothing is heard
    /// any more.
    async fn listen(&self, seen: &mut Observed) {
        let resource = resource();
        let request = WatchRequest {
            resource: &resource,
            namespace: &self.namespace,
            of: Of::Name(LEASE),
            from: From::Version(seen.version()),
            seconds: fastrand::u64(WATCH_SECONDS),
        };
        let opened = tokio::time::timeout(RENEW_TIMEOUT, self.api.watch(&request)).await;
        let Ok(Ok(mut lines)) = opened else {
            return tokio::time::sleep(LOOK_EVERY).await;
        };
        while let Decision::Wait(left) = seen.decide(&self.identity, Instant::now()) {
            match tokio::time::timeout(left, next_lease(&mut lines)).await {
                Ok(Some(held)) => seen.see(held, Instant::now()),
                // The watch has ended. One that ends at once must not be opened in a tight loop.
                Ok(None) => return tokio::time::sleep(RETRY_AFTER).await,
                Err(_) => return,
            }
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

/// What the next news of the Lease says; none inside when it is gone, none at all when the watch has ended.
async fn next_lease(lines: &mut Lines) -> Option<Option<Held>> {
    loop {
        let line = lines.next().await.ok()??;
        match read_line(&line).ok()? {
            Line::Exists(lease) => return Some(Some(read(&serde_json::from_str(lease.get()).ok()?))),
            Line::Gone(_) => return Some(None),
            Line::Empty | Line::Bookmark { .. } => {}
            Line::Expired | Line::Error(_) => return None,
        }
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
