//! What is wrong, and who does not want to hear of it?

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use muster_wire::v1::{self, alert_service_server::AlertService};
use tonic::{Request, Response, Status};

use super::{STORE_PATIENCE, Serve, Sight, admitted, calling_user, given};
use crate::{
    access::policy::Grant,
    alerts::{Alert, AlertKey, AlertState, Matcher, Silence, SilenceId, Subject},
    audit::OK,
    authority::{hex, random},
    clock::{Now, from_proto, to_proto},
    commit::{Effects, Fleet},
    pattern::Pattern,
};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_000;
/// Longest silence: what is not wanted for good is a setting.
const SILENCE_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Silences at once.
const SILENCES_MAX: usize = 1_000;
/// How long a receiver may take for a test.
const TEST_PATIENCE: Duration = Duration::from_secs(15);

fn seen(sight: &Sight<'_>, key: &AlertKey) -> bool {
    match &key.subject {
        Subject::Cluster(cluster) => sight.cluster(cluster.as_str()),
        Subject::App(cluster, app) => sight.app(cluster.as_str(), app.as_str()),
        Subject::Stage(..) | Subject::Git => true,
    }
}

fn shown(alert: &Alert, silence: Option<&Silence>) -> v1::Alert {
    let (mut cluster, mut app, mut wave, mut track) = Default::default();
    match &alert.key.subject {
        Subject::Cluster(name) => cluster = name.to_string(),
        Subject::App(name, of) => (cluster, app) = (name.to_string(), of.to_string()),
        Subject::Stage(name, of) => (wave, track) = (name.to_string(), of.to_string()),
        Subject::Git => {}
    }
    let muted_by = alert.policy.muted.as_ref().map(ToString::to_string).unwrap_or_default();
    let told = alert.told.iter().map(|(receiver, told)| v1::AlertTold {
        receiver: receiver.clone(),
        at: Some(to_proto(told.at)),
        resolved: told.resolved,
    });
    v1::Alert {
        kind: alert.key.kind.word().to_owned(),
        severity: alert.policy.severity.word().to_owned(),
        state: v1::AlertState::from(alert.state()).into(),
        cluster,
        app,
        wave,
        track,
        cause: alert.cause.clone(),
        revision: alert.revision.clone(),
        started_at: Some(to_proto(alert.started_at)),
        fired_at: alert.fired_at.map(to_proto),
        resolved_at: alert.resolved_at.map(to_proto),
        told: told.collect(),
        silence: silence.map(|silence| silence.id.to_string()).unwrap_or_default(),
        author: alert.author.clone(),
        muted_by: muted_by.trim_end_matches('/').to_owned(),
    }
}

impl From<AlertState> for v1::AlertState {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::Pending => Self::Pending,
            AlertState::Firing => Self::Firing,
            AlertState::Resolved | AlertState::Remembered => Self::Resolved,
        }
    }
}

fn shown_silence(silence: &Silence) -> v1::Silence {
    let text = |pattern: &Option<Pattern>| pattern.as_ref().map(ToString::to_string).unwrap_or_default();
    v1::Silence {
        id: silence.id.to_string(),
        kind: silence.matcher.kind.map(|kind| kind.word().to_owned()).unwrap_or_default(),
        cluster: text(&silence.matcher.cluster),
        app: text(&silence.matcher.app),
        wave: text(&silence.matcher.wave),
        reason: silence.reason.clone(),
        author: silence.author.clone(),
        created_at: Some(to_proto(silence.created_at)),
        ends_at: Some(to_proto(silence.ends_at)),
    }
}

fn pattern(text: &str) -> Result<Option<Pattern>, Status> {
    let parse =
        |text: &str| text.parse::<Pattern>().map_err(|error| Status::invalid_argument(error.to_string()));
    given(text).map(parse).transpose()
}

/// The silence that is asked for.
fn asked(asked: v1::Silence, id: SilenceId, author: String, now: Timestamp) -> Result<Silence, Status> {
    let invalid = |why: &str| Status::invalid_argument(why.to_owned());
    let kind = given(&asked.kind).map(str::parse).transpose();
    let kind =
        kind.map_err(|_| Status::invalid_argument(format!("there are no alerts of kind {:?}", asked.kind)))?;
    let matcher = Matcher {
        kind,
        cluster: pattern(&asked.cluster)?,
        app: pattern(&asked.app)?,
        wave: pattern(&asked.wave)?,
    };
    if matcher == Matcher::default() {
        return Err(invalid("say which alerts are meant: a kind, a cluster, an app or a wave"));
    }
    if asked.reason.trim().is_empty() || asked.reason.len() > REASON_BYTES_MAX {
        return Err(invalid("say why, in at most 1000 bytes"));
    }
    let ends_at = asked.ends_at.as_ref().and_then(from_proto).ok_or_else(|| invalid("say until when"))?;
    let lasts = ends_at.duration_since(now);
    if lasts <= SignedDuration::ZERO || lasts > SILENCE_MAX {
        return Err(invalid("a silence ends in the future, and within 90 days"));
    }
    Ok(Silence { id, matcher, author, reason: asked.reason, created_at: now, ends_at })
}

