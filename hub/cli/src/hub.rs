//! Questions to the hub, each with a deadline, and its answers as the CLI's own types.

use std::{collections::BTreeMap, time::Duration};

use muster_wire::v1::{
    self, access_service_client::AccessServiceClient, alert_service_client::AlertServiceClient,
    audit_service_client::AuditServiceClient, authority_service_client::AuthorityServiceClient,
    cluster_service_client::ClusterServiceClient, fleet_service_client::FleetServiceClient,
    promotion_service_client::PromotionServiceClient, token_service_client::TokenServiceClient,
};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    alerts::{Alert, Silence},
    connect::{Reach, Refusal, connect, failed},
    failure::Failure,
    model::{App, Cluster, Event, Token},
    waves::{Decided, Decision, Waves},
};

/// Largest answer taken, in bytes: 3,000 clusters with 20 apps each come to a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Things in one answer of a list, which is asked for page by page: as many as the hub gives.
const PAGE: u32 = 1_000;

/// A connected hub.
pub(crate) struct Hub {
    reach: Reach,
    refusal: Refusal,
    timeout: Duration,
    channel: Channel,
    fleet: FleetServiceClient<Channel>,
    tokens: TokenServiceClient<Channel>,
    promotion: PromotionServiceClient<Channel>,
}

