//! How does the hub talk with one agent?
//!
//! ```text
//! Hello --> Welcome, then until either side ends it:
//!   inbound message --reserve a reply--> Committer --kept--> reply --several in one--> Ack
//! ```
//! A message is read only when there is room for its reply, so an agent that does not take its
//! acknowledgements is not read from either, and nothing piles up in the hub.

use std::time::Duration;

use muster_spec::ClusterName;
use muster_wire::v1::{
    self, AgentMessage, EnrollResponse, HubMessage, RenewRequest, agent_message::Body,
    agent_service_server::AgentService, hub_message,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Hub, STORE_PATIENCE, Serve, address, calling_cluster, enrollment::certify, stopping};
use crate::{
    access,
    authority::random,
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

type Outbound = mpsc::Sender<Result<HubMessage, Status>>;

#[tonic::async_trait]
impl AgentService for Serve {
    type ConnectStream = ReceiverStream<Result<HubMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (cluster, credential) = calling_cluster(&request)?;
        let id = random().map_err(|error| Status::internal(error.to_string()))?;
        let session = Session {
            hub: self.clone(),
            peer: address(&request),
            cluster,
            credential,
            stream: StreamId(u64::from_le_bytes(id)),
        };
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        self.0.tasks.spawn(session.run(request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<EnrollResponse>, Status> {
        let (cluster, _) = calling_cluster(&request)?;
        let key = csr::public_key(&request.into_inner().csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let response = certify(&self.0, &cluster, &key, true).await?;
        tracing::info!(%cluster, "renewed a certificate");
        Ok(Response::new(response))
    }
}

/// One stream of one agent.
struct Session {
    hub: Serve,
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
        let hub_stops = self.hub().stopping.clone();
        let left = self.hub().clock.left_until(self.credential.expires_at);
        let end = tokio::select! {
            biased;
            why = ended => why.map_or_else(|_| Some(stopping()), |why| Some(self.farewell(why))),
            () = hub_stops.cancelled() => Some(stopping()),
            () = tokio::time::sleep(left) => Some(access::expired(&self.credential)),
            end = self.talk(inbound, &outbound) => end.err(),
        };
        self.hub().streams.close(self.stream);
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
        }
    }

    /// From Hello until the agent hangs up.
    async fn talk(&self, mut inbound: Streaming<AgentMessage>, outbound: &Outbound) -> Result<(), Status> {
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
            tracing::warn!(
                cluster = %self.cluster, %said, peer = self.peer,
                "refused an agent that calls itself by another name than its certificate"
            );
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
        let Answer::Welcome(send) = answer.map_err(|_| NotKept)? else {
            return Err(stopping());
        };
        tracing::info!(
            cluster = %self.cluster, peer = self.peer, stream = %self.stream, version = hello.agent_version,
            apps = hello.apps.len(), resend = send.len(), "agent connected"
        );
        let welcome = v1::Welcome {
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            send_apps: send.into_iter().map(Into::into).collect(),
            heartbeat_seconds: u32::try_from(self.hub().heartbeat.as_secs()).unwrap_or(u32::MAX),
        };
        say(outbound, hub_message::Body::Welcome(welcome)).await
    }

    /// Hands a message to the committer, which answers into `room`.
    async fn take(&self, message: AgentMessage, room: mpsc::OwnedPermit<Answer>) -> Result<(), Status> {
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
                Answer::None | Answer::Welcome(_) => {}
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
