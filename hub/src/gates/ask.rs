//! What is sent to whom, and what does the answer mean?

use std::time::Duration;

use muster_cel::Program;
use muster_spec::{CodeHost, CommitStatusGate, Expression, HttpGate, PrometheusGate, WaveGate};
use reqwest::{Client, Url, header};
use serde_json::{Value, json};

use super::{GateSettings, code_host};
use crate::{
    config::read_limited,
    waves::{GateAnswer, GateCheck},
};

/// Wait before it is asked again for want of an answer.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// Longest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Largest file with a token, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// Code hosts list so many statuses on a page.
const STATUSES: &str = "100";

/// Why there is no answer, without anything that may be secret.
type Silence = String;

/// Asks once.
pub(super) async fn ask(
    client: &Client,
    settings: &GateSettings,
    gate: &WaveGate,
    check: &GateCheck,
) -> GateAnswer {
    let request = Request { client, settings, check, timeout: gate.timeout.into() };
    let answer = match (&gate.http, &gate.prometheus, &gate.commit_status) {
        (Some(http), _, _) => request.http(http).await,
        (_, Some(prometheus), _) => request.prometheus(prometheus).await,
        (_, _, Some(status)) => request.commit_status(status).await,
        (None, None, None) => Err("it says nothing to ask".to_owned()),
    };
    answer.unwrap_or_else(GateAnswer::Unanswered)
}

struct Request<'a> {
    client: &'a Client,
    settings: &'a GateSettings,
    check: &'a GateCheck,
    timeout: Duration,
}

impl Request<'_> {
    fn fill(&self, text: &muster_spec::GateText) -> String {
        let GateCheck { revision, track, wave, .. } = self.check;
        text.fill(revision, track, wave)
    }

    async fn http(&self, gate: &HttpGate) -> Result<GateAnswer, Silence> {
        let (status, bytes) = self.get(&self.fill(&gate.url), &[]).await?;
        let Some(expect) = &gate.expect else {
            let seen = format!("it answered {status}");
            let passed = (200..300).contains(&status);
            return Ok(if passed { GateAnswer::Passed(seen) } else { GateAnswer::Failed(seen) });
        };
        // A server that is down is no answer, unless somebody waits for just that.
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        judge(expect, &json!({"status": status, "body": body}), &format!("it answered {status}"))
    }

    async fn prometheus(&self, gate: &PrometheusGate) -> Result<GateAnswer, Silence> {
        let url = format!("{}/api/v1/query", self.fill(&gate.url).trim_end_matches('/'));
        let (status, bytes) = self.get(&url, &[("query", &self.fill(&gate.query))]).await?;
        let answer: Value =
            serde_json::from_slice(&bytes).map_err(|_| format!("it answered {status}, and no JSON"))?;
        if status != 200 || answer["status"] != "success" {
            return Err(format!("it answered {status} {}", answer["errorType"].as_str().unwrap_or_default()));
        }
        let samples = samples(&answer["data"])?;
        if samples.is_empty() {
            return Ok(GateAnswer::Failed("the query gives no sample".to_owned()));
        }
        for (labels, value) in &samples {
            // CEL compares numbers, and NaN with nothing.
            let Some(number) = serde_json::Number::from_f64(*value) else {
                return Ok(GateAnswer::Failed(format!("a sample is {value}")));
            };
            let sample = json!({"labels": labels, "value": number});
            let judged = judge(&gate.expect, &sample, &format!("a sample is {value}"))?;
            if !matches!(judged, GateAnswer::Passed(_)) {
                return Ok(judged);
            }
        }
        let values: Vec<_> = samples.iter().take(5).map(|(_, value)| value.to_string()).collect();
        Ok(GateAnswer::Passed(format!(
            "{} of {} samples: {}",
            samples.len(),
            samples.len(),
            values.join(", ")
        )))
    }

    async fn commit_status(&self, gate: &CommitStatusGate) -> Result<GateAnswer, Silence> {
        let repository = code_host::repository(gate.provider, &self.fill(&gate.url), &gate.repository);
        let revision = &self.check.revision;
        let page = [("per_page", STATUSES)];
        let paths: &[(&str, &str)] = match gate.provider {
            CodeHost::Github => &[("status", "/statuses"), ("check-runs", "/check_runs")],
            CodeHost::Gitea => &[("status", "/statuses")],
            CodeHost::Gitlab => &[("statuses", "")],
        };
        let mut seen = None;
        for (path, pointer) in paths {
            let url = match gate.provider {
                CodeHost::Github | CodeHost::Gitea => format!("{repository}/commits/{revision}/{path}"),
                CodeHost::Gitlab => format!("{repository}/repository/commits/{revision}/{path}"),
            };
            let (status, bytes) = self.get(&url, &page).await?;
            if status != 200 {
                return Err(format!("it answered {status}"));
            }
            let answer: Value =
                serde_json::from_slice(&bytes).map_err(|_| "it answered no JSON".to_owned())?;
            let list = answer.pointer(pointer).and_then(Value::as_array);
            let named = list.into_iter().flatten().filter(|one| {
                [&one["context"], &one["name"]].into_iter().any(|name| *name == gate.context.as_str())
            });
            // The newest is the first of the name.
            seen = seen.or_else(|| named.map(outcome).next());
        }
        Ok(match seen.as_deref() {
            Some("success") => GateAnswer::Passed(format!("{} is a success", gate.context)),
            Some(other) => GateAnswer::Failed(format!("{} is {other}", gate.context)),
            None => GateAnswer::Failed(format!("{} has said nothing yet", gate.context)),
        })
    }

    /// Status and body of a GET.
    async fn get(&self, url: &str, query: &[(&str, &str)]) -> Result<(u16, Vec<u8>), Silence> {
        let mut url = Url::parse(url).map_err(|error| format!("its address is none: {error}"))?;
        let Some(access) = self.settings.allows(&url) else {
            let place = url.origin().ascii_serialization();
            return Err(format!("`gates` of the hub's config.yaml allows nothing to be asked at {place}"));
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request =
            self.client.get(url).timeout(self.timeout).header(header::ACCEPT, "application/json");
        if let Some(file) = &access.token_file {
            let token = read_limited(file, TOKEN_BYTES_MAX)
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            request = request.bearer_auth(token.trim());
        }
        request = request.header(header::USER_AGENT, code_host::USER_AGENT);
        // Without the address, which may hold something secret.
        let failed = |error: reqwest::Error| error.without_url().to_string();
        let mut response = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
        }
        Ok((response.status().as_u16(), body))
    }
}

