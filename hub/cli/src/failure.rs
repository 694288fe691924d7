//! Why a command failed, in words that say what to do next. All of these end with exit code 2.

use std::path::PathBuf;

use thiserror::Error;

use crate::args::Output;
use crate::text::clean;

/// Everything that can go wrong between the command line and the answer.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("there is no config file at {}", path.display())]
    ConfigMissing { path: PathBuf },
    #[error("no config file: neither --config, MUSTER_CONFIG nor HOME is set")]
    ConfigNowhere,
    #[error("the config file {} cannot be used: {message}", path.display())]
    ConfigInvalid { path: PathBuf, message: String },
    #[error("{0}")]
    HubAddress(String),
    #[error("your certificate expired {expired_at}")]
    CertificateExpired { expired_at: String },
    /// TCP did not get through.
    #[error("cannot reach the hub at {hub}: {message}")]
    Unreachable { hub: String, message: String },
    /// TLS: this side does not trust the hub.
    #[error("the hub at {hub} cannot be trusted: {message}")]
    HubNotTrusted { hub: String, message: String },
    /// TLS or gRPC: the hub does not trust this side.
    #[error("the hub at {hub} does not accept your certificate: {message}")]
    Refused { hub: String, message: String },
    #[error("the hub did not answer within {timeout}")]
    TimedOut { timeout: String },
    #[error("there is no {kind} named {name}{}", suggestion(nearest))]
    NotFound { kind: &'static str, name: String, nearest: Vec<String>, list: &'static str },
    /// The hub answered with an error that is about the request.
    #[error("the hub says: {message}")]
    Rejected { message: String },
    /// The connection broke, or the hub has a problem of its own.
    #[error("the hub at {hub} failed: {message}")]
    HubFailed { hub: String, message: String },
    /// The repository on the command line cannot be read.
    #[error("{0}")]
    Repository(String),
    /// What was chosen for the manifests makes no sense.
    #[error("{0}")]
    Manifests(String),
    #[error("there is no {kind} document named {name}{}", suggestion(nearest))]
    NoDocument { kind: &'static str, name: String, nearest: Vec<String> },
    #[error("the schema {} cannot be used: {message}", path.display())]
    Schema { path: PathBuf, message: String },
    /// A format that this command does not have.
    #[error("this command does not print as {}", _0.word())]
    Format(Output),
    /// Not an error: whoever read the output has seen enough.
    #[error("nobody reads the output any more")]
    ReaderGone,
    #[error("not logged in: {0}")]
    Login(String),
    /// What needs the whole screen was started without one.
    #[error("this needs a terminal, and its input or output is none")]
    NoTerminal,
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [only] => format!("; did you mean {only}?"),
        [most @ .., last] => format!("; did you mean {} or {last}?", most.join(", ")),
    }
}

impl Failure {
    /// What to do about it.
    pub(crate) fn next(&self) -> Option<String> {
        Some(match self {
            Self::ConfigMissing { .. } | Self::ConfigNowhere => {
                "`muster-hub init` writes one, operator.yaml, beside the hub's own files. Copy it to \
                 ~/.config/muster/config.yaml, or name it with --config or MUSTER_CONFIG."
                    .to_owned()
            }
            Self::ConfigInvalid { .. } => {
                "It needs the keys hub, ca, certificate and key, as in the operator.yaml `muster-hub init` writes."
                    .to_owned()
            }
            Self::CertificateExpired { .. } => "Ask whoever runs the hub for a new operator.yaml.".to_owned(),
            Self::Unreachable { .. } => {
                "Is the hub running, and its address right? It is `hub` in the config file, or --hub.".to_owned()
            }
            Self::HubNotTrusted { .. } => {
                "The config file must be of this very hub, and its address one of those given to `muster-hub init`."
                    .to_owned()
            }
            Self::Refused { .. } => "The config file must be of this very hub: copy its operator.yaml anew.".to_owned(),
            Self::TimedOut { .. } => "A larger --timeout, or --cluster for less of it, may help.".to_owned(),
            Self::NotFound { list, .. } => format!("To see them all: {list}"),
            Self::NoTerminal => "For scripts there are `muster status` and `muster watch -o json`.".to_owned(),
            Self::Format(_) => "It prints as table, wide, json, yaml or jsonpath.".to_owned(),
            Self::HubAddress(_) | Self::Repository(_) | Self::Manifests(_) | Self::Login(_) | Self::NoDocument { .. } | Self::Schema { .. } | Self::Rejected { .. } | Self::HubFailed { .. } | Self::ReaderGone | Self::Output(_) => return None,
        })
    }

    /// The whole of it, for standard error. What the hub said is part of it, so nothing in it can be
    /// obeyed by a terminal.
    pub(crate) fn told(&self) -> String {
        let mut told = format!("error: {}\n", clean(&self.to_string()));
        if let Some(next) = self.next() {
            told.push_str(&format!("\n{}\n", clean(&next)));
        }
        told
    }

    /// True when the same may work a little later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::HubFailed { .. })
    }
}

/// Names that look like the one wanted, the nearest first, at most three.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // A third of the letters may be wrong; names are short, so one always may.
    let distance_max = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(wanted, name);
            let holds = wanted.len() >= 2 && (name.contains(wanted) || wanted.contains(name));
            (if holds { distance.min(distance_max) } else { distance }, name)
        })
        .filter(|(distance, _)| *distance <= distance_max)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_nearby_are_suggested() {
        let names = ["web", "api", "web-canary", "billing", "metrics"];
        assert_eq!(nearest("wbe", names), ["web"]);
        assert_eq!(nearest("web", ["web-canary", "web-prod"]), ["web-canary", "web-prod"]);
        assert_eq!(nearest("biling", names), ["billing"]);
        assert!(nearest("zzz", names).is_empty());
    }

    #[test]
    fn errors_say_what_to_do() {
        let failure = Failure::NotFound {
            kind: "app",
            name: "wbe\x1b[2J".to_owned(),
            nearest: vec!["web".to_owned()],
            list: "muster apps",
        };
        assert_eq!(
            failure.told(),
            "error: there is no app named wbe\\u{1b}[2J; did you mean web?\n\nTo see them all: muster apps\n"
        );
        let missing = Failure::ConfigMissing { path: "/nowhere/config.yaml".into() }.told();
        assert!(missing.contains("/nowhere/config.yaml") && missing.contains("muster-hub init"), "{missing}");
    }
}
