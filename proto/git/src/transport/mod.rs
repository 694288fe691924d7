//! One conversation with a server: which references has it, and give me these commits.
//!
//! ```text
//! Session::open -> references -> receive -> (receive ...)
//!     |               |             |
//!  capabilities    ls-refs       one pack, nothing negotiated: we say what
//!                                we have, and take what is sent
//! ```

mod budget;
mod http;
mod program;
mod send;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gix::hash::ObjectId;
use gix::objs::bstr::{BString, ByteSlice as _};
use gix::protocol::fetch::response::ShallowUpdate;
use gix::protocol::fetch::{Arguments, Response};
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::{Protocol, Service};
use gix::protocol::{Command, Handshake};
use gix::utils::progress::Discard;

use crate::credentials::{self, Authorization};
use crate::error::{chain, tidy};
use crate::url::Kind;
use crate::{GitError, Limits, Remote, RemoteUrl};
use budget::{Alarm, Budget};
pub(crate) use http::HttpClient;

/// Bytes allowed for one reference in a listing; longer names are rare, and share.
const REFERENCE_BYTES: u64 = 256;
/// Bytes allowed for capabilities and the like.
const GREETING_BYTES: u64 = 256 * 1024;

/// A reference as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// What it points to: a commit or an annotated tag.
    pub(crate) tip: ObjectId,
    /// What that stands for; the same as `tip` unless it is an annotated tag.
    pub(crate) commit: ObjectId,
}

/// What to ask a server for.
#[derive(Debug, Default)]
pub(crate) struct Want<'a> {
    pub(crate) ids: Vec<ObjectId>,
    pub(crate) have: Vec<ObjectId>,
    pub(crate) shallow: &'a [ObjectId],
    pub(crate) depth: usize,
}

/// What a server sent.
#[derive(Debug)]
pub(crate) struct Received {
    /// How the boundary of known history moved.
    pub(crate) shallow: Vec<ShallowUpdate>,
    /// The files written: pack, index, and one that keeps others from removing them.
    pub(crate) files: Vec<PathBuf>,
    /// The file to remove once the state mentions what was received.
    pub(crate) keep: Option<PathBuf>,
}

/// An open conversation with a server.
pub(crate) struct Session {
    transport: Box<dyn Transport>,
    handshake: Handshake,
    budget: Arc<Budget>,
    url: RemoteUrl,
    authorization: Option<Authorization>,
    words: Option<Arc<program::Words>>,
    limits: Limits,
}

/// What is needed to turn an error of gix into one of ours.
struct Context<'a> {
    url: &'a RemoteUrl,
    budget: &'a Budget,
    authorization: Option<&'a Authorization>,
    words: Option<&'a program::Words>,
}

impl Context<'_> {
    fn explain(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        if let Some(known) = self.budget.failure() {
            return known;
        }
        if let Some(kind) = disk_trouble(error) {
            let source = std::io::Error::new(kind, chain(error));
            return GitError::Storage {
                action: "write what was received from",
                path: self.url.to_string().into(),
                source,
            };
        }
        let url = self.url.to_string();
        let mut reason = chain(error);
        if let Some(words) = self.words {
            let words = words.last();
            if let Some(known) = program::explain(&url, &words) {
                return known;
            }
            if !words.is_empty() {
                reason = words;
            }
        }
        if let Some(authorization) = self.authorization {
            reason = authorization.scrub(&reason);
        }
        if reason.contains("unexpected end of file")
            || reason.contains("UnexpectedEof")
            || reason.contains("failed to fill")
        {
            return GitError::Unreachable { url, reason: format!("the connection ended early: {reason}") };
        }
        GitError::Protocol { url, reason: tidy(&reason) }
    }
}

