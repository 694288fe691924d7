//! What else does a wave ask before it lets a revision in?

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Duration, Expression, GateName, NameError, Revision, TrackName, WaveName,
    names::{checked_text, shown},
    path::{Check, Problems},
};

/// Longest address or query, before it is filled in, in bytes.
const TEXT_BYTES_MAX: usize = 2048;
/// So many gates a wave may have.
const GATES_MAX: usize = 10;
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const INTERVAL_MIN: Duration = Duration::from_secs(5);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
const RETRIES_MAX: u32 = 5;

/// Something that the hub asks before a revision enters a wave, and before each further batch of it. One
/// that cannot be asked has not passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct WaveGate {
    /// The name of the gate, unique in its wave.
    pub name: GateName,
    /// Asks an HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpGate>,
    /// Asks Prometheus, or what understands the same queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusGate>,
    /// Asks the code host for a status of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatusGate>,
    /// How long one answer may take, from 1s to 1m.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often it is asked while something waits, from 5s to 1h.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// How often it is asked again at once when there is no answer, up to 5 times.
    #[serde(default = "default_retries")]
    #[schemars(range(max = 5))]
    pub retries: u32,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_interval() -> Duration {
    Duration::from_secs(30)
}

fn default_retries() -> u32 {
    2
}

/// A GET whose answer has to be what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct HttpGate {
    /// What is asked.
    pub url: GateText,
    /// What has to be true, in CEL: `self.status` is the code, `self.body` the answer, as JSON where it is that.
    /// Without it the code has to be from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expression>,
}

/// A query whose every sample has to be what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct PrometheusGate {
    /// Where Prometheus is, without `/api/v1`.
    pub url: GateText,
    /// A query in PromQL that gives a scalar or a vector.
    pub query: GateText,
    /// What has to be true of each sample, in CEL: `self.value` is its value, `self.labels` are its labels. No sample at
    /// all has not passed.
    pub expect: Expression,
}

/// A status of the commit that has to be a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct CommitStatusGate {
    /// Whose API it is.
    pub provider: CodeHost,
    /// Where the API is, such as `https://api.github.com`, `https://gitlab.example.com/api/v4` or
    /// `https://gitea.example.com/api/v1`.
    pub url: GateText,
    /// `OWNER/NAME`, or with GitLab the path of the project.
    pub repository: String,
    /// The name of the status: its context, or the name of the check or job.
    pub context: String,
}

/// Whose API a code host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "one of `github`, `gitlab`, `gitea`")]
pub enum CodeHost {
    /// GitHub: commit statuses and check runs.
    Github,
    /// GitLab: commit statuses.
    Gitlab,
    /// Gitea and Forgejo: commit statuses.
    Gitea,
}

impl CodeHost {
    /// Whether a text is the path of a repository there: `OWNER/NAME`, or longer.
    #[must_use]
    pub fn is_repository(text: &str) -> bool {
        text.contains('/') && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    }
}

checked_text!(
    /// An address or query in which `{{ revision }}`, `{{ track }}` and `{{ wave }}` are filled in.
    GateText,
    check_text,
    { "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX }
);

/// The pieces of a text with places to fill in: texts, and names of what goes in between.
fn pieces(text: &str) -> Result<Vec<(&str, Option<&str>)>, String> {
    let (mut rest, mut pieces) = (text, Vec::new());
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("a `{{` has no `}}`")?;
        let name = name.trim();
        if !matches!(name, "revision" | "track" | "wave") {
            return Err(format!("`{{{{ {name} }}}}` is not revision, track or wave"));
        }
        pieces.push((before, Some(name)));
        rest = after;
    }
    pieces.push((rest, None));
    Ok(pieces)
}

fn check_text(text: &str) -> Result<(), NameError> {
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(NameError(format!("a text of a gate has from 1 to {TEXT_BYTES_MAX} bytes")));
    }
    pieces(text).map(drop).map_err(|why| NameError(format!("`{}` cannot be filled in: {why}", shown(text))))
}

impl GateText {
    /// The text for one revision of a track that wants to enter a wave.
    pub fn fill(&self, revision: &Revision, track: &TrackName, wave: &WaveName) -> String {
        // What does not fill in was refused when it was read.
        let pieces = pieces(self.as_str()).unwrap_or_default();
        let value = |name| match name {
            "revision" => revision.as_str(),
            "track" => track.as_str(),
            _ => wave.as_str(),
        };
        pieces.into_iter().flat_map(|(text, name)| [text, name.map_or("", value)]).collect()
    }
}

/// Reports gates that are none, and those with one name.
pub(crate) fn check_gates(gates: &[WaveGate], problems: &mut Problems) {
    if gates.len() > GATES_MAX {
        problems.at(&["gates".into()], format!("a wave has at most {GATES_MAX} gates"));
    }
    let mut first_of_name = BTreeMap::new();
    for (index, gate) in gates.iter().enumerate() {
        problems.inside(&["gates".into(), index.into()], gate);
        if let Some(first) = first_of_name.insert(&gate.name, index) {
            let message = format!("the gate `{}` is already gates[{first}]; names are unique", gate.name);
            problems.at(&["gates".into(), index.into(), "name".into()], message);
        }
    }
}

impl Check for WaveGate {
    fn check(&self, problems: &mut Problems) {
        let urls = [
            ("http", self.http.as_ref().map(|http| &http.url)),
            ("prometheus", self.prometheus.as_ref().map(|prometheus| &prometheus.url)),
            ("commitStatus", self.commit_status.as_ref().map(|status| &status.url)),
        ];
        if urls.iter().filter(|(_, url)| url.is_some()).count() != 1 {
            problems.at(&[], "a gate is one of `http`, `prometheus` and `commitStatus`");
        }
        for (field, url) in urls {
            if url.is_some_and(|url| {
                !["https://", "http://"].iter().any(|start| url.as_str().starts_with(start))
            }) {
                problems.at(&[field.into(), "url".into()], "the address begins with https:// or http://");
            }
        }
        let mut within = |name: &'static str, value: Duration, least: Duration, most: Duration| {
            if value < least || value > most {
                problems.at(&[name.into()], format!("expected a time from {least} to {most}, found {value}"));
            }
        };
        within("timeout", self.timeout, TIMEOUT_MIN, TIMEOUT_MAX);
        within("interval", self.interval, INTERVAL_MIN, INTERVAL_MAX);
        if self.retries > RETRIES_MAX {
            problems.at(&["retries".into()], format!("at most {RETRIES_MAX} retries"));
        }
        if self.commit_status.as_ref().is_some_and(|status| status.context.is_empty()) {
            problems.at(&["commitStatus".into(), "context".into()], "the name of the status is missing");
        }
        if self.commit_status.as_ref().is_some_and(|status| !CodeHost::is_repository(&status.repository)) {
            problems.at(&["commitStatus".into(), "repository".into()], "expected OWNER/NAME");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let text: GateText = "https://ci/{{ wave }}/{{track}}?rev={{ revision }}&x={}".parse().unwrap();
        let revision = Revision::try_from("a".repeat(40)).unwrap();
        let filled = text.fill(&revision, &"web".parse().unwrap(), &"prod".parse().unwrap());
        assert_eq!(filled, format!("https://ci/prod/web?rev={revision}&x={{}}"));
        for wrong in ["", "{{ cluster }}", "{{ revision", "https://{{}}"] {
            assert!(wrong.parse::<GateText>().is_err(), "{wrong}");
        }
    }
}