impl Hub {
    /// Connects; waits no longer than `timeout`, and so with each question.
    pub(crate) async fn connect(reach: Reach, timeout: Duration) -> Result<Self, Failure> {
        let (channel, refusal) = connect(&reach.address, reach.tls.clone(), timeout).await?;
        let fleet = FleetServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let tokens = TokenServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let promotion =
            PromotionServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { reach, refusal, timeout, channel, fleet, tokens, promotion })
    }

    /// All clusters with these labels, by name.
    pub(crate) async fn clusters(&mut self, labels: &[(String, String)]) -> Result<Vec<Cluster>, Failure> {
        let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
        let (mut clusters, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListClustersRequest {
                labels: labels.clone().into_iter().collect(),
                page_size: PAGE,
                page_token,
            };
            let answer = self.fleet.list_clusters(self.request(request));
            let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
            clusters.extend(answer.clusters.into_iter().map(Cluster::from));
            if answer.next_page_token.is_empty() {
                return Ok(clusters);
            }
            page_token = answer.next_page_token;
        }
    }

    /// Apps, by app, then cluster; without objects and drifts.
    pub(crate) async fn apps(
        &mut self,
        cluster: Option<&str>,
        only_unhealthy: bool,
    ) -> Result<Vec<App>, Failure> {
        let (mut apps, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListAppsRequest {
                cluster: cluster.unwrap_or_default().to_owned(),
                only_unhealthy,
                page_size: PAGE,
                page_token,
                view: v1::AppView::Summary.into(),
            };
            let answer = self.fleet.list_apps(self.request(request));
            let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
            apps.extend(answer.apps.into_iter().map(App::without_objects));
            if answer.next_page_token.is_empty() {
                return Ok(apps);
            }
            page_token = answer.next_page_token;
        }
    }

    /// One app in every cluster, or in one; none when the hub knows no such app.
    pub(crate) async fn app(&mut self, name: &str, cluster: Option<&str>) -> Result<Vec<App>, Failure> {
        let request =
            v1::GetAppRequest { name: name.to_owned(), cluster: cluster.unwrap_or_default().to_owned() };
        let answer = self.fleet.get_app(self.request(request));
        let none_is_an_answer = async {
            match answer.await {
                Err(status) if status.code() == tonic::Code::NotFound => {
                    Ok(Response::new(v1::GetAppResponse { apps: Vec::new() }))
                }
                other => other,
            }
        };
        let answer = within((&self.reach.address, &self.refusal), self.timeout, none_is_an_answer).await?;
        Ok(answer.apps.into_iter().map(App::from).collect())
    }

    /// History, newest first.
    pub(crate) async fn events(
        &mut self,
        cluster: Option<&str>,
        app: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Event>, Failure> {
        let request = v1::ListEventsRequest {
            cluster: cluster.unwrap_or_default().to_owned(),
            app: app.unwrap_or_default().to_owned(),
            limit,
            page_token: String::new(),
        };
        let answer = self.fleet.list_events(self.request(request));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok(answer.events.into_iter().map(Event::from).collect())
    }

    /// What is wrong, and the receivers that are told.
    pub(crate) async fn alerts(&mut self, only_firing: bool) -> Result<(Vec<Alert>, Vec<String>), Failure> {
        let mut client = self.alert_service();
        let answer = client.list_alerts(self.request(v1::ListAlertsRequest { only_firing }));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok((answer.alerts.into_iter().map(Alert::from).collect(), answer.receivers))
    }

    /// All silences.
    pub(crate) async fn silences(&mut self) -> Result<Vec<Silence>, Failure> {
        let mut client = self.alert_service();
        let answer = client.list_silences(self.request(v1::ListSilencesRequest {}));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok(answer.silences.into_iter().map(Silence::from).collect())
    }

    /// A new silence, and how many alerts it silences now.
    pub(crate) async fn create_silence(&mut self, silence: v1::Silence) -> Result<(Silence, usize), Failure> {
        let mut client = self.alert_service();
        let answer = client.create_silence(self.request(v1::CreateSilenceRequest { silence: Some(silence) }));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        let silenced = usize::try_from(answer.silenced).unwrap_or(usize::MAX);
        Ok((answer.silence.unwrap_or_default().into(), silenced))
    }

    /// Ends a silence.
    pub(crate) async fn end_silence(&mut self, id: &str) -> Result<(), Failure> {
        let mut client = self.alert_service();
        let answer = client.end_silence(self.request(v1::EndSilenceRequest { id: id.to_owned() }));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await.map(drop)
    }

    /// Sends a test message to a receiver of alerts.
    pub(crate) async fn test_receiver(&mut self, receiver: &str) -> Result<(), Failure> {
        let mut client = self.alert_service();
        let request = v1::TestReceiverRequest { receiver: receiver.to_owned() };
        let answer = client.test_receiver(self.request(request));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await.map(drop)
    }

    fn alert_service(&self) -> AlertServiceClient<Channel> {
        AlertServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The stream of changes; only its start has a deadline.
    pub(crate) async fn watch(
        &mut self,
        cluster: Option<&str>,
        resume_token: &str,
    ) -> Result<Streaming<v1::WatchFleetResponse>, Failure> {
        let (cluster, resume_token) = (cluster.unwrap_or_default().to_owned(), resume_token.to_owned());
        let answer = self.fleet.watch_fleet(self.endless(v1::WatchFleetRequest { cluster, resume_token }));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await
    }

    /// Where every track stands in every wave, or one track.
    pub(crate) async fn waves(&mut self, track: Option<&str>) -> Result<Waves, Failure> {
        let request = v1::GetWavesRequest { track: track.unwrap_or_default().to_owned() };
        let answer = self.promotion.get_waves(self.request(request));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await.map(Waves::from)
    }

    /// Decides something about a track.
    pub(crate) async fn decide(&mut self, request: v1::DecideRequest) -> Result<Decided, Failure> {
        let answer = self.promotion.decide(self.request(request));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok(Decided { commit: answer.commit, subject: answer.subject })
    }

    /// What was decided, newest first.
    pub(crate) async fn decisions(
        &mut self,
        track: Option<&str>,
        wave: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Decision>, Failure> {
        let request = v1::ListDecisionsRequest {
            track: track.unwrap_or_default().to_owned(),
            wave: wave.unwrap_or_default().to_owned(),
            limit,
        };
        let answer = self.promotion.list_decisions(self.request(request));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok(answer.decisions.into_iter().map(Decision::from).collect())
    }

    /// A new token, and what is known of it.
    pub(crate) async fn create_token(
        &mut self,
        cluster: &str,
        labels: &[(String, String)],
        ttl: Duration,
        uses: u32,
    ) -> Result<(String, Token), Failure> {
        let ttl = prost_types::Duration::try_from(ttl)
            .map_err(|_| Failure::Rejected { message: "--ttl is out of range".to_owned() })?;
        let request = v1::CreateTokenRequest {
            cluster: cluster.to_owned(),
            ttl: Some(ttl),
            uses,
            labels: labels.iter().cloned().collect(),
        };
        let answer = self.tokens.create_token(self.request(request));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok((answer.token, answer.info.unwrap_or_default().into()))
    }

    /// All tokens.
    pub(crate) async fn tokens(&mut self) -> Result<Vec<Token>, Failure> {
        let answer = self.tokens.list_tokens(self.request(v1::ListTokensRequest {}));
        let answer = within((&self.reach.address, &self.refusal), self.timeout, answer).await?;
        Ok(answer.tokens.into_iter().map(Token::from).collect())
    }

    /// Takes a token back.
    pub(crate) async fn revoke_token(&mut self, id: &str) -> Result<(), Failure> {
        let answer = self.tokens.revoke_token(self.request(v1::RevokeTokenRequest { id: id.to_owned() }));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await.map(drop)
    }

    /// Takes a cluster's certificates back.
    pub(crate) async fn revoke_cluster(&mut self, cluster: &str, reason: &str) -> Result<(), Failure> {
        let request = v1::RevokeClusterRequest { cluster: cluster.to_owned(), reason: reason.to_owned() };
        let mut client = ClusterServiceClient::new(self.channel.clone());
        let answer = client.revoke_cluster(self.request(request));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await.map(drop)
    }

    /// Entries of the audit log.
    pub(crate) async fn audit(
        &mut self,
        request: v1::ListAuditRequest,
    ) -> Result<v1::ListAuditResponse, Failure> {
        let mut client =
            AuditServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let answer = client.list_audit(self.request(request));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await
    }

    /// The hub's CAs.
    pub(crate) async fn authority(&mut self) -> Result<v1::GetAuthorityResponse, Failure> {
        let mut client = AuthorityServiceClient::new(self.channel.clone());
        let answer = client.get_authority(self.request(v1::GetAuthorityRequest {}));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await
    }

    /// Who the hub takes the caller for.
    pub(crate) async fn who_am_i(&mut self) -> Result<v1::WhoAmIResponse, Failure> {
        let mut client = AccessServiceClient::new(self.channel.clone());
        let answer = client.who_am_i(self.request(v1::WhoAmIRequest {}));
        within((&self.reach.address, &self.refusal), self.timeout, answer).await
    }

    /// What a broken stream means.
    pub(crate) fn failed(&self, status: &Status) -> Failure {
        failed(&self.reach.address, &self.refusal, self.timeout, status)
    }

    /// Tells the hub the deadline too, so that it does not work for nobody.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.endless(message);
        request.set_timeout(self.timeout);
        request
    }

    /// A request that says who asks, if the connection does not.
    fn endless<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.reach.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

async fn within<T>(
    (address, refusal): (&crate::connect::Address, &Refusal),
    timeout: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(failed(address, refusal, timeout, &status)),
        Err(_) => Err(Failure::TimedOut { timeout: humantime::format_duration(timeout).to_string() }),
    }
}