fn list(fleet: &Fleet, grant: &Grant, only_firing: bool, now: Timestamp) -> Vec<v1::Alert> {
    let sight = Sight { state: &fleet.state, grant };
    let alerts = fleet.alerts.alerts().into_iter().filter(|alert| seen(&sight, &alert.key));
    let shown = alerts.map(|alert| shown(alert, fleet.alerts.silence_of(&alert.key, now)));
    let is_told = |alert: &v1::Alert| {
        alert.state() == v1::AlertState::Firing && alert.silence.is_empty() && alert.muted_by.is_empty()
    };
    shown.filter(|alert| !only_firing || is_told(alert)).collect()
}

#[tonic::async_trait]
impl AlertService for Serve {
    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let hub = &self.0;
        let alerts =
            list(&*hub.fleet.read().await, &grant, request.into_inner().only_firing, hub.clock.now().wall);
        let receivers = hub.alerts.receivers().map(str::to_owned).collect();
        Ok(Response::new(v1::ListAlertsResponse { alerts, receivers }))
    }

    async fn list_silences(
        &self,
        request: Request<v1::ListSilencesRequest>,
    ) -> Result<Response<v1::ListSilencesResponse>, Status> {
        calling_user(&admitted(&request)?)?;
        let now = self.0.clock.now().wall;
        let fleet = self.0.fleet.read().await;
        let silences = fleet.alerts.silences().into_iter().filter(|silence| silence.ends_at > now);
        Ok(Response::new(v1::ListSilencesResponse { silences: silences.map(shown_silence).collect() }))
    }

    async fn create_silence(
        &self,
        request: Request<v1::CreateSilenceRequest>,
    ) -> Result<Response<v1::CreateSilenceResponse>, Status> {
        let hub = &self.0;
        let call = admitted(&request)?;
        calling_user(&call)?;
        let wanted = request.into_inner().silence.unwrap_or_default();
        let random: [u8; 8] = random().map_err(|error| Status::internal(error.to_string()))?;
        let id = hex(&random).parse().map_err(|_| Status::internal("no id could be made"))?;
        let silence = asked(wanted, id, call.principal.actor(), hub.clock.now().wall)?;
        let shown = shown_silence(&silence);
        let detail = format!("until {}: {}", silence.ends_at, silence.reason);
        let entry = call.entry(format!("silence/{}", silence.id), OK, detail);
        let act = move |fleet: &mut Fleet, now: Now| {
            if fleet.alerts.silences().len() >= SILENCES_MAX {
                return (None, Effects::default());
            }
            let id = silence.id.clone();
            let mut records = vec![fleet.alerts.hush(silence)];
            records.extend(fleet.audit.record(entry, now));
            let quiet = |alert: &&Alert| {
                fleet.alerts.silence_of(&alert.key, now.wall).is_some_and(|silence| silence.id == id)
            };
            let silenced = fleet.alerts.alerts().into_iter().filter(quiet).count();
            (Some(silenced), Effects { records, ..Effects::default() })
        };
        let silenced = hub.committer.ask(STORE_PATIENCE, act).await?.ok_or_else(|| {
            Status::resource_exhausted(format!("there are {SILENCES_MAX} silences already; end some"))
        })?;
        let silenced = u32::try_from(silenced).unwrap_or(u32::MAX);
        Ok(Response::new(v1::CreateSilenceResponse { silence: Some(shown), silenced }))
    }

    async fn end_silence(
        &self,
        request: Request<v1::EndSilenceRequest>,
    ) -> Result<Response<v1::EndSilenceResponse>, Status> {
        let call = admitted(&request)?;
        calling_user(&call)?;
        let text = request.into_inner().id;
        let missing =
            || Status::not_found(format!("there is no silence {text:?}; `muster silence list` has all"));
        let id: SilenceId = text.parse().map_err(|_| missing())?;
        let entry = call.entry(format!("silence/{id}"), OK, "ended".to_owned());
        let act = move |fleet: &mut Fleet, now: Now| match fleet.alerts.end_silence(&id) {
            Some(change) => {
                let mut records = vec![change];
                records.extend(fleet.audit.record(entry, now));
                (true, Effects { records, ..Effects::default() })
            }
            None => (false, Effects::default()),
        };
        if self.0.committer.ask(STORE_PATIENCE, act).await? {
            Ok(Response::new(v1::EndSilenceResponse {}))
        } else {
            Err(missing())
        }
    }

    async fn test_receiver(
        &self,
        request: Request<v1::TestReceiverRequest>,
    ) -> Result<Response<v1::TestReceiverResponse>, Status> {
        let call = admitted(&request)?;
        calling_user(&call)?;
        let name = request.into_inner().receiver;
        let hub = &self.0;
        let sent = hub.alerts.test(&name, hub.clock.now().wall);
        let sent = tokio::time::timeout(TEST_PATIENCE, sent).await;
        let result = match sent {
            Ok(Some(result)) => result,
            Ok(None) => {
                let names: Vec<&str> = hub.alerts.receivers().collect();
                return Err(Status::not_found(format!(
                    "there is no receiver {name:?}; there are: {}",
                    names.join(", ")
                )));
            }
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        let detail = match &result {
            Ok(()) => "it took the test message".to_owned(),
            Err(problem) => problem.clone(),
        };
        let entry = call.entry(format!("receiver/{name}"), OK, detail);
        let keep = move |fleet: &mut Fleet, now: Now| Effects {
            records: fleet.audit.record(entry, now),
            ..Effects::default()
        };
        hub.committer.hand_in(keep).await?;
        result.map_err(|problem| {
            Status::unavailable(format!("the receiver {name} did not take it: {problem}"))
        })?;
        Ok(Response::new(v1::TestReceiverResponse {}))
    }
}