impl Session {
    /// Connects and learns what the server can do. Credentials are read from their file now.
    pub(crate) fn open(
        remote: &Remote,
        client: &mut Option<Arc<HttpClient>>,
        service: Service,
    ) -> Result<Session, GitError> {
        let url = remote.url.clone();
        let budget = Budget::new(url.to_string(), remote.timeouts);
        budget.allow("bytes of references", GREETING_BYTES + REFERENCE_BYTES * remote.limits.refs_max as u64);
        let mut words = None;
        let mut authorization = None;
        let mut transport: Box<dyn Transport> = match url.kind() {
            Kind::Http { .. } => {
                authorization = authorize(remote)?;
                let http = HttpClient::open(remote, client.take())?;
                *client = Some(Arc::clone(&http));
                let http =
                    http::HttpRemote::new(http, Arc::clone(&budget), url.clone(), authorization.clone());
                let place = url.without_login();
                Box::new(gix::protocol::transport::client::blocking_io::http::connect_http(
                    http,
                    place,
                    Protocol::V2,
                    false,
                ))
            }
            Kind::Local if !url.local_path().exists() => {
                return Err(GitError::NotFound { url: url.to_string() });
            }
            Kind::Local | Kind::Ssh => {
                let program = program::Program::start(remote, &budget, service)?;
                words = Some(program.words());
                Box::new(program)
            }
        };
        let context = Context {
            url: &url,
            budget: &budget,
            authorization: authorization.as_ref(),
            words: words.as_deref(),
        };
        let refuse = |_| Ok(None);
        let handshake =
            caught(|| gix::protocol::handshake(&mut transport, service, refuse, Vec::new(), &mut Discard));
        let handshake = handshake.map_err(|error| context.explain(&error))?;
        let format =
            handshake.capabilities.capability("object-format").and_then(|c| c.value().map(BString::from));
        if let Some(format) = format.filter(|format| format != "sha1") {
            let reason = format!("its objects are named by {format}; only sha1 is supported");
            return Err(GitError::Protocol { url: url.to_string(), reason });
        }
        Ok(Session { transport, handshake, budget, url, authorization, words, limits: remote.limits })
    }

    fn context(&self) -> Context<'_> {
        Context {
            url: &self.url,
            budget: &self.budget,
            authorization: self.authorization.as_ref(),
            words: self.words.as_deref(),
        }
    }

    /// Bytes received since the conversation began.
    pub(crate) fn bytes(&self) -> u64 {
        self.budget.received()
    }

    /// True when a commit may be asked for by its id although no reference points to it.
    pub(crate) fn may_ask_by_id(&self) -> bool {
        let capabilities = &self.handshake.capabilities;
        self.handshake.server_protocol_version == Protocol::V2
            || capabilities.contains("allow-reachable-sha1-in-want")
            || capabilities.contains("allow-any-sha1-in-want")
    }

    /// Finds each of `names` on the server; full names and `HEAD` only. One request.
    pub(crate) fn references(&mut self, names: &[String]) -> Result<Vec<(String, Listed)>, GitError> {
        let listed = match self.handshake.refs.take() {
            Some(listed) => listed,
            None => self.list(names)?,
        };
        if listed.len() > self.limits.refs_max {
            let limit = self.limits.refs_max as u64;
            return Err(GitError::Limit { place: self.url.to_string(), what: "references", limit });
        }
        let wanted: std::collections::BTreeSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let found = listed.into_iter().filter_map(|reference| {
            let (name, tip, commit) = match reference {
                Ref::Peeled { full_ref_name, tag, object } => (full_ref_name, tag, object),
                Ref::Direct { full_ref_name, object } => (full_ref_name, object, object),
                Ref::Symbolic { full_ref_name, tag, object, .. } => {
                    (full_ref_name, tag.unwrap_or(object), object)
                }
                Ref::Unborn { .. } => return None,
            };
            wanted.contains(name.as_bytes()).then(|| (name.to_string(), Listed { tip, commit }))
        });
        Ok(found.collect())
    }

    fn list(&mut self, names: &[String]) -> Result<Vec<Ref>, GitError> {
        let bytes = GREETING_BYTES + REFERENCE_BYTES * self.limits.refs_max as u64;
        self.budget.allow("bytes of references", bytes);
        let mut prefixes = gix::protocol::ls_refs::RefPrefixes::new();
        prefixes.extend(names.iter().map(|name| BString::from(name.as_str())));
        let command =
            gix::protocol::LsRefsCommand::new(Some(prefixes), &self.handshake.capabilities, agent());
        let listed = caught(|| command.invoke_blocking(&mut self.transport, &mut Discard, false));
        listed.map_err(|error| self.context().explain(&error))
    }

    /// Receives one pack into `directory`, completing it with objects from `base`.
    pub(crate) fn receive(
        &mut self,
        want: &Want<'_>,
        directory: &Path,
        base: Option<gix::odb::HandleArc>,
    ) -> Result<Received, GitError> {
        self.budget.allow("bytes of a pack", self.limits.pack_bytes_max);
        let _alarm = Alarm::set(&self.budget);
        let received = caught(|| self.exchange(want, directory, base));
        received.map_err(|error| self.context().explain(&error))
    }

    fn exchange(
        &mut self,
        want: &Want<'_>,
        directory: &Path,
        base: Option<gix::odb::HandleArc>,
    ) -> gix::error::Result<Received> {
        let version = self.handshake.server_protocol_version;
        let mut features = Command::Fetch.default_features(version, &self.handshake.capabilities);
        Response::check_required_features(version, &features)?;
        features.push(agent());
        let mut arguments = Arguments::new(version, features, false);
        if !arguments.can_use_shallow() {
            return Err(gix::error::unsupported("the server cannot send less than the whole history").into());
        }
        if version == Protocol::V2 {
            arguments.add_feature("no-progress");
        }
        for id in &want.ids {
            arguments.want(id);
        }
        for id in want.shallow {
            arguments.shallow(id);
        }
        arguments.deepen(want.depth);
        for id in &want.have {
            arguments.have(id);
        }
        let mut reader = arguments.send(&mut self.transport, true)?;
        let response = Response::from_line_reader(version, &mut reader, true, false)?;
        if !response.has_pack() {
            return Err(gix::error::corruption("the server sent no pack").into());
        }
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&complaint);
        let budget = &self.budget;
        reader.set_progress_handler(Some(Box::new(move |is_error: bool, text: &[u8]| {
            if let (true, Ok(mut kept)) = (is_error, kept.lock()) {
                kept.extend_from_slice(&text[..text.len().min(1024)]);
            }
            std::ops::ControlFlow::Continue(())
        })));
        let limits = self.limits;
        let options = gix::odb::pack::bundle::write::Options {
            thread_limit: Some(1),
            alloc_limit_bytes: usize::try_from(limits.object_bytes_max).ok(),
            ..Default::default()
        };
        let written = gix::odb::pack::Bundle::write_to_directory(
            &mut reader,
            Some(directory),
            &mut Discard,
            budget.interrupt(),
            base,
            gix::hash::Kind::Sha1,
            options,
        );
        drop(reader);
        match written {
            Ok(written) => Ok(Received {
                shallow: response.shallow_updates().to_vec(),
                files: written.data_path.into_iter().chain(written.index_path).collect(),
                keep: written.keep_path,
            }),
            Err(error) => {
                let complaint = complaint.lock().map(|text| tidy(&String::from_utf8_lossy(&text)));
                match complaint {
                    Ok(text) if !text.is_empty() => {
                        Err(gix::error::message!("the server says: {text}").into())
                    }
                    _ => Err(error),
                }
            }
        }
    }
}

