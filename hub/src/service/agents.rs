//! How does the hub talk with one agent?
//!
//! ```text
//! Hello --> Welcome, then until either side ends it:
//!   inbound message --reserve a reply--> Committer --kept--> reply --several in one--> Ack
//! ```
//! A message is read only when there is room for its reply, so an agent that does not take its
//! acknowledgements is not read from either, and nothing piles up in the hub.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use muster_spec::ClusterName;
use muster_wire::PROTOCOL;
use muster_wire::v1::{
    self, AgentMessage, EnrollResponse, HubMessage, RenewRequest, agent_message::Body,
    agent_service_server::AgentService, hub_message,
};
use ring::digest;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Hub, STORE_PATIENCE, Serve, admitted, calling_cluster,
    enrollment::{Reason, certify},
    stopping,
};
use crate::{
    access::{self, Admitted},
    audit::OK,
    authority::{Authority, random},
    commit::{Effects, NotKept},
    csr,
    fleet::{self, Answer, Ended, Excess, Input, StreamId},
    identity::Credential,
};

/// Time for the first message of a stream.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// Messages of one stream that are not acknowledged yet: enough to fill a shared write.
const UNACKNOWLEDGED_MAX: usize = 256;
/// Messages to an agent that it has not taken: what does not fit waits as a reply.
const OUTBOUND_MAX: usize = 4;
/// Time for one agent to fetch from the Git server before the next does, when all are told of news.
const HINT_SPREAD: Duration = Duration::from_millis(2);
const HINT_SPREAD_MAX: Duration = Duration::from_secs(30);
/// How long an agent that does not read may keep the hub from saying why it hangs up.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// CAs an agent may say that it trusts.
const TRUSTED_MAX: usize = 16;

type Outbound = mpsc::Sender<Result<HubMessage, Status>>;

