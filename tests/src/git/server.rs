//! Who may fetch from the Git server, what does it count, and which fault is on?
//!
//! The server runs on a thread of its own, so that it answers blocking clients too.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::fault::{self, Tail};
use super::{Error, Fault, Repository, backend};
use crate::certificates::Authority;
use crate::scratch::Scratch;
use crate::{ports, serve};

/// The largest request body: more than any push of a test.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How long a server that starts again waits for its port: a child that another thread is just starting holds
/// the old listener open until it has become another program.
const REBIND_DEADLINE: Duration = Duration::from_secs(5);
const REBIND_PAUSE: Duration = Duration::from_millis(5);

/// What every request must carry.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// HTTP basic authentication.
    Basic {
        /// The user's name.
        user: String,
        /// The password or access token.
        password: String,
    },
    /// An `Authorization: Bearer` token.
    Bearer(String),
}

/// What a server should be like; the default is plain HTTP for everyone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Ask every request for these.
    pub credentials: Option<Credentials>,
    /// Serve HTTPS, with a certificate for 127.0.0.1 and localhost of an authority of its own.
    pub tls: bool,
}

/// How many requests of each kind the server has answered, or would have but for a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// `GET info/refs`: one at the beginning of every fetch, clone and push.
    pub advertisements: u64,
    /// `ls-refs` of protocol version 2.
    pub ls_refs: u64,
    /// Rounds of `fetch`: one or more when there is something new.
    pub fetches: u64,
    /// `git-receive-pack`: pushes.
    pub pushes: u64,
    /// Requests that lacked the right credentials.
    pub unauthorized: u64,
}

/// A running Git server with a scratch directory of repositories. Dropping it stops it and removes them.
pub struct Server {
    running: Option<Running>,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    authority: Option<PathBuf>,
    port: u16,
    scratch: Scratch,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    credentials: Mutex<Option<Credentials>>,
    fault: Mutex<Fault>,
    counts: Mutex<Counts>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1. It listens when this returns.
    ///
    /// # Errors
    /// No port, no thread or no certificate can be had.
    pub fn start(options: Options) -> Result<Server, Error> {
        let scratch = Scratch::new("git-server")?;
        let root = scratch.path().join("repositories");
        std::fs::create_dir(&root)?;
        let (tls, authority) = if options.tls {
            let authority = Authority::new("Git server test CA")?;
            let path = scratch.path().join("ca.crt");
            std::fs::write(&path, authority.certificate())?;
            let tls = authority.acceptor(&["127.0.0.1", "localhost"]).map_err(Error::Tls)?;
            (Some(tls), Some(path))
        } else {
            (None, None)
        };
        let shared = Arc::new(Shared {
            root,
            credentials: Mutex::new(options.credentials),
            fault: Mutex::default(),
            counts: Mutex::default(),
        });
        let (listener, port) = ports::listen();
        let mut server = Server { running: None, shared, tls, authority, port, scratch };
        server.serve(listener)?;
        Ok(server)
    }

    /// Creates an empty repository, to be served at [`Server::url`] of the same path, such as `team/fleet`.
    ///
    /// # Errors
    /// Git is missing or refuses.
    pub fn create(&self, path: &str) -> Result<Repository, Error> {
        Repository::create(&self.shared.root.join(format!("{path}.git")))
    }

