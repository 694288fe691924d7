//! Git through a program: ssh for a server, git itself for a local repository.
//!
//! ```text
//! gix -> stdin  -> ssh or git
//! gix <- Pump   <- stdout      a thread reads, so that waiting for it has a limit
//!        Words  <- stderr      the last of it explains a failure
//! ```

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gix::protocol::transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use gix::protocol::transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix::protocol::transport::{Protocol, Service};

use super::budget::Budget;
use crate::error::tidy;
use crate::url::Kind;
use crate::{GitError, Remote};

/// Bytes of one piece on its way from the program to us.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that may wait: enough to keep both sides busy, little enough to not matter.
const PIECES_MAX: usize = 4;
/// Bytes of the program's complaints that are kept.
const WORDS_BYTES_MAX: usize = 4 * 1024;
/// How long a program that closed its output may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a program that is not needed any more may take to end by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Variables that would make a local Git look at another repository than the one named.
const FOREIGN_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_WORK_TREE",
];

/// The command line that gives this remote's packs, or takes ours.
pub(crate) fn command(remote: &Remote, service: Service) -> Command {
    let mut command = match remote.url.kind() {
        Kind::Local => {
            let mut git = Command::new("git");
            git.arg(service.as_str().trim_start_matches("git-")).arg(remote.url.local_path());
            git
        }
        _ => ssh(remote, service),
    };
    for variable in FOREIGN_VARIABLES {
        command.env_remove(variable);
    }
    command.env("GIT_PROTOCOL", "version=2").env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    command
}

fn ssh(remote: &Remote, service: Service) -> Command {
    let mut ssh = Command::new(&remote.ssh.program);
    let mut option = |name: &str, value: &std::ffi::OsStr| {
        let mut text = std::ffi::OsString::from(name);
        text.push("=");
        text.push(value);
        ssh.arg("-o").arg(text);
    };
    let seconds = remote.timeouts.connect.as_secs().max(1).to_string();
    for (name, value) in [
        ("BatchMode", "yes"),
        ("StrictHostKeyChecking", "yes"),
        ("ClearAllForwardings", "yes"),
        ("ForwardAgent", "no"),
        ("PermitLocalCommand", "no"),
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        ("SendEnv", "GIT_PROTOCOL"),
        ("ConnectTimeout", seconds.as_str()),
    ] {
        option(name, value.as_ref());
    }
    if let Some(file) = &remote.ssh.known_hosts_file {
        option("UserKnownHostsFile", &quoted(file));
        option("GlobalKnownHostsFile", "/dev/null".as_ref());
    }
    if let Some(file) = &remote.ssh.key_file {
        option("IdentitiesOnly", "yes".as_ref());
        option("IdentityAgent", "none".as_ref());
        ssh.arg("-i").arg(file);
    }
    if let Some(port) = remote.url.port() {
        ssh.arg("-p").arg(port.to_string());
    }
    if let Some(user) = remote.url.user() {
        ssh.arg("-l").arg(user);
    }
    // Nothing after the two dashes is taken for an option.
    let host = remote.url.host().trim_start_matches('[').trim_end_matches(']');
    ssh.arg("--").arg(host).arg(format!("{} {}", service.as_str(), shell_word(&remote.url.path())));
    ssh
}

/// ssh splits the values of its options at blanks unless they are quoted.
fn quoted(path: &std::path::Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("\"");
    text.push(path);
    text.push("\"");
    text
}