/// Answers that no Git server gives can lead gix to a place that its authors held to be
/// impossible. That is the server's fault, not the end of the program.
fn caught<T>(work: impl FnOnce() -> gix::error::Result<T>) -> gix::error::Result<T> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err(gix::error::corruption("its answer makes no sense").into()))
}

/// The kind of an error of the disk among the causes. Errors of the network never get
/// here: the budget has noted them before.
fn disk_trouble(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let mut next = Some(error);
    while let Some(cause) = next {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if let Some(kind @ (StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied)) = kind {
            return Some(kind);
        }
        next = cause.source();
    }
    None
}

impl Drop for Session {
    fn drop(&mut self) {
        // A server at the other end of a program waits for this; for HTTP it is nothing.
        if !self.budget.is_interrupted() {
            let _ = caught(|| Ok(gix::protocol::indicate_end_of_interaction(&mut self.transport, false)?));
        }
    }
}

fn agent() -> (&'static str, Option<String>) {
    ("agent", Some(concat!("git/muster-", env!("CARGO_PKG_VERSION")).to_owned()))
}

/// The credentials to send, if there are any and the way to the server may carry them.
fn authorize(remote: &Remote) -> Result<Option<Authorization>, GitError> {
    let found = match &remote.credentials {
        Some(credentials) => credentials.load(&remote.url)?,
        None => credentials::from_url(&remote.url),
    };
    let readable_by_all = remote.url.kind() == (Kind::Http { tls: false }) && !remote.url.is_loopback();
    if found.is_some() && readable_by_all && !remote.credentials_over_http {
        let reason =
            "it would send credentials without encryption: use https, or allow that expressly".to_owned();
        return Err(GitError::Url { url: remote.url.to_string(), reason });
    }
    Ok(found)
}