/// Whether what was seen is what is expected.
fn judge(expect: &Expression, seen: &Value, words: &str) -> Result<GateAnswer, Silence> {
    let program =
        Program::compile(expect.as_str()).map_err(|error| format!("`expect` is no CEL: {error}"))?;
    match program.is_true(seen) {
        Ok(true) => Ok(GateAnswer::Passed(format!("{words}, and {expect}"))),
        Ok(false) => Ok(GateAnswer::Failed(format!("{words}, and not {expect}"))),
        // A field that is not there is an answer, and not the one that is wanted.
        Err(error) => Ok(GateAnswer::Failed(format!("{words}; {expect}: {error}"))),
    }
}

/// Labels and value of each sample (<https://prometheus.io/docs/prometheus/latest/querying/api/>).
fn samples(data: &Value) -> Result<Vec<(Value, f64)>, Silence> {
    let value = |pair: &Value| pair.get(1)?.as_str()?.parse::<f64>().ok();
    let wrong = || "its answer is neither a scalar nor a vector".to_owned();
    match data["resultType"].as_str() {
        Some("scalar") => Ok(vec![(json!({}), value(&data["result"]).ok_or_else(wrong)?)]),
        Some("vector") => {
            let list = data["result"].as_array().ok_or_else(wrong)?;
            list.iter()
                .map(|one| Some((one["metric"].clone(), value(&one["value"])?)))
                .collect::<Option<_>>()
                .ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// The word for how a status or a check run stands, `success` for a success.
fn outcome(status: &Value) -> String {
    // A check run has a conclusion once it is completed; skipped and neutral ones do not fail a commit.
    let word = match status["conclusion"].as_str() {
        Some("neutral" | "skipped") => "success",
        Some(conclusion) => conclusion,
        None => status["state"].as_str().or_else(|| status["status"].as_str()).unwrap_or("unknown"),
    };
    word.to_owned()
}
