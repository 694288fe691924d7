//! How does a bot tell Slack?
//!
//! What is wrong is a post. A reminder, and that it is over, are replies in its thread; once nothing of it is wrong any more
//! the post itself says so. Whatever understands the same two methods of Slack's Web API will do.

use std::collections::BTreeSet;

use reqwest::Client;
use serde_json::{Value, json};

use super::{deliver::Failure, message::Message};

/// Where Slack's Web API is.
pub(super) const API: &str = "https://slack.com/api";
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// With which words Slack says that a post cannot be changed, or answered, any more.
const GONE: [&str; 5] = [
    "message_not_found",
    "thread_not_found",
    "cant_update_message",
    "edit_window_closed",
    "channel_not_found",
];

/// A bot, and where it posts.
#[derive(Clone, Copy)]
pub(super) struct Bot<'a> {
    pub(super) client: &'a Client,
    pub(super) api: &'a str,
    pub(super) token: &'a str,
    pub(super) channel: &'a str,
}

/// A post: its channel, by the id that it has in Slack, and its time, which is its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Post {
    channel: String,
    time: String,
}

impl Post {
    fn parse(reference: &str) -> Option<Self> {
        let (channel, time) = reference.split_once('/')?;
        Some(Self { channel: channel.to_owned(), time: time.to_owned() })
    }

    fn reference(&self) -> String {
        format!("{}/{}", self.channel, self.time)
    }
}

impl Bot<'_> {
    /// Tells a message. Gives the name of the post that it is now about.
    pub(super) async fn tell(
        &self,
        message: &Message,
        receiver: &str,
        dashboard: Option<&str>,
    ) -> Result<String, Failure> {
        let text = message.slack_text(dashboard);
        let references = message.alerts.iter().filter_map(|alert| alert.told.get(receiver));
        let posts: BTreeSet<Post> = references.filter_map(|told| Post::parse(&told.reference)).collect();
        let mut posts = posts.into_iter();
        match (message.is_resolved, posts.next(), posts.next()) {
            (false, Some(post), None) => {
                self.reply(&post, &text, true).await?;
                Ok(post.reference())
            }
            (false, ..) | (true, None, _) => self.post(json!({"channel": self.channel, "text": text})).await,
            (true, Some(first), second) => {
                let goes_on: BTreeSet<Post> = message
                    .rest
                    .iter()
                    .filter_map(|alert| Post::parse(&alert.told.get(receiver)?.reference))
                    .collect();
                for post in [first].into_iter().chain(second).chain(posts) {
                    if !goes_on.contains(&post) {
                        self.update(&post, &text).await?;
                    }
                    self.reply(&post, &text, false).await?;
                }
                Ok(String::new())
            }
        }
    }

    async fn reply(&self, post: &Post, text: &str, broadcast: bool) -> Result<(), Failure> {
        let mut body =
            json!({"channel": post.channel, "thread_ts": post.time, "text": text, "unfurl_links": false});
        if broadcast {
            body["reply_broadcast"] = true.into();
        }
        match self.call("chat.postMessage", &body).await? {
            Ok(_) => Ok(()),
            // Without its thread it is told where the thread would be.
            Err(error) if GONE.contains(&error.as_str()) => {
                self.post(json!({"channel": self.channel, "text": text})).await.map(drop)
            }
            Err(error) => Err(Failure::refused(error)),
        }
    }

    async fn post(&self, mut body: Value) -> Result<String, Failure> {
        body["unfurl_links"] = false.into();
        let answer = self.call("chat.postMessage", &body).await?.map_err(Failure::refused)?;
        let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Ok(Post { channel: field("channel"), time: field("ts") }.reference())
    }

    /// Changes a post. One that is gone, or may not be changed any more, stays as it is.
    async fn update(&self, post: &Post, text: &str) -> Result<(), Failure> {
        let body = json!({"channel": post.channel, "ts": post.time, "text": text});
        match self.call("chat.update", &body).await? {
            Ok(_) => Ok(()),
            Err(error) if GONE.contains(&error.as_str()) => {
                tracing::info!(error, "a post in Slack cannot be changed");
                Ok(())
            }
            Err(error) => Err(Failure::refused(error)),
        }
    }

    /// The answer, or the word with which Slack refuses.
    async fn call(&self, method: &str, body: &Value) -> Result<Result<Value, String>, Failure> {
        let request = self.client.post(format!("{}/{method}", self.api)).bearer_auth(self.token);
        let request = request.header(http::header::CONTENT_TYPE, "application/json; charset=utf-8");
        let response = request.body(body.to_string()).send().await.map_err(Failure::on_the_way)?;
        let response = Failure::unless_success(response)?;
        let bytes = read(response).await?;
        let strange = || Failure {
            is_certain: false,
            ..Failure::refused("it does not answer as Slack does".to_owned())
        };
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| strange())?;
        if answer["ok"] == true {
            return Ok(Ok(answer));
        }
        Ok(Err(answer["error"].as_str().unwrap_or("it gives no reason").chars().take(100).collect()))
    }
}

/// The body of an answer, the first of it where it is too long.
pub(super) async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::on_the_way)? {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(bytes)
}
