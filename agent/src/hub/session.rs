//! One connection after another, for ever: gets an identity, connects, reports, renews, tries again.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{
    HubConfig,
    connect::{Address, broken, mutual, pinned},
    enrol::{Token, enrol, renew},
    identity::Identity,
    pin::Fingerprint,
    problem::Problem,
    retry::{Backoff, chance},
    secret::{NAME, Vault},
    stream::{Said, Stream},
};
use crate::report::Reports;

/// How often the token file is looked at while only a new token can help.
const TOKEN_POLL: Duration = Duration::from_secs(2);
/// Longest sleep before the clock is looked at again: it may have been set.
const CLOCK_POLL: Duration = Duration::from_secs(60);
/// How long to wait for a board that holds every app, before the hub hears of the cluster without.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Different causes remembered between two connections; more than these are told each time.
const CAUSES_MAX: usize = 16;
/// Longest time a hub may have an agent stay away.
const SLOT_MAX: Duration = Duration::from_secs(600);
/// Longest wait between tries to renew.
const RENEWAL_RETRY_MAX: Duration = Duration::from_secs(600);

/// How a connection ended, if nothing was wrong.
enum Ended {
    /// There is a new identity; the next connection uses it.
    Renewed,
    /// The agent is stopping.
    Stopped,
}

/// What to connect with.
enum Means {
    Identity(Identity),
    /// To be traded for an identity first.
    Token(Token),
}

/// All that outlives one connection.
pub(super) struct Session {
    config: HubConfig,
    reports: Reports,
    /// Told when the hub says that Git has news.
    hints: Arc<Notify>,
    vault: Vault,
    identity: Option<Identity>,
    /// The identity is not in the Secret yet.
    unsaved: bool,
    /// The hub did not take the identity, or its certificate is from another CA: with a token, the
    /// next try enrols.
    doubted: bool,
    /// Token that led to the identity: using it again would change nothing.
    enrolled_with: Option<Fingerprint>,
    /// Token that was looked at last, whatever came of it.
    tried: Option<Fingerprint>,
    /// When the hub said Welcome on the connection at hand, or the last one.
    welcomed_at: Option<Instant>,
    /// When the hub wants this agent back: said before it ended the stream.
    slot: Option<Duration>,
    /// Within which time the hub wants agents back that it lost.
    spread: Duration,
    /// What was complained of since then, so that each cause is told loudly once.
    complained_of: BTreeSet<String>,
}

impl Session {
    pub(super) fn new(config: HubConfig, reports: Reports, hints: Arc<Notify>, client: kube::Client) -> Self {
        let vault = Vault::new(client, &config.namespace);
        Self {
            config,
            reports,
            hints,
            vault,
            identity: None,
            unsaved: false,
            doubted: false,
            enrolled_with: None,
            tried: None,
            welcomed_at: None,
            slot: None,
            spread: Duration::ZERO,
            complained_of: BTreeSet::new(),
        }
    }