/// A word that the shell on the other side leaves as it is.
fn shell_word(text: &str) -> String {
    // `/~user/x` asks for a home directory, which a shell finds only outside of quotes.
    let text = text.strip_prefix('/').filter(|rest| rest.starts_with('~')).unwrap_or(text);
    let (home, rest) = match text.strip_prefix('~').map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((user, rest)) if user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            (format!("~{user}/"), rest)
        }
        _ => (String::new(), text),
    };
    format!("{home}'{}'", rest.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// A running program that speaks the Git protocol.
pub(crate) struct Program {
    child: Child,
    connection: Option<Connection<Pump, ChildStdin>>,
    words: Arc<Words>,
    budget: Arc<Budget>,
    threads: Vec<JoinHandle<()>>,
}

/// What the program wrote to its standard error.
#[derive(Debug, Default)]
pub(crate) struct Words {
    kept: Mutex<Vec<u8>>,
    ended: Mutex<bool>,
    ending: Condvar,
    output_ended: AtomicBool,
}

impl Words {
    /// The last words. A program that has closed its output gets a moment to say why; one
    /// that has not is not at fault.
    pub(crate) fn last(&self) -> String {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if self.output_ended.load(Ordering::SeqCst) {
            drop(self.ending.wait_timeout_while(ended, LAST_WORDS, |ended| !*ended));
        } else {
            drop(ended);
        }
        tidy(&String::from_utf8_lossy(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn listen(&self, mut from: impl Read) {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..count]);
            let excess = kept.len().saturating_sub(WORDS_BYTES_MAX);
            kept.drain(..excess);
        }
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.notify_all();
    }
}

impl Program {
    /// Starts the program. Nothing is asked of it yet.
    pub(crate) fn start(
        remote: &Remote,
        budget: &Arc<Budget>,
        service: Service,
    ) -> Result<Program, GitError> {
        let mut command = command(remote, service);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that its children end with it.
        command.process_group(0);
        let name = std::path::PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(GitError::storage("start the program", &name))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            let missing = io::Error::other("its standard streams are missing");
            return Err(GitError::storage("talk to the program", &name)(missing));
        };
        let (send, pieces) = sync_channel(PIECES_MAX);
        let words = Arc::new(Words::default());
        let (listener, watcher) = (Arc::clone(&words), Arc::clone(&words));
        let talk = move || {
            pump(stdout, &send);
            watcher.output_ended.store(true, Ordering::SeqCst);
        };
        let threads = vec![std::thread::spawn(talk), std::thread::spawn(move || listener.listen(stderr))];
        let reader = Pump { pieces, piece: io::Cursor::default(), budget: Arc::clone(budget) };
        let none = None::<(String, Option<u16>)>;
        let path = remote.url.path();
        let connection =
            Connection::new(reader, stdin, Protocol::V2, path, none, ConnectMode::Process, false);
        let budget = Arc::clone(budget);
        Ok(Program { child, connection: Some(connection), words, budget, threads })
    }

    pub(crate) fn words(&self) -> Arc<Words> {
        Arc::clone(&self.words)
    }

    fn connection(&mut self) -> Result<&mut Connection<Pump, ChildStdin>, client::Error> {
        self.connection.as_mut().ok_or(client::Error::MissingHandshake)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Closing both pipes first lets a program that is done end by itself.
        drop(self.connection.take());
        let patience = if self.budget.is_interrupted() { Duration::ZERO } else { GRACE };
        let asked = Instant::now();
        let mut ended = matches!(self.child.try_wait(), Ok(Some(_)));
        while !ended && asked.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
            ended = matches!(self.child.try_wait(), Ok(Some(_)));
        }
        if !ended {
            if let Ok(id) = i32::try_from(self.child.id()) {
                let _ = nix::sys::signal::killpg(
                    nix::unistd::Pid::from_raw(id),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn pump(mut from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match from.read(&mut piece) {
            Ok(0) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let failed = read.is_err();
        let sent = to.send(read.map(|count| {
            piece.truncate(count);
            piece
        }));
        if failed || sent.is_err() {
            return;
        }
    }
}

/// The output of the program, with a limit on every wait.
pub(crate) struct Pump {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    budget: Arc<Budget>,
}

impl Read for Pump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            match self.pieces.recv_timeout(self.budget.patience()?) {
                Ok(piece) => self.piece = io::Cursor::new(piece?),
                Err(RecvTimeoutError::Timeout) => return Err(self.budget.timed_out()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
            self.budget.count(self.piece.get_ref().len())?;
        }
        self.piece.read(buffer)
    }
}

impl TransportWithoutIO for Program {
    fn to_url(&self) -> Cow<'_, gix::objs::bstr::BStr> {
        self.connection.as_ref().map(TransportWithoutIO::to_url).unwrap_or_default()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::error::Result {
        Ok(())
    }
}

impl Transport for Program {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.connection()?.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, client::Error> {
        self.connection()?.request(write_mode, on_into_read, trace)
    }
}

/// The error that a program's last words stand for, if they are known ones.
pub(crate) fn explain(url: &str, words: &str) -> Option<GitError> {
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let (url, reason) = (url.to_owned(), words.to_owned());
    if says(&["Host key verification failed", "HOST IDENTIFICATION HAS CHANGED", "host key is known"]) {
        Some(GitError::Untrusted { url, reason })
    } else if says(&["Permission denied", "Too many authentication failures", "dubious ownership", "denied"])
    {
        Some(GitError::Authentication { url, reason })
    } else if says(&["not appear to be a git repository", "not a git repository", "ot found", "not exist"])
        && !says(&["command not found"])
    {
        Some(GitError::NotFound { url })
    } else if says(&[
        "resolve hostname",
        "onnection refused",
        "timed out",
        "Connection closed",
        "onnection reset",
        "No route to host",
        "unreachable",
    ]) {
        Some(GitError::Unreachable { url, reason })
    } else {
        None
    }
}
