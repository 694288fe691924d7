//! Who is calling, and may they?
//!
//! ```text
//! call --who: certificate, user token or ID token--> Principal --not too often?--> --methods::rule--> service
//!         |                                             |               |               |
//!         `---------------- refused: a status for the caller, a reason for the audit log'
//! ```
//! Every call passes here before any service sees it. Roles that count only for some clusters or apps are looked
//! at again by the services, with the same [`Grant`].

pub(crate) mod config;
mod guard;
mod limit;
mod methods;
pub mod oidc;
pub mod policy;
pub mod user;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use muster_spec::ClusterName;
use tokio::sync::{RwLock, watch};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) use self::guard::GuardLayer;
use self::{
    config::Access,
    limit::{Limiter, Rate},
    methods::Rule,
    oidc::keys::Keys,
    policy::{Grant, Role},
    user::{TokenRefusal, User, by_token, is_user_token},
};
use crate::{
    audit::Entry,
    clock::{Clock, Now},
    commit::{Committer, Effects, Fleet},
    identity::{Credential, Identity},
    listener::{Caller, Peer},
    metrics::Metrics,
};

/// How often one user may call: a dashboard or script that polls everything every second stays far below.
const USERS: Rate = Rate { per_second: 50, burst: 200 };
/// How often the agent of one cluster may call: it does once a connection and once a renewal.
const CLUSTERS: Rate = Rate { per_second: 5, burst: 50 };
/// How often callers without a good credential may call from one address; many clusters may share one.
const STRANGERS: Rate = Rate { per_second: 200, burst: 1_000 };

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// No credential.
    Anonymous,
    /// The agent of a cluster.
    Cluster(ClusterName, Credential),
    /// Somebody else, with what they may do.
    User(User, Arc<Grant>),
}

impl Principal {
    /// As the audit log names it.
    pub(crate) fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Cluster(name, _) => format!("cluster/{name}"),
            Self::User(user, _) => user.actor(),
        }
    }
}

/// A call that was let through; the request carries it among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// Who calls.
    pub(crate) principal: Principal,
    /// From where.
    pub(crate) source: Option<IpAddr>,
    /// Which method, without the slash before it.
    pub(crate) method: String,
}

impl Admitted {
    /// An entry of the audit log for this call.
    pub(crate) fn entry(&self, target: String, result: &str, detail: String) -> Entry {
        Entry {
            actor: self.principal.actor(),
            source: self.source.map(|source| source.to_string()).unwrap_or_default(),
            action: self.method.clone(),
            target,
            result: result.to_owned(),
            detail,
        }
    }
}

/// A call that is not let through.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What the caller is told.
    pub(crate) status: Status,
    /// The reason's name in the audit log.
    pub(crate) reason: &'static str,
    /// Who it is, as far as that is known.
    actor: String,
    /// When it may ask again, where that is all that is wrong.
    retry_after: Option<Duration>,
}

/// Whose reasons these are (<https://google.aip.dev/193>).
const DOMAIN: &str = "muster.dev";

impl Refused {
    /// What the caller is told, with the reason for programs.
    fn into_status(self) -> Status {
        let reason = self.reason.replace('-', "_").to_uppercase();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        Status::with_error_details(self.status.code(), self.status.message(), details)
    }

    fn new(reason: &'static str, actor: &str, code: Code, message: impl Into<String>) -> Self {
        Self { status: Status::new(code, message), reason, actor: actor.to_owned(), retry_after: None }
    }
}

/// Whose use is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Known(String),
    Address(Option<IpAddr>),
}

/// What every call is looked at with.
pub(crate) struct Gate {
    access: watch::Receiver<Arc<Access>>,
    fleet: Arc<RwLock<Fleet>>,
    committer: Committer,
    clock: Clock,
    keys: Keys,
    limiter: Mutex<Limiter<Counted>>,
    metrics: Metrics,
}

impl Gate {
    pub(crate) fn new(
        access: watch::Receiver<Arc<Access>>,
        fleet: Arc<RwLock<Fleet>>,
        committer: Committer,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self { access, fleet, committer, clock, keys: Keys::default(), limiter: Mutex::default(), metrics }
    }