    pub(super) async fn run(&mut self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            self.welcomed_at = None;
            let problem = match self.connection(shutdown).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Renewed) => continue,
                Err(problem) => problem,
            };
            let held = self.welcomed_at.map_or(Duration::ZERO, |at| at.elapsed());
            backoff.spread_over(self.spread);
            let wait = match self.slot.take() {
                // Agents that were given slots need no jitter: the hub spread them.
                Some(slot) => slot.min(SLOT_MAX),
                _ => backoff.next(problem.pace(), held, chance()),
            };
            self.complain(&problem, wait);
            if self.doubted && self.has_unused_token().await {
                continue;
            }
            let early = async {
                if problem.is_over_with_a_token() {
                    self.another_token().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = early => {}
            }
        }
    }

    /// One connection, from whatever must come before it to its end.
    async fn connection(&mut self, shutdown: &CancellationToken) -> Result<Ended, Problem> {
        let address = Address::parse(&self.config.address)?;
        let cluster = self.config.cluster.clone();
        let means = tokio::select! {
            () = shutdown.cancelled() => return Ok(Ended::Stopped),
            means = self.means() => means?,
        };
        let identity = match means {
            Means::Identity(identity) => identity,
            Means::Token(token) => {
                let channel = tokio::select! {
                    () = shutdown.cancelled() => return Ok(Ended::Stopped),
                    channel = pinned(&address, token.ca()) => channel?,
                };
                // Not to be interrupted: what a token has bought must be kept.
                self.enrol(channel, &address, &token).await?
            }
        };
        self.save().await;
        let connected = async {
            // The hub forgets apps that are not listed, so the list should be whole; yet a cluster that
            // cannot read Git must be seen too.
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, self.reports.settled()).await;
            let (channel, refusal) = mutual(&address, &identity).await?;
            let stream =
                Stream::open(channel.clone(), &cluster, trusted(&identity), &self.reports, &self.hints).await;
            let stream = stream.map_err(|status| broken(&address, &cluster, &refusal, &status))?;
            Ok((channel, refusal, stream))
        };
        let connected = tokio::select! {
            () = shutdown.cancelled() => return Ok(Ended::Stopped),
            connected = connected => connected,
        };
        let (channel, refusal, mut stream) = connected.map_err(|problem| self.doubt(problem))?;
        let mut renewing = std::pin::pin!(renewal(channel, &address, &identity, &cluster));
        let renewed = loop {
            let said = tokio::select! {
                () = shutdown.cancelled() => return Ok(Ended::Stopped),
                said = stream.run() => said,
                renewed = &mut renewing => break renewed,
            };
            match said {
                Ok(said) => self.hear(said, &address, &stream).await,
                Err(status) => {
                    let problem = broken(&address, &cluster, &refusal, &status);
                    return Err(self.doubt(problem));
                }
            }
        };
        tracing::info!(expires = %renewed.not_after, "Renewed this cluster's certificate.");
        self.identity = Some(renewed);
        self.unsaved = true;
        self.save().await;
        Ok(Ended::Renewed)
    }

    /// What the hub says beyond acknowledgements.
    async fn hear(&mut self, said: Said, address: &Address, stream: &Stream) {
        match said {
            Said::Welcome { version, reconnect_within } => {
                self.welcomed_at = Some(Instant::now());
                self.spread = reconnect_within;
                self.complained_of.clear();
                tracing::info!(hub = %address, version, "Connected to the hub.");
            }
            Said::Reconnect(after) => self.slot = Some(after),
            Said::TrustBundle(bundle) => {
                let Some(identity) = &self.identity else { return };
                match identity.trusting(bundle) {
                    Ok(trusting) => {
                        tracing::info!(hub = %address, cas = trusting.cas().len(), "The hub has other CAs to be trusted.");
                        stream.trusts(trusted(&trusting));
                        self.identity = Some(trusting);
                        self.unsaved = true;
                        self.save().await;
                    }
                    Err(message) => {
                        tracing::warn!(hub = %address, "The CAs the hub sent are not taken: {message}.");
                    }
                }
            }
        }
    }

    /// What to connect with: the identity at hand, the one in the Secret, or a token for a new one.
    async fn means(&mut self) -> Result<Means, Problem> {
        let mut fault = "it has no certificate yet".to_owned();
        if self.identity.is_none() {
            match self.vault.load().await? {
                Some(Ok(identity)) => self.identity = Some(identity),
                Some(Err(message)) => fault = format!("the Secret {NAME} cannot be used: {message}"),
                None => {}
            }
        }
        if let Some(identity) = &self.identity {
            match identity.fault(&self.config.cluster, Timestamp::now()) {
                Some(message) => fault = message,
                None => {
                    let identity = identity.clone();
                    return Ok(self.unless_doubted(identity).await);
                }
            }
        }
        match self.token().await? {
            Some(token) => Ok(Means::Token(token)),
            None => Err(Problem::NoToken { cluster: self.config.cluster.clone(), why: fault }),
        }
    }

    /// An identity the hub did not take is replaced once there is a token it has not seen; until then,
    /// and every other time, it is tried again, for the hub may change its mind.
    async fn unless_doubted(&mut self, identity: Identity) -> Means {
        if !std::mem::take(&mut self.doubted) {
            return Means::Identity(identity);
        }
        match self.token().await {
            Ok(Some(token)) if self.enrolled_with != Some(token.mark()) => Means::Token(token),
            _ => Means::Identity(identity),
        }
    }

    /// True when there is a token that might lead to another identity.
    async fn has_unused_token(&self) -> bool {
        let token = self.read_token().await.ok().flatten();
        token.is_some_and(|token| self.enrolled_with != Some(token.mark()))
    }

    async fn enrol(
        &mut self,
        channel: Channel,
        address: &Address,
        token: &Token,
    ) -> Result<Identity, Problem> {
        let identity = enrol(channel, address, &self.config.cluster, token).await?;
        tracing::info!(hub = %address, cluster = self.config.cluster, expires = %identity.not_after, "Enrolled with the hub.");
        self.enrolled_with = Some(token.mark());
        self.identity = Some(identity.clone());
        self.unsaved = true;
        Ok(identity)
    }

    /// Keeps the identity in the Secret, unless it is there. One that cannot be kept is used all the
    /// same, since the token may be used up, and is tried again with the next connection.
    async fn save(&mut self) {
        if let (true, Some(identity)) = (self.unsaved, &self.identity) {
            match self.vault.save(identity).await {
                Ok(()) => self.unsaved = false,
                Err(problem) => tracing::warn!("{problem}. A restart now would need a new token."),
            }
        }
    }

    /// The token in the file, remembered as the one that was tried last.
    async fn token(&mut self) -> Result<Option<Token>, Problem> {
        self.tried = None;
        let token = self.read_token().await?;
        self.tried = token.as_ref().map(Token::mark);
        Ok(token)
    }

    async fn read_token(&self) -> Result<Option<Token>, Problem> {
        match &self.config.token_file {
            Some(path) => Token::read(path).await,
            None => Ok(None),
        }
    }

    /// Waits until there is a token, and another one than was tried.
    async fn another_token(&self) {
        loop {
            if let Ok(Some(token)) = self.read_token().await
                && self.tried != Some(token.mark())
            {
                return;
            }
            tokio::time::sleep(TOKEN_POLL).await;
        }
    }

    fn doubt(&mut self, problem: Problem) -> Problem {
        self.doubted = problem.is_about_identity();
        problem
    }

    /// Says what is wrong, loudly only when it is something new.
    fn complain(&mut self, problem: &Problem, wait: Duration) {
        let cause = problem.to_string();
        let dropped = self.reports.events_dropped();
        let again = humantime::format_duration(Duration::from_millis(
            u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        ));
        let known = self.complained_of.contains(&cause);
        if known {
            tracing::debug!(%again, events_dropped = dropped, "Not linked to the hub: {cause}.");
        } else {
            tracing::warn!(%again, events_dropped = dropped, "Not linked to the hub: {cause}. This cluster goes on with Git alone.");
            if self.complained_of.len() < CAUSES_MAX {
                self.complained_of.insert(cause);
            }
        }
    }
}