    /// The address to clone from; the repository need not exist.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/{path}.git", self.port)
    }

    /// The file with the certificate of the authority that clients must trust, if this is HTTPS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// A directory for the test's own clones, removed with the server.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Sets the fault of all requests from now on; one that hangs goes on hanging.
    pub fn set_fault(&self, fault: Fault) {
        *lock(&self.shared.fault) = fault;
    }

    /// Changes what requests must carry from now on.
    pub fn set_credentials(&self, credentials: Option<Credentials>) {
        *lock(&self.shared.credentials) = credentials;
    }

    /// What has been asked since the start.
    pub fn counts(&self) -> Counts {
        *lock(&self.shared.counts)
    }

    /// Closes all connections and the port: connecting is refused from now on.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            drop(stop);
            // A panic of the server has been printed already.
            let _ = thread.join();
        }
    }

    /// Listens again at the same address, with the same repositories; nothing happens if it never stopped.
    ///
    /// # Errors
    /// Another process took the port meanwhile.
    pub fn start_again(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            return Ok(());
        }
        let deadline = Instant::now() + REBIND_DEADLINE;
        loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    std::thread::sleep(REBIND_PAUSE);
                }
                bound => return self.serve(bound?),
            }
        }
    }

    fn serve(&mut self, listener: TcpListener) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&self.shared));
        let tls = self.tls.clone();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    // Whether by a message or by the sender's end, it is over.
                    _ = stopped => {}
                    () = serve::connections(listener, tls, router) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("git-server".to_owned()).spawn(serve)?;
        self.running = Some(Running { stop, thread });
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
    };
    let credentials = lock(&shared.credentials).clone();
    let user = credentials.as_ref().map(|credentials| permitted(credentials, &parts.headers));
    let fault = lock(&shared.fault).clone();
    count(&mut lock(&shared.counts), &parts, &body, user == Some(None));
    match &fault {
        Fault::Hang => std::future::pending().await,
        fault => {
            if let Some(response) = refusal(fault, &parts, credentials.as_ref()) {
                return response;
            }
        }
    }
    let user = match user {
        Some(None) => return unauthorized(credentials.as_ref()),
        Some(Some(user)) => Some(user),
        None => None,
    };
    match backend::serve(&shared.root, &parts, body, user.as_deref()).await {
        Ok(answer) => with_fault(&fault, answer),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

/// The user whose credentials these are; `None` if they are not the right ones.
fn permitted(credentials: &Credentials, headers: &HeaderMap) -> Option<String> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (expected, user) = match credentials {
        Credentials::Basic { user, password } => {
            (format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))), user.as_str())
        }
        Credentials::Bearer(token) => (format!("Bearer {token}"), "bearer"),
    };
    (given == expected).then(|| user.to_owned())
}

fn count(counts: &mut Counts, request: &http::request::Parts, body: &Bytes, unauthorized: bool) {
    counts.requests += 1;
    counts.unauthorized += u64::from(unauthorized);
    let path = request.uri.path();
    if path.ends_with("/info/refs") {
        counts.advertisements += 1;
    } else if request.method == Method::POST && path.ends_with("/git-receive-pack") {
        counts.pushes += 1;
    } else if request.method == Method::POST && path.ends_with("/git-upload-pack") {
        // Only bodies far longer than any ls-refs come compressed.
        let ls_refs = body.windows(15).any(|window| window == b"command=ls-refs");
        *(if ls_refs { &mut counts.ls_refs } else { &mut counts.fetches }) += 1;
    }
}

/// What a fault answers in place of the backend, if it does.
fn refusal(
    fault: &Fault,
    request: &http::request::Parts,
    credentials: Option<&Credentials>,
) -> Option<Response> {
    let with = |status, text: &str, header: http::HeaderName, value: &str| {
        let mut response = plain(status, text);
        let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("invalid"));
        response.headers_mut().insert(header, value);
        response
    };
    match fault {
        Fault::Refuse => Some(plain(StatusCode::SERVICE_UNAVAILABLE, "out of service\n")),
        Fault::TooManyRequests => {
            Some(with(StatusCode::TOO_MANY_REQUESTS, "too many requests\n", RETRY_AFTER, "1"))
        }
        Fault::WrongContent => {
            Some(with(StatusCode::OK, "<!DOCTYPE html><title>Sign in</title>\n", CONTENT_TYPE, "text/html"))
        }
        Fault::Redirect(base) => {
            let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
            Some(with(StatusCode::FOUND, "moved\n", LOCATION, &format!("{base}{path}")))
        }
        Fault::Unauthorized => Some(unauthorized(credentials)),
        _ => None,
    }
}

fn with_fault(fault: &Fault, mut answer: backend::Answer) -> Response {
    if *fault == Fault::CorruptPack {
        fault::corrupt(&mut answer.body);
    }
    let body = match fault::split(fault, &answer.body) {
        None => Body::from(answer.body),
        Some((length, tail)) => {
            answer.body.truncate(length);
            let sent = stream::iter([Ok(Bytes::from(answer.body))]);
            let progress = Bytes::from(fault::progress());
            match tail {
                Tail::Broken => {
                    Body::from_stream(sent.chain(stream::iter([Err(std::io::Error::other("cut"))])))
                }
                Tail::Silence => Body::from_stream(sent.chain(stream::pending())),
                Tail::Progress => Body::from_stream(sent.chain(stream::repeat(progress).map(Ok))),
            }
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn unauthorized(credentials: Option<&Credentials>) -> Response {
    let scheme = match credentials {
        Some(Credentials::Bearer(_)) => "Bearer",
        _ => "Basic realm=\"git\"",
    };
    let mut response = plain(StatusCode::UNAUTHORIZED, "who are you?\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    response
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