    /// Turns ready when what the user may do is no longer `grant`.
    pub(crate) fn changes(&self, user: User, grant: Arc<Grant>) -> impl Future<Output = ()> + Send + 'static {
        let mut access = self.access.clone();
        async move {
            loop {
                let same = {
                    let access = access.borrow_and_update();
                    access.policy.grant(&user) == *grant && access.knows(&user)
                };
                if !same {
                    return;
                }
                if access.changed().await.is_err() {
                    std::future::pending::<()>().await; // the hub stops, which is told otherwise
                }
            }
        }
    }

    /// Remembers something in the audit log that changes nothing else.
    pub(crate) async fn refused(&self, entry: Entry) {
        tracing::info!(
            actor = entry.actor,
            source = entry.source,
            action = entry.action,
            target = entry.target,
            reason = entry.result,
            detail = entry.detail,
            "refused"
        );
        self.metrics.refused(&entry.result);
        let act = move |fleet: &mut Fleet, now: Now| {
            let records = fleet.audit.refuse(entry, now);
            Effects { records, ..Effects::default() }
        };
        let _ = self.committer.hand_in(act).await; // the hub stops
    }

    /// Whether this call may go on.
    async fn admit(&self, path: &str, peer: Option<&Peer>, headers: &HeaderMap) -> Result<Admitted, Refused> {
        let source = peer.map(|peer| peer.address().ip().to_canonical());
        let rule = methods::rule(path);
        let principal = match self.principal(peer, headers).await {
            Ok(principal) => principal,
            // Who needs no credential is not asked for one; a bad one is no reason to turn an agent away that
            // comes for a new one.
            Err(_) if rule == Some(Rule::Anyone) => Principal::Anonymous,
            Err(refused) => {
                self.count(&Principal::Anonymous, source)?;
                return Err(refused);
            }
        };
        self.count(&principal, source)?;
        self.look_up(path, rule, &principal).await?;
        if let (Some(peer), Principal::User(..)) = (peer, &principal) {
            peer.settle();
        }
        Ok(Admitted { principal, source, method: path.trim_start_matches('/').to_owned() })
    }

    fn count(&self, principal: &Principal, source: Option<IpAddr>) -> Result<(), Refused> {
        let (counted, rate) = match principal {
            Principal::Anonymous => (Counted::Address(source), STRANGERS),
            Principal::Cluster(..) => (Counted::Known(principal.actor()), CLUSTERS),
            Principal::User(..) => (Counted::Known(principal.actor()), USERS),
        };
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.ask(counted, rate, self.clock.now().uptime).map_err(|wait| {
            let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
            let message = format!("too many calls; ask again in {}", humantime::format_duration(wait));
            let refused = Refused::new("rate-limited", &principal.actor(), Code::ResourceExhausted, message);
            Refused { retry_after: Some(wait), ..refused }
        })
    }

    async fn principal(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Result<Principal, Refused> {
        if let Some(header) = headers.get(http::header::AUTHORIZATION) {
            let token = header.to_str().ok().and_then(|header| {
                let (scheme, token) = header.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            return self.bearer(token.unwrap_or_default()).await;
        }
        let now = self.clock.now().wall;
        match peer.map(Peer::caller) {
            None | Some(Caller::Anonymous) => Ok(Principal::Anonymous),
            Some(Caller::Unusable(reason)) => {
                let (reason, code) = (reason.clone(), Code::Unauthenticated);
                Err(Refused::new("certificate-without-identity", "anonymous", code, reason))
            }
            Some(Caller::Known(credential)) if credential.expires_at <= now => {
                let actor = actor(&credential.identity);
                let (status, reason) = (expired(credential), "certificate-expired");
                Err(Refused { status, reason, actor, retry_after: None })
            }
            Some(Caller::Known(credential)) => match &credential.identity {
                Identity::Cluster(name) => Ok(Principal::Cluster(name.clone(), credential.clone())),
                Identity::Operator(name) => {
                    let user = User {
                        name: name.to_string(),
                        groups: Vec::new(),
                        proof: user::Proof::Certificate { issued_at: credential.issued_at },
                        expires_at: Some(credential.expires_at),
                    };
                    if !self.access.borrow().knows(&user) {
                        let message = format!(
                            "this certificate of operator {name} was revoked; make a new one with `muster-hub operator`"
                        );
                        let (reason, actor) = ("certificate-revoked", user.actor());
                        return Err(Refused::new(reason, &actor, Code::Unauthenticated, message));
                    }
                    Ok(self.granted(user))
                }
            },
        }
    }

    fn granted(&self, user: User) -> Principal {
        let grant = self.access.borrow().policy.grant(&user);
        Principal::User(user, Arc::new(grant))
    }

    async fn bearer(&self, token: &str) -> Result<Principal, Refused> {
        let access = Arc::clone(&self.access.borrow());
        let now = self.clock.now().wall;
        let refused = |reason, actor: &str, message: String| {
            Err(Refused::new(reason, actor, Code::Unauthenticated, message))
        };
        if is_user_token(token) {
            return match by_token(&access.users, token, now) {
                Ok(user) => Ok(self.granted(user)),
                Err(TokenRefusal::Unknown) => {
                    refused("bearer-unknown", "anonymous", "the hub does not know the user token".to_owned())
                }
                Err(TokenRefusal::Expired { name }) => {
                    refused("bearer-expired", &format!("user/{name}"), "the user token expired".to_owned())
                }
            };
        }
        match self.id_token(token, &access.issuers).await {
            Ok(user) => Ok(self.granted(user)),
            Err(refusal) => {
                refused(refusal.name(), "anonymous", format!("the bearer token is not taken: {refusal}"))
            }
        }
    }

    async fn id_token(&self, token: &str, issuers: &[oidc::Issuer]) -> Result<User, oidc::Refusal> {
        let issuer = oidc::claimed_issuer(token, issuers)?;
        let now = self.clock.now().wall;
        let keys = self.keys.of(issuer, None).await.map_err(oidc::Refusal::NoKeys)?;
        match oidc::verify(token, issuer, &keys, now) {
            // The issuer may have begun to use another key.
            Err(oidc::Refusal::UnknownKey) => {
                let keys = self.keys.of(issuer, Some(&keys)).await.map_err(oidc::Refusal::NoKeys)?;
                oidc::verify(token, issuer, &keys, now)
            }
            verified => verified,
        }
    }

    async fn look_up(&self, path: &str, rule: Option<Rule>, principal: &Principal) -> Result<(), Refused> {
        let actor = principal.actor();
        let denied =
            |reason, message: String| Err(Refused::new(reason, &actor, Code::PermissionDenied, message));
        let allowed = |allowed: bool, role: Role, place: &str| {
            if allowed {
                return Ok(());
            }
            let role = role.word();
            denied(
                "role-missing",
                format!(
                    "{actor} needs the role {role}{place}; roles are given in `access` of the hub's config.yaml"
                ),
            )
        };
        match (rule, principal) {
            (Some(Rule::Anyone), _) => Ok(()),
            (_, Principal::Anonymous) => Err(Refused::new(
                "no-credential",
                &actor,
                Code::Unauthenticated,
                "a client certificate or a bearer token is needed: agents get a certificate by enrolling with a token, \
                 users have one in operator.yaml",
            )),
            (None, _) => {
                let message = format!("the hub has no method {path}");
                Err(Refused::new("unknown-method", &actor, Code::Unimplemented, message))
            }
            (Some(Rule::Known), Principal::User(..)) => Ok(()),
            (Some(Rule::Known | Rule::Clusters), Principal::Cluster(name, credential)) => {
                self.not_revoked(name, credential).await
            }
            (Some(Rule::Clusters), Principal::User(..)) => denied(
                "not-for-users",
                format!("this service is for the agents of clusters, and {actor} is none"),
            ),
            (Some(Rule::Users(_) | Rule::WholeFleet(_)), Principal::Cluster(..)) => denied(
                "not-for-clusters",
                format!(
                    "this service is for users, and the certificate is of {actor}; use the operator.yaml that `muster-hub init` made"
                ),
            ),
            (Some(Rule::Users(role)), Principal::User(_, grant)) => allowed(grant.somewhere(role), role, ""),
            (Some(Rule::WholeFleet(role)), Principal::User(_, grant)) => {
                allowed(grant.everywhere(role), role, " for the whole fleet")
            }
        }
    }

    async fn not_revoked(&self, name: &ClusterName, credential: &Credential) -> Result<(), Refused> {
        if credential.generation >= self.fleet.read().await.state.generation(name.as_str()) {
            return Ok(());
        }
        Err(Refused {
            status: revoked(name),
            reason: "certificate-revoked",
            actor: format!("cluster/{name}"),
            retry_after: None,
        })
    }
}

impl Access {
    /// Whether the user is still one, as far as the configuration says who is.
    fn knows(&self, user: &User) -> bool {
        match user.proof {
            user::Proof::Token => self.users.values().any(|known| known.name == user.name),
            user::Proof::Certificate { issued_at } => {
                self.revoked.get(&user.name).is_none_or(|before| issued_at >= *before)
            }
            user::Proof::Oidc => true,
        }
    }
}

fn actor(identity: &Identity) -> String {
    match identity {
        Identity::Cluster(name) => format!("cluster/{name}"),
        Identity::Operator(name) => format!("operator/{name}"),
    }
}

/// What the holder of an expired certificate is told.
pub(crate) fn expired(credential: &Credential) -> Status {
    let next = match &credential.identity {
        Identity::Cluster(name) => {
            format!("connect with a renewed one, or enrol again with `muster token create {name}`")
        }
        Identity::Operator(_) => "make a new one with `muster-hub operator`".to_owned(),
    };
    Status::unauthenticated(format!("the certificate expired at {}; {next}", credential.expires_at))
}

/// What the holder of a revoked certificate is told.
pub(crate) fn revoked(cluster: &ClusterName) -> Status {
    Status::unauthenticated(format!(
        "the certificates of cluster {cluster} were revoked; enrol again with a new token (`muster token create {cluster}`)"
    ))
}
