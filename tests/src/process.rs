//! How does a test run a program, and what becomes of it when the test ends?
//!
//! Each program leads a process group of its own, beside a shell that reads a pipe whose other end only this
//! process holds:
//!
//! ```text
//!   test process ──pipe──▶ sh (the leash) ─┐ same process group,
//!        └───────spawn───▶ program         ┘ killed as a whole
//! ```
//!
//! Dropping a [`Program`] kills the group. When the test process ends without dropping (SIGKILL, abort, an
//! exit with statics alive) the kernel closes the pipe and the leash kills the group. That works for a
//! stopped (SIGSTOP) program too, since only the program is stopped and not its leash.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

use crate::scratch::{self, Scratch};
use crate::wait::{self, Timeout};

/// Becomes the program itself (same process id), after leaving the leash behind in the same group.
const LEASH: &str = r#"
exec 3<&0 </dev/null
( while read -r _ <&3; do :; done; kill -s KILL -- "-$$" ) >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// How many lines of a log are shown when something went wrong.
const TAIL_LINES: usize = 40;

/// Why a program could not be run, or did not do what was awaited.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The workspace's binary has not been built; the message says how to.
    #[error("{} is not there; build it with `cargo build --bins`, or set MUSTER_BIN_DIR", .0.display())]
    NotBuilt(PathBuf),
    /// The operating system refused.
    #[error("cannot run {name}: {source}")]
    Io {
        /// The program's name.
        name: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// It ended while something was awaited from it; the log's end is in the message.
    #[error("{name} ended ({status}) before {what}; its log ends:\n{tail}")]
    Ended {
        /// The program's name.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What was awaited.
        what: String,
        /// The last lines of its log.
        tail: String,
    },
    /// The deadline passed; the log's end is in the message.
    #[error("{timeout}; the log of {name} ends:\n{tail}")]
    Timeout {
        /// The program's name.
        name: String,
        /// What was awaited.
        timeout: Timeout,
        /// The last lines of its log.
        tail: String,
    },
}

/// What is to be run. Nothing of the caller's configuration reaches it: `MUSTER_*`, `KUBE*`, `GIT_*` and
/// proxy variables are removed, and `HOME` is an empty directory.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: Option<PathBuf>,
    log: Option<PathBuf>,
    quiet: bool,
}

impl Launch {
    /// A binary of this workspace (`muster-agent`, `muster-hub`, `muster`), from `MUSTER_BIN_DIR` or the
    /// directory that the running test was built into.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] when it is not there.
    pub fn binary(name: &str) -> Result<Launch, Error> {
        let path = binaries().join(name);
        if !path.is_file() {
            return Err(Error::NotBuilt(path));
        }
        Ok(Launch::command(path))
    }

    /// Any program, by path or by its name on `PATH`.
    pub fn command(program: impl Into<PathBuf>) -> Launch {
        let program = program.into();
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        Launch {
            name,
            program,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: None,
            log: None,
            quiet: false,
        }
    }

    /// The name used in messages and for the log file; the program's file name unless given.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Launch {
        self.name = name.into();
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Launch {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Launch {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Launch {
        self.environment.insert(key.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Launch {
        let own = |text: &OsStr| text.to_owned();
        let variables = variables.into_iter();
        self.environment.extend(variables.map(|(key, value)| (own(key.as_ref()), own(value.as_ref()))));
        self
    }

    /// The working directory; the caller's unless given.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Launch {
        self.directory = Some(directory.into());
        self
    }

    /// Where the log goes (appended); a scratch file unless given.
    #[must_use]
    pub fn log_to(mut self, path: impl Into<PathBuf>) -> Launch {
        self.log = Some(path.into());
        self
    }

    /// Does not print the log's tail when the test panics, for programs that are rarely the cause.
    #[must_use]
    pub fn quiet(mut self) -> Launch {
        self.quiet = true;
        self
    }

    /// Starts it, with output and errors going to one log file.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no `sh`, or the log cannot be opened. A program that does not exist ends
    /// at once with status 127 instead.
    pub fn start(self) -> Result<Program, Error> {
        let log = self.log.clone().map_or_else(|| fresh_log(&self.name), Ok);
        let log = log.map_err(|source| self.error(source))?;
        let open = || File::options().create(true).append(true).open(&log);
        let output = open().and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = output.map_err(|source| self.error(source))?;
        let (child, leash) = self.spawn(output.into(), errors.into())?;
        Ok(Program { launch: self, child, _leash: leash, log, ended: None, killed: false })
    }

    /// Runs it to its end and returns what it printed. An exit status other than 0 is no error.
    ///
    /// # Errors
    /// It cannot be started, or it has not ended at the deadline; then it is killed.
    pub async fn run(self, deadline: Duration) -> Result<Output, Error> {
        let scratch = Scratch::new(&self.name).map_err(|source| self.error(source))?;
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| scratch.path().join(name));
        let open = |path: &Path| File::create(path).map_err(|source| self.error(source));
        let (child, leash) = self.spawn(open(&stdout)?.into(), open(&stderr)?.into())?;
        let mut program = Program {
            launch: self.clone().quiet(),
            child,
            _leash: leash,
            log: stderr.clone(),
            ended: None,
            killed: false,
        };
        let status = program.wait_for_end(deadline).await?;
        let read = |path: &Path| std::fs::read(path).map_err(|source| self.error(source));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { status, stdout: text(read(&stdout)?), stderr: text(read(&stderr)?) })
    }

    fn spawn(&self, output: Stdio, errors: Stdio) -> Result<(Child, ChildStdin), Error> {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "leash"]).arg(&self.program).args(&self.arguments);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_configuration(key)) {
            command.env_remove(key);
        }
        command.env("HOME", home().map_err(|source| self.error(source))?).envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(|source| self.error(source))?;
        let leash = child.stdin.take().expect("stdin was piped just above");
        Ok((child, leash))
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::Io { name: self.name.clone(), source }
    }
}

