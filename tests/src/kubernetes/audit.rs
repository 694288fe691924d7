//! What was an API server asked for, and by whom? Its own audit log says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every request, without bodies. Watches are logged when they begin, all else when it is answered.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

const LOG: &str = "audit.log";

/// One request that an API server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Resource as in addresses, with `/` and the subresource; the path where it is no resource.
    pub resource: String,
    /// Namespace of the object; empty for all and for none.
    pub namespace: String,
    /// Name of the object; empty for lists.
    pub name: String,
    /// Status of the answer.
    pub code: u16,
}

impl Request {
    /// Whether it was to change an object, other than a Lease or an Event.
    pub fn writes(&self) -> bool {
        let reads = ["get", "list", "watch"].contains(&self.verb.as_str());
        !reads && !["leases", "events"].contains(&self.resource.as_str())
    }
}

/// Writes the policy; gives the API server's flags.
pub(super) fn flags(directory: &Path) -> std::io::Result<Vec<String>> {
    let policy = directory.join("audit-policy.yaml");
    std::fs::write(&policy, POLICY)?;
    let log = directory.join(LOG);
    Ok(vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
        // Written before the request is answered: who has the answer finds it in the log.
        "--audit-log-mode=blocking-strict".to_owned(),
    ])
}

/// The audit log of one API server, as far as one user is concerned.
#[derive(Clone, Debug)]
pub struct Audit {
    log: PathBuf,
    user: String,
}

impl Audit {
    pub(super) fn new(directory: &Path, user: &str) -> Audit {
        Audit { log: directory.join(LOG), user: user.to_owned() }
    }

    /// All requests of the user so far.
    ///
    /// # Panics
    /// There is no log: the cluster was started without.
    pub fn requests(&self) -> Vec<Request> {
        let text = std::fs::read_to_string(&self.log);
        let text = text.unwrap_or_else(|error| panic!("no audit log {}: {error}", self.log.display()));
        text.lines().filter_map(|line| self.read(line)).collect()
    }

    /// Writes so far, other than those of Leases and Events: how many of each object, as `verb resource/namespace/name`.
    ///
    /// # Panics
    /// As [`Audit::requests`].
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for request in self.requests().iter().filter(|request| request.writes()) {
            let Request { verb, resource, namespace, name, .. } = request;
            *writes.entry(format!("{verb} {resource}/{namespace}/{name}")).or_default() += 1;
        }
        writes
    }

    fn read(&self, line: &str) -> Option<Request> {
        // The last line may be half written.
        let event: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let verb = text(&event["verb"]);
        let stage = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        if event["stage"] != stage || event["user"]["username"] != self.user {
            return None;
        }
        let object = &event["objectRef"];
        let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
            (Some(resource), Some(part)) => format!("{resource}/{part}"),
            (Some(resource), None) => resource.to_owned(),
            _ => text(&event["requestURI"]),
        };
        Some(Request {
            verb,
            resource,
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            code: event["responseStatus"]["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or(0),
        })
    }
}