/// Sleeps until the identity is to be renewed, and tries until it is. Ends only with a new identity: if
/// there is none before the old one expires, the hub ends the stream.
async fn renewal(channel: Channel, address: &Address, identity: &Identity, cluster: &str) -> Identity {
    wait_until(identity.renew_at()).await;
    let mut told = false;
    loop {
        match renew(channel.clone(), address, cluster).await {
            Ok(renewed) => return renewed,
            Err(problem) if told => tracing::debug!("The certificate could not be renewed: {problem}."),
            Err(problem) => {
                told = true;
                tracing::warn!(expires = %identity.not_after, "The certificate could not be renewed yet: {problem}.");
            }
        }
        // A twentieth of what is left: often enough, whatever the lifetime.
        let left =
            Duration::try_from(identity.not_after.duration_since(Timestamp::now())).unwrap_or_default();
        let wait = (left / 20).clamp(Duration::from_secs(1), RENEWAL_RETRY_MAX);
        tokio::time::sleep(wait.mul_f64(0.5 + chance() / 2.0)).await;
    }
}

/// The hashes of the CAs an identity trusts, as the protocol has them.
fn trusted(identity: &Identity) -> Vec<Vec<u8>> {
    identity.fingerprints().into_iter().map(Fingerprint::to_vec).collect()
}

async fn wait_until(time: Timestamp) {
    let time = SystemTime::from(time);
    while let Ok(left) = time.duration_since(SystemTime::now()) {
        tokio::time::sleep(left.min(CLOCK_POLL)).await;
    }
}