#[tonic::async_trait]
impl AgentService for Serve {
    type ConnectStream = ReceiverStream<Result<HubMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let call = admitted(&request)?;
        let (cluster, credential) = calling_cluster(&call)?;
        let id = random().map_err(|error| Status::internal(error.to_string()))?;
        let session = Session {
            hub: self.clone(),
            peer: call.source.map(|source| source.to_string()).unwrap_or_default(),
            call,
            cluster,
            credential,
            stream: StreamId(u64::from_le_bytes(id)),
        };
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        self.0.tasks.spawn(session.run(request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<EnrollResponse>, Status> {
        let call = admitted(&request)?;
        let (cluster, credential) = calling_cluster(&call)?;
        let target = format!("cluster/{cluster}");
        let key = match csr::public_key(&request.into_inner().csr) {
            Ok(key) => key,
            Err(error) => {
                self.0.gate.refused(call.entry(target, "request-invalid", error.to_string())).await;
                return Err(Status::invalid_argument(error.to_string()));
            }
        };
        let entry = call.entry(target, OK, String::new());
        let response =
            certify(&self.0, &cluster, &key, Reason::Renewed(credential.generation), entry).await?;
        tracing::info!(%cluster, "renewed a certificate");
        Ok(Response::new(response))
    }
}

/// One stream of one agent.
struct Session {
    hub: Serve,
    call: Admitted,
    peer: String,
    cluster: ClusterName,
    credential: Credential,
    stream: StreamId,
}

impl Session {
    fn hub(&self) -> &Hub {
        &self.hub.0
    }

    async fn run(self, inbound: Streaming<AgentMessage>, outbound: Outbound) {
        let ended = self.hub().streams.open(self.stream);
        let mut superseded = None;
        let hub_stops = self.hub().stopping.clone();
        let left = self.hub().clock.left_until(self.credential.expires_at);
        let end = tokio::select! {
            biased;
            why = ended => {
                superseded = why.ok();
                Some(superseded.map_or_else(stopping, |why| self.farewell(why)))
            }
            () = hub_stops.cancelled() => {
                self.send_away(&outbound);
                Some(stopping())
            }
            () = tokio::time::sleep(left) => Some(access::expired(&self.credential)),
            end = self.talk(inbound, &outbound) => end.err(),
        };
        self.hub().streams.close(self.stream);
        if !matches!(superseded, Some(Ended::Superseded)) {
            self.hub().agents.gone(&self.cluster);
        }
        let (cluster, stream, hub_stops) = (self.cluster.clone(), self.stream, hub_stops.is_cancelled());
        let input = Input::Disconnected { cluster, stream, hub_stops };
        let handed_in =
            self.hub().committer.hand_in(move |fleet, now| effects(fleet.state.apply(input, now), None));
        let _ = handed_in.await; // the hub has stopped
        let reason = end.as_ref().map_or("the agent hung up", |status| status.message());
        tracing::info!(cluster = %self.cluster, peer = self.peer, stream = %self.stream, reason, "stream ended");
        if let Some(status) = end {
            let _ = tokio::time::timeout(FAREWELL_MAX, outbound.send(Err(status))).await; // it is gone already
        }
    }

    /// Tells the agent when to come back.
    fn send_away(&self, outbound: &Outbound) {
        let after = u32::try_from(self.hub().agents.slot().as_millis()).unwrap_or(u32::MAX);
        let body = hub_message::Body::Reconnect(v1::Reconnect { after_milliseconds: after });
        // One that does not read comes back at a random time.
        let _ = outbound.try_send(Ok(HubMessage { body: Some(body) }));
    }

    fn farewell(&self, why: Ended) -> Status {
        match why {
            Ended::Superseded => Status::aborted(format!(
                "a newer stream of cluster {} took over; if that is another agent, one of the two has the wrong \
                 --cluster",
                self.cluster
            )),
            Ended::Outrun => Status::aborted(
                "another hub wrote of this cluster meanwhile; connect again, so that it is settled who has what",
            ),
            Ended::Silent => Status::unavailable(format!(
                "nothing was heard for three heartbeats of {} seconds; connect again",
                self.hub().heartbeat.as_secs_f64()
            )),
            Ended::Revoked => access::revoked(&self.cluster),
        }
    }

    /// From Hello until the agent hangs up.
    async fn talk(&self, mut inbound: Streaming<AgentMessage>, outbound: &Outbound) -> Result<(), Status> {
        // From before the welcome on, which tells of the CAs as they are then: no change is missed.
        let mut authority = self.hub().authority.clone();
        authority.mark_unchanged();
        self.welcome(&mut inbound, outbound).await?;
        let mut hints = self.hub().hints.subscribe();
        if *hints.borrow_and_update() > 0 {
            // What was news while it was away is so still.
            hints.mark_changed();
        }
        let (replies, mut replied) = mpsc::channel::<Answer>(UNACKNOWLEDGED_MAX);
        let mut room = None;
        let mut answers = Vec::with_capacity(UNACKNOWLEDGED_MAX);
        loop {
            tokio::select! {
                biased;
                _ = replied.recv_many(&mut answers, UNACKNOWLEDGED_MAX) => {
                    if let Some(ack) = self.acknowledge(answers.drain(..)) {
                        say(outbound, hub_message::Body::Ack(ack)).await?;
                    }
                }
                Ok(()) = hints.changed() => say(outbound, hub_message::Body::Fetch(self.hint().await)).await?,
                Ok(()) = authority.changed() => {
                    let authority = Arc::clone(&authority.borrow_and_update());
                    self.bundle(&authority, outbound).await?;
                }
                permit = replies.clone().reserve_owned(), if room.is_none() => room = permit.ok(),
                message = inbound.message(), if room.is_some() => {
                    let (Some(message), Some(room)) = (message?, room.take()) else { return Ok(()) };
                    self.take(message, room).await?;
                }
            }
        }
    }

    /// Word that Git has news, spread so that the agents do not ask for it all at once.
    async fn hint(&self) -> v1::Fetch {
        let (_, connected) = self.hub().fleet.read().await.state.size();
        let spread =
            HINT_SPREAD.saturating_mul(u32::try_from(connected).unwrap_or(u32::MAX)).min(HINT_SPREAD_MAX);
        v1::Fetch { spread_milliseconds: u32::try_from(spread.as_millis()).unwrap_or(u32::MAX) }
    }

    /// Sends the CAs to trust.
    async fn bundle(&self, authority: &Authority, outbound: &Outbound) -> Result<(), Status> {
        let ca_certificates = authority.trusted().iter().map(|ca| ca.to_vec()).collect();
        say(outbound, hub_message::Body::TrustBundle(v1::TrustBundle { ca_certificates })).await
    }

    async fn welcome(
        &self,
        inbound: &mut Streaming<AgentMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(HELLO_MAX, inbound.message()).await;
        let first =
            first.map_err(|_| Status::deadline_exceeded("the stream did not begin with Hello in time"))??;
        let Some(Body::Hello(hello)) = first.and_then(|message| message.body) else {
            return Err(Status::invalid_argument("the first message of a stream must be Hello"));
        };
        let (said, apps) = fleet::admit_hello(&hello).map_err(|excess| refused(&excess))?;
        if said != self.cluster {
            let detail = format!("the agent calls itself by another name than its certificate, {said}");
            let entry = self.call.entry(format!("cluster/{said}"), "certificate-of-another-cluster", detail);
            self.hub().gate.refused(entry).await;
            return Err(Status::permission_denied(format!(
                "the agent runs for cluster {said} with the certificate of cluster {}; start it with --cluster {}, \
                 or enrol it with a token from `muster token create {said}`",
                self.cluster, self.cluster
            )));
        }
        let input = Input::Connected {
            cluster: said,
            stream: self.stream,
            certificate_expires_at: self.credential.expires_at,
            generation: self.credential.generation,
            apps,
        };
        let (sender, receiver) = oneshot::channel();
        self.hub()
            .committer
            .hand_in(move |fleet, now| {
                let reply = move |answer| drop(sender.send(answer)); // the stream has ended meanwhile
                effects(fleet.state.apply(input, now), Some(Box::new(reply)))
            })
            .await?;
        let answer = tokio::time::timeout(STORE_PATIENCE, receiver).await.map_err(|_| NotKept)?;
        let send = match answer.map_err(|_| NotKept)? {
            Answer::Welcome(send) => send,
            Answer::Revoked => return Err(access::revoked(&self.cluster)),
            _ => return Err(stopping()),
        };
        tracing::info!(
            cluster = %self.cluster, peer = self.peer, stream = %self.stream, version = hello.agent_version,
            apps = hello.apps.len(), resend = send.len(), "agent connected"
        );
        let welcome = v1::Welcome {
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            send_apps: send.into_iter().map(Into::into).collect(),
            heartbeat_seconds: u32::try_from(self.hub().heartbeat.as_secs()).unwrap_or(u32::MAX),
            protocol: PROTOCOL,
            capabilities: Vec::new(),
            reconnect_within_milliseconds: u32::try_from(self.hub().agents.spread().as_millis())
                .unwrap_or(u32::MAX),
        };
        say(outbound, hub_message::Body::Welcome(welcome)).await?;
        // Agents of the first version neither say what they trust nor take a bundle.
        if hello.protocol > 0 {
            let authority = self.hub().authority();
            let same = same(&hello.trusted, &authority);
            self.hub().agents.trusts(&self.cluster, hello.trusted);
            if !same {
                self.bundle(&authority, outbound).await?;
            }
        }
        Ok(())
    }

    /// Hands a message to the committer, which answers into `room`.
    async fn take(&self, message: AgentMessage, room: mpsc::OwnedPermit<Answer>) -> Result<(), Status> {
        if let Some(Body::Trusted(trusted)) = message.body {
            let fits = trusted.trusted.len() <= TRUSTED_MAX;
            self.hub().agents.trusts(&self.cluster, if fits { trusted.trusted } else { Vec::new() });
            return Ok(());
        }
        let report = match fleet::admit_report(message) {
            Ok(report) => Box::new(report),
            // From a newer agent: what is not known is passed over.
            Err(Excess::Unknown) => return Ok(()),
            Err(excess) => return Err(refused(&excess)),
        };
        let input = Input::Reported { cluster: self.cluster.clone(), stream: self.stream, report };
        let reply = move |answer| drop(room.send(answer));
        self.hub()
            .committer
            .hand_in(move |fleet, now| effects(fleet.state.apply(input, now), Some(Box::new(reply))))
            .await?;
        Ok(())
    }

    /// One message for several answers.
    fn acknowledge(&self, answers: impl Iterator<Item = Answer>) -> Option<v1::Ack> {
        let mut ack = v1::Ack::default();
        for answer in answers {
            match answer {
                Answer::None | Answer::Welcome(_) | Answer::Revoked => {}
                Answer::Cluster => ack.cluster = true,
                Answer::App(app, sequence) => ack.apps.push(v1::AppAck { app: app.into(), sequence }),
                Answer::Event(id) => ack.event_ids.push(id),
                Answer::Refused(excess) => {
                    tracing::warn!(cluster = %self.cluster, reason = %excess, "did not take a report");
                }
            }
        }
        (ack != v1::Ack::default()).then_some(ack)
    }
}

/// Whether an agent trusts the CAs it is to trust, and no others.
fn same(trusted: &[Vec<u8>], authority: &Authority) -> bool {
    let hash = |ca: &CertificateDer<'_>| digest::digest(&digest::SHA256, ca).as_ref().to_vec();
    let wanted: BTreeSet<Vec<u8>> = authority.trusted().iter().map(hash).collect();
    trusted.iter().cloned().collect::<BTreeSet<_>>() == wanted
}

fn refused(excess: &Excess) -> Status {
    match excess {
        Excess::Apps(_) | Excess::Hello(_) => Status::resource_exhausted(excess.to_string()),
        _ => Status::invalid_argument(excess.to_string()),
    }
}

type Reply = Box<dyn FnOnce(Answer) + Send>;

fn effects(changes: fleet::Changes, reply: Option<Reply>) -> Effects {
    let fleet::Changes { records, touched, answer, ended } = changes;
    let then = reply.map(|reply| -> Box<dyn FnOnce() + Send> { Box::new(move || reply(answer)) });
    Effects { records, touched, ended, then, as_leader: false }
}

async fn say(outbound: &Outbound, body: hub_message::Body) -> Result<(), Status> {
    let message = HubMessage { body: Some(body) };
    outbound.send(Ok(message)).await.map_err(|_| Status::cancelled("the agent hung up"))
}
