//! How does one message reach its receiver?

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, StatusCode};

use super::{
    AlertSettings, CommitStatuses, Receiver, ReceiverKind, Timing, commit_status,
    forms::slack_escaped,
    mail,
    message::{Message, signature},
    slack::{Bot, read},
};
use crate::{gates::code_host, tls::http_client};

/// Longest time for one message.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The receivers, and the way to them.
#[derive(Clone)]
pub(crate) struct Tellers {
    settings: Arc<AlertSettings>,
    client: reqwest::Client,
}

/// Why it is not known that a message was taken.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) problem: String,
    /// When the receiver wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// It was not taken for certain.
    pub(super) is_certain: bool,
}

impl Failure {
    /// The receiver said no.
    pub(super) fn refused(problem: String) -> Self {
        Self { problem, retry_after: None, is_certain: true }
    }

    /// There is no answer. Without the address in the error, which may be a secret.
    pub(super) fn on_the_way(error: reqwest::Error) -> Self {
        let is_certain = error.is_connect();
        Self { problem: error.without_url().to_string(), retry_after: None, is_certain }
    }

    /// The answer, if it says that all is well.
    pub(super) fn unless_success(response: Response) -> Result<Response, Self> {
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(http::header::RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        // Who stands before a receiver may have lost only its answer.
        let is_certain = ![StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&response.status());
        let problem = format!("it answers {}", response.status());
        Err(Self { problem, retry_after: seconds.map(Duration::from_secs), is_certain })
    }
}

impl Tellers {
    /// # Errors
    /// When there can be no client, such as for want of certificates to trust.
    pub(crate) fn new(settings: Arc<AlertSettings>) -> reqwest::Result<Self> {
        let client = http_client().timeout(PATIENCE).build()?;
        Ok(Self { settings, client })
    }

    /// Names of the receivers.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &str> {
        self.all().iter().map(|receiver| receiver.name.as_str())
    }

    /// The receivers.
    pub(super) fn all(&self) -> &[Receiver] {
        &self.settings.receivers
    }

    /// When they are told.
    pub(super) fn timing(&self) -> Timing {
        self.settings.timing
    }

    /// Sends a test message to the receiver of that name, once; none when there is no such one.
    ///
    /// # Errors
    /// Why it did not take it.
    pub(crate) async fn test(&self, name: &str, now: Timestamp) -> Option<Result<(), String>> {
        let receiver = self.all().iter().find(|receiver| receiver.name == name)?;
        let sent = match &receiver.kind {
            // There is no commit that a test is about.
            ReceiverKind::CommitStatuses(statuses) => {
                let url = code_host::repository(statuses.provider, &receiver.url, &statuses.repository);
                self.ask_host(self.client.get(url), receiver)
                    .await
                    .and_then(Failure::unless_success)
                    .map(drop)
            }
            _ => self.send(receiver, &Message::test(name, now), now).await.map(drop),
        };
        Some(sent.map_err(|failure| failure.problem))
    }

    /// Sends a message, and gives what the receiver calls it, where that matters.
    pub(super) async fn send(
        &self,
        receiver: &Receiver,
        message: &Message,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let link = self.settings.link.as_deref();
        let message = &*self.worded(receiver, message);
        let secret = receiver.secret.as_deref().unwrap_or_default();
        let body = match &receiver.kind {
            ReceiverKind::Webhook => message.webhook(link),
            ReceiverKind::Slack => message.slack(link),
            ReceiverKind::Teams => message.teams(link),
            ReceiverKind::Alertmanager => {
                let repeat = self.settings.timing.repeat.try_into().unwrap_or_default();
                message.alertmanager(link, now, repeat)
            }
            ReceiverKind::PagerDuty => match message.pager_duty(&String::from_utf8_lossy(secret), link) {
                Some(event) => event,
                None => return Ok(String::new()), // others are wrong still, so the incident goes on
            },
            ReceiverKind::Mail(mail) => {
                let sent = mail::send(mail, receiver.secret.as_deref(), message, link).await;
                let unsure = |problem| Failure { problem, retry_after: None, is_certain: false };
                return sent.map(|()| String::new()).map_err(unsure);
            }
            ReceiverKind::SlackBot(channel) => {
                let token = receiver.token().map_err(Failure::refused)?;
                let bot = Bot { client: &self.client, api: &receiver.url, token: &token, channel };
                return bot.tell(message, &receiver.name, link).await;
            }
            ReceiverKind::CommitStatuses(statuses) => {
                self.set_statuses(receiver, statuses, message).await?;
                return Ok(String::new());
            }
        };
        let body = body.to_string();
        let mut request =
            self.client.post(&receiver.url).header(http::header::CONTENT_TYPE, "application/json");
        if let (ReceiverKind::Webhook, Some(secret)) = (&receiver.kind, &receiver.secret) {
            request = request.header("x-muster-signature", signature(secret, body.as_bytes()));
        }
        let request = request.header("x-muster-id", &message.id).body(body);
        let response = request.send().await.map_err(Failure::on_the_way)?;
        Failure::unless_success(response).map(|_| String::new())
    }

    /// The message in the words of the receiver, or as it is where those fail.
    fn worded<'m>(&self, receiver: &Receiver, message: &'m Message) -> Cow<'m, Message> {
        let Some(template) = &receiver.template else { return Cow::Borrowed(message) };
        let is_slack = matches!(receiver.kind, ReceiverKind::Slack | ReceiverKind::SlackBot(_));
        let escape: &dyn Fn(&str) -> String = if is_slack { &slack_escaped } else { &str::to_owned };
        match template.words(message, self.settings.link.as_deref(), escape) {
            Ok(words) => Cow::Owned(Message { words, ..message.clone() }),
            Err(problem) => {
                tracing::warn!(receiver = receiver.name, problem, "a message is told in the usual words");
                Cow::Borrowed(message)
            }
        }
    }

    async fn set_statuses(
        &self,
        receiver: &Receiver,
        statuses: &CommitStatuses,
        message: &Message,
    ) -> Result<(), Failure> {
        let link = self.settings.link.as_deref();
        for status in commit_status::statuses(statuses, &receiver.url, message, link) {
            let request = self.client.post(&status.url);
            let request = request.header(http::header::CONTENT_TYPE, "application/json");
            let response = self.ask_host(request.body(status.body.to_string()), receiver).await?;
            let code = response.status();
            if code.is_client_error() && response.headers().get(http::header::RETRY_AFTER).is_none() {
                let answer = String::from_utf8_lossy(&read(response).await?).into_owned();
                if commit_status::is_moot(code.as_u16(), &answer) {
                    tracing::info!(receiver = receiver.name, %code, "the status of a commit stays as it is");
                    continue;
                }
                return Err(Failure { is_certain: false, ..Failure::refused(format!("it answers {code}")) });
            }
            // Others may have been set before.
            Failure::unless_success(response).map_err(|failure| Failure { is_certain: false, ..failure })?;
        }
        Ok(())
    }

    async fn ask_host(&self, request: RequestBuilder, receiver: &Receiver) -> Result<Response, Failure> {
        let token = receiver.token().map_err(Failure::refused)?;
        let request = request.bearer_auth(token).header(http::header::USER_AGENT, code_host::USER_AGENT);
        request.header(http::header::ACCEPT, "application/json").send().await.map_err(Failure::on_the_way)
    }
}
