//! Health of Pods, and what is wrong with one in the words of its own status.
use serde_json::Value;

use super::cause::{Cause, Outlook};
use super::conditions::brief;
use super::{Condition, Health, condition};
use crate::object::{items, number, text};

/// Reasons for waiting that do not go away by waiting, other than a crash loop.
const STUCK: &[&str] = &[
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

pub(super) fn pod(object: &Value) -> Health {
    if text(object, &["status", "phase"]) == "Succeeded" {
        return Health::healthy();
    }
    match trouble(object) {
        Some(cause) if cause.outlook == Outlook::Failing => Health::degraded(sentence(&cause.message)),
        _ if is_ready(object) => Health::healthy(),
        Some(cause) => Health::progressing(sentence(&cause.message)),
        None => match condition(object, "Ready") {
            Some(ready) => Health::progressing(ready.explain()),
            None => Health::progressing("It has not started yet."),
        },
    }
}

pub(super) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.is_true())
}

/// What is wrong with a Pod, as far as its own status says. Messages of containers are left out: the
/// program in them writes those, and may write anything.
pub(super) fn trouble(pod: &Value) -> Option<Cause> {
    if text(pod, &["status", "phase"]) == "Failed" {
        return Some(Cause::failing(failure(pod)));
    }
    if let Some(cause) = containers(pod).find_map(|container| stuck(pod, container)) {
        return Some(cause);
    }
    if let Some(scheduled) = condition(pod, "PodScheduled").filter(Condition::is_false) {
        return Some(Cause::slow(format!("{}: {}", scheduled.reason, scheduled.explain())));
    }
    if is_ready(pod) {
        return None;
    }
    containers(pod).find_map(restarted)
}

fn failure(pod: &Value) -> String {
    let said = [text(pod, &["status", "reason"]), text(pod, &["status", "message"])];
    let said: Vec<_> = said.into_iter().filter(|said| !said.is_empty()).collect();
    if !said.is_empty() {
        return brief(&said.join(": "));
    }
    let ended = containers(pod).find_map(|container| {
        let end = ended(container.get("state")?)?;
        Some(format!("container {} {end}", text(container, &["name"])))
    });
    ended.unwrap_or_else(|| "the Pod failed".to_owned())
}

/// A container that waits for what will not come by itself.
fn stuck(pod: &Value, container: &Value) -> Option<Cause> {
    let name = text(container, &["name"]);
    let reason = text(container, &["state", "waiting", "reason"]);
    if reason == "CrashLoopBackOff" {
        let end = container.get("lastState").and_then(ended);
        let end = end.map(|end| format!(", it {end}")).unwrap_or_default();
        return Some(Cause::crash(format!("container {name}: CrashLoopBackOff{end}{}", restarts(container))));
    }
    if !STUCK.contains(&reason) {
        return None;
    }
    let image = match reason {
        _ if !reason.contains("Image") => String::new(),
        _ => format!(" of {}", brief(image(pod, container))),
    };
    Some(Cause::failing(match brief(text(container, &["state", "waiting", "message"])) {
        message if message.is_empty() => format!("container {name}: {reason}{image}"),
        message => format!("container {name}: {reason}{image}: {message}"),
    }))
}

/// The image as the Pod asks for it; the status has the name the runtime made of it.
fn image<'a>(pod: &'a Value, container: &'a Value) -> &'a str {
    let name = text(container, &["name"]);
    let specs = ["initContainers", "containers"].into_iter().flat_map(|list| items(pod, &["spec", list]));
    let asked = specs.filter(|spec| text(spec, &["name"]) == name).map(|spec| text(spec, &["image"]));
    asked.chain([text(container, &["image"])]).find(|image| !image.is_empty()).unwrap_or("its image")
}

/// A container that has ended before and is not ready (again).
fn restarted(container: &Value) -> Option<Cause> {
    let now = container.get("state").and_then(ended);
    let end = now.or_else(|| container.get("lastState").and_then(ended))?;
    let name = text(container, &["name"]);
    Some(Cause { crash: true, ..Cause::slow(format!("container {name} {end}{}", restarts(container))) })
}

/// How a container ended, if that was not well.
fn ended(state: &Value) -> Option<String> {
    let code = number(state, &["terminated", "exitCode"]).filter(|code| *code != 0)?;
    Some(match text(state, &["terminated", "reason"]) {
        "OOMKilled" => format!("was OOMKilled (exit code {code}): it needs more memory than its limit"),
        "" | "Error" => format!("ended with exit code {code}"),
        reason => format!("ended with exit code {code} ({reason})"),
    })
}

fn restarts(container: &Value) -> String {
    match number(container, &["restartCount"]).unwrap_or(0) {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        count => format!(", {count} restarts"),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"].into_iter().flat_map(|list| items(pod, &["status", list]))
}

/// The text as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