/// What a command that ran to its end left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it printed, once it is clear that it succeeded.
    ///
    /// # Panics
    /// When the status is not 0, with both outputs.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }
}

/// A running program. Dropping it kills it and all it started, and prints the end of its log if the test is
/// panicking.
pub struct Program {
    launch: Launch,
    child: Child,
    _leash: ChildStdin,
    log: PathBuf,
    ended: Option<ExitStatus>,
    killed: bool,
}

impl Program {
    /// The name used in messages.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// The process id, which is also the id of the process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed so far, over restarts too.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The file its output goes to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub async fn wait_for_end(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        let what = format!("the end of {}", self.name());
        let ended = wait::try_until(&what, deadline, async || self.ended()).await;
        ended.map_err(|timeout| self.timeout(timeout))
    }

    /// Waits until its log holds `text`.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Ended`] when it ends without having printed that.
    pub async fn wait_for_log(&mut self, text: &str, deadline: Duration) -> Result<(), Error> {
        self.wait_for(&format!("`{text}` in its log"), deadline, |log| log.contains(text)).await
    }

    /// Waits until something accepts connections at `address`.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Ended`] when it ends first.
    pub async fn wait_for_port(&mut self, address: SocketAddr, deadline: Duration) -> Result<(), Error> {
        let limit = Duration::from_secs(1);
        let accepts = move |_: &str| std::net::TcpStream::connect_timeout(&address, limit).is_ok();
        self.wait_for(&format!("listening on {address}"), deadline, accepts).await
    }

    async fn wait_for(
        &mut self,
        what: &str,
        deadline: Duration,
        holds: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let probe = async || {
            // The end is looked at first, so that what was printed just before it still counts.
            let ended = self.ended();
            if holds(&self.log()) { Some(Ok(())) } else { ended.map(Err) }
        };
        match wait::try_until(what, deadline, probe).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => {
                Err(Error::Ended { name: self.name().into(), status, what: what.into(), tail: self.tail() })
            }
            Err(timeout) => Err(self.timeout(timeout)),
        }
    }

    /// Sends a signal to the program alone, not to what it started. Does nothing once it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It was not reaped above, so the id is still its own.
            let sent = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
            assert!(matches!(sent, Ok(()) | Err(Errno::ESRCH)), "cannot signal {}: {sent:?}", self.name());
        }
    }

    /// Stops it where it stands (SIGSTOP), as a stalled node would.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`Program::pause`].
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it and all it started (SIGKILL), and waits for its end.
    pub fn kill(&mut self) {
        if std::mem::replace(&mut self.killed, true) {
            return;
        }
        // The leash is of the group and ends only with it, so the group's id cannot be another's yet.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is still running at the deadline.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::SIGTERM);
        self.wait_for_end(deadline).await
    }

    /// Kills what is left of it and starts it again with the same arguments and log.
    ///
    /// # Errors
    /// As [`Launch::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill();
        *self = self.launch.clone().log_to(&self.log).start()?;
        Ok(())
    }

    /// Its resident memory in bytes, from /proc; `None` once it has ended, or where there is no /proc.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(TAIL_LINES);
        log.lines().skip(skipped).map(|line| format!("    {line}\n")).collect()
    }

    fn timeout(&self, timeout: Timeout) -> Error {
        Error::Timeout { name: self.name().into(), timeout, tail: self.tail() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() && !self.launch.quiet {
            let status = self.ended.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
            eprintln!("log of {} ({status}), {}:\n{}", self.name(), self.log.display(), self.tail());
        }
    }
}

/// The ids of all processes that have `text` in their command line.
pub fn processes_with(text: &str) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(text)
    })
    .collect()
}

/// Where the workspace's binaries are: beside `deps/`, which holds the running test.
fn binaries() -> PathBuf {
    if let Some(directory) = std::env::var_os("MUSTER_BIN_DIR") {
        return directory.into();
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let directory = executable.parent().unwrap_or(Path::new(""));
    let is_test = directory.file_name().is_some_and(|name| name == "deps");
    let directory = if is_test { directory.parent() } else { Some(directory) };
    directory.unwrap_or(Path::new("")).to_owned()
}

fn is_configuration(key: &OsStr) -> bool {
    let key = key.to_string_lossy();
    let prefixes = ["MUSTER_", "KUBE", "GIT_"];
    prefixes.iter().any(|prefix| key.starts_with(prefix)) || key.to_ascii_lowercase().ends_with("_proxy")
}

fn home() -> std::io::Result<PathBuf> {
    let home = scratch::root()?.join("home");
    std::fs::create_dir_all(&home)?;
    Ok(home)
}

fn fresh_log(name: &str) -> std::io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(scratch::root()?.join(format!("{name}-{count}.log")))
}
