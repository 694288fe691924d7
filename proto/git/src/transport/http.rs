//! Git over HTTP: two kinds of request, each bounded in time and size.
//!
//! gix knows the protocol and asks for a GET or a POST through its [`Http`] trait;
//! this file does those requests with reqwest on a small runtime of its own, so that
//! every single wait has a limit.

use std::any::Any;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gix::error::ErrorExt as _;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use reqwest::header::{
    AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::budget::Budget;
use crate::credentials::Authorization;
use crate::error::{chain, tidy};
use crate::url::{Kind, RemoteUrl};
use crate::{GitError, Remote};

/// Servers tell Git clients from browsers by the first word.
const AGENT: &str = concat!("git/muster-", env!("CARGO_PKG_VERSION"));
/// Redirects followed within one host.
const REDIRECTS_MAX: usize = 5;
/// Largest file of certificates that is read, in bytes.
const CA_BYTES_MAX: u64 = 4 << 20;

/// Connections that are kept from one fetch to the next.
#[derive(Debug)]
pub(crate) struct HttpClient {
    runtime: Option<tokio::runtime::Runtime>,
    client: reqwest::Client,
    ca: Option<Vec<u8>>,
}

impl HttpClient {
    /// Uses `previous` again when the certificates to trust are still the same.
    pub(crate) fn open(
        remote: &Remote,
        previous: Option<Arc<HttpClient>>,
    ) -> Result<Arc<HttpClient>, GitError> {
        let ca = remote.ca_file.as_deref().map(read_ca).transpose()?;
        if let Some(previous) = previous.filter(|client| client.ca == ca) {
            return Ok(previous);
        }
        // Another part of the program may have chosen a provider already; then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(remote.timeouts.connect)
            .http1_only()
            .pool_max_idle_per_host(1)
            .referer(false);
        match (&ca, remote.url.kind()) {
            (Some(pem), _) => builder = builder.tls_certs_only(certificates(remote, pem)?),
            (None, Kind::Http { tls: true }) => {}
            // Without TLS there is no reason to load the system's certificates.
            (None, _) => builder = builder.tls_certs_only([]),
        }
        if remote.url.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| GitError::Untrusted {
            url: remote.url.to_string(),
            reason: format!(
                "no certificates to trust could be loaded ({}); set a CA file or SSL_CERT_FILE",
                chain(&e)
            ),
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(GitError::storage("start the network for", Path::new(&remote.url.host())))?;
        Ok(Arc::new(HttpClient { runtime: Some(runtime), client, ca }))
    }

    /// Waits for `work` as long as the budget allows.
    fn wait<T>(&self, budget: &Budget, work: impl Future<Output = T>) -> io::Result<T> {
        let patience = budget.patience()?;
        let Some(runtime) = self.runtime.as_ref() else {
            return Err(io::Error::other("the client is shut down"));
        };
        let outcome = runtime.block_on(async { tokio::time::timeout(patience, work).await });
        outcome.map_err(|_| budget.timed_out())
    }
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        // A plain drop waits, which is not allowed where futures run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn read_ca(file: &Path) -> Result<Vec<u8>, GitError> {
    let refused = |reason: String| GitError::Credentials { file: file.to_owned(), reason };
    let size = std::fs::metadata(file).map_err(|e| refused(e.to_string()))?.len();
    if size > CA_BYTES_MAX {
        return Err(refused("it is larger than 4 MiB".into()));
    }
    std::fs::read(file).map_err(|e| refused(e.to_string()))
}

fn certificates(remote: &Remote, pem: &[u8]) -> Result<Vec<reqwest::Certificate>, GitError> {
    let refused =
        |reason: String| GitError::Credentials { file: remote.ca_file.clone().unwrap_or_default(), reason };
    let found = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| refused(chain(&e)))?;
    if found.is_empty() {
        return Err(refused("it holds no certificate in PEM form".into()));
    }
    Ok(found)
}

/// One repository during one operation, as gix sees it.
pub(crate) struct HttpRemote {
    client: Arc<HttpClient>,
    budget: Arc<Budget>,
    url: RemoteUrl,
    authorization: Option<Authorization>,
    redirected: Option<String>,
}

impl HttpRemote {
    pub(crate) fn new(
        client: Arc<HttpClient>,
        budget: Arc<Budget>,
        url: RemoteUrl,
        authorization: Option<Authorization>,
    ) -> HttpRemote {
        HttpRemote { client, budget, url, authorization, redirected: None }
    }

    fn headers(&self, lines: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some((name, value)) = line.as_ref().split_once(':') else { continue };
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse::<HeaderValue>()) {
                headers.insert(name, value);
            }
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(Ok(mut value)) = self.authorization.as_ref().map(|a| a.header().parse::<HeaderValue>()) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    fn request(&self, method: Method, url: &str, headers: HeaderMap) -> Request {
        Request {
            client: Arc::clone(&self.client),
            budget: Arc::clone(&self.budget),
            remote: self.url.clone(),
            authorization: self.authorization.clone(),
            method,
            url: url.to_owned(),
            headers,
        }
    }

    /// Does a GET, following redirects that stay on the same host.
    fn follow(&mut self, url: &str, base_url: &str, headers: &HeaderMap) -> io::Result<Response> {
        let tail = url.strip_prefix(base_url).unwrap_or_default().to_owned();
        let mut target = url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let request = self.request(Method::GET, &target, headers.clone());
            let response = request.send(None)?;
            if !response.status().is_redirection() {
                if target != url {
                    // Later requests go to where this one was answered.
                    let base = target.strip_suffix(&tail).map(str::to_owned);
                    self.redirected =
                        Some(base.ok_or_else(|| request.odd("it redirects to a URL of another form"))?);
                }
                return request.checked(response);
            }
            target = request.redirection(&response)?;
        }
        Err(self.request(Method::GET, url, HeaderMap::new()).odd("it redirects again and again"))
    }
}

/// A request that can be sent once.
struct Request {
    client: Arc<HttpClient>,
    budget: Arc<Budget>,
    remote: RemoteUrl,
    authorization: Option<Authorization>,
    method: Method,
    url: String,
    headers: HeaderMap,
}

impl Request {
    fn send(&self, body: Option<Vec<u8>>) -> io::Result<Response> {
        let mut request =
            self.client.client.request(self.method.clone(), &self.url).headers(self.headers.clone());
        if let Some(body) = body {
            request = request.body(body);
        }
        let sent = self.client.wait(&self.budget, request.send())?;
        sent.map_err(|error| self.failed(error))
    }

    /// Turns an answer that is not a success into the error it stands for.
    fn checked(&self, response: Response) -> io::Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = self.remote.to_string();
        let asked = || {
            let value =
                response.headers().get(WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let scheme = tidy(value.split(' ').next().unwrap_or_default());
            if scheme.is_empty() { String::new() } else { format!(", it asks for {scheme}") }
        };
        let credentials =
            if self.authorization.is_some() { "with the credentials given" } else { "without credentials" };
        Err(self.budget.fail(match status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let reason = format!("status {} {credentials}{}", status.as_u16(), asked());
                GitError::Authentication { url, reason }
            }
            StatusCode::FORBIDDEN => {
                GitError::Authentication { url, reason: format!("status 403 {credentials}") }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => GitError::NotFound { url },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                GitError::Unreachable { url, reason: format!("status {status}") }
            }
            status if status.is_server_error() => {
                GitError::Unreachable { url, reason: format!("status {status}") }
            }
            status => GitError::Protocol { url, reason: format!("status {status}") },
        }))
    }

    /// Where a redirect leads, if it stays on this host.
    fn redirection(&self, response: &Response) -> io::Result<String> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let from = Url::parse(&self.url).ok();
        let Some((from, to)) = from.and_then(|from| Some((from.clone(), from.join(location?).ok()?))) else {
            return Err(self.odd("it redirects, but not to a URL"));
        };
        let origin = |url: &Url| {
            (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
        };
        if origin(&from) != origin(&to) {
            let shown = RemoteUrl::parse(to.as_str().split('?').next().unwrap_or_default());
            let to = shown.map_or_else(
                |_| "another place".to_owned(),
                |url| url.to_string().trim_end_matches("/info/refs").to_owned(),
            );
            return Err(self.budget.fail(GitError::Redirected { url: self.remote.to_string(), to }));
        }
        Ok(to.into())
    }

    fn odd(&self, reason: &str) -> io::Error {
        self.budget.fail(GitError::Protocol { url: self.remote.to_string(), reason: reason.to_owned() })
    }

    fn failed(&self, error: reqwest::Error) -> io::Error {
        let error = error.without_url();
        let url = self.remote.to_string();
        let mut reason = chain(&error);
        if let Some(authorization) = &self.authorization {
            reason = authorization.scrub(&reason);
        }
        self.budget.fail(if is_untrusted(&error) {
            reason.push_str("; if its certificate is right, name the authority that signed it in a CA file");
            GitError::Untrusted { url, reason }
        } else {
            GitError::Unreachable { url, reason }
        })
    }
}

/// True when the TLS handshake failed because of a certificate.
fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = tls.or_else(|| cause.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return matches!(
                tls,
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
            );
        }
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source());
    }
    false
}

/// The header lines of a response, as gix reads them.
fn header_lines(response: &Response) -> Cursor<Vec<u8>> {
    let mut lines = Vec::new();
    for (name, value) in response.headers() {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    Cursor::new(lines)
}

/// A request whose body is still being written, or its answer.
enum Exchange {
    Upload(Request, Vec<u8>),
    Answer { request: Request, response: Response, headers: Option<Cursor<Vec<u8>>> },
    Failed,
}

/// The three ends gix holds of one exchange.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Exchange>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request when the first byte of its answer is wanted.
    fn answered(&self) -> io::Result<MutexGuard<'_, Exchange>> {
        let mut exchange = self.lock();
        if let Exchange::Upload(..) = *exchange {
            let Exchange::Upload(request, body) = std::mem::replace(&mut *exchange, Exchange::Failed) else {
                return Err(io::Error::other("the request is gone"));
            };
            let response = request.send(Some(body)).and_then(|response| request.checked(response))?;
            let headers = Some(header_lines(&response));
            *exchange = Exchange::Answer { request, response, headers };
        }
        Ok(exchange)
    }

    fn headers(&self) -> io::Result<Cursor<Vec<u8>>> {
        match &mut *self.answered()? {
            Exchange::Answer { headers, .. } => Ok(headers.take().unwrap_or_default()),
            _ => Err(io::Error::other("the request failed")),
        }
    }

    /// The next part of the body; empty at its end.
    fn chunk(&self) -> io::Result<Bytes> {
        let Exchange::Answer { request, response, .. } = &mut *self.answered()? else {
            return Err(io::Error::other("the request failed"));
        };
        let chunk = request.client.wait(&request.budget, response.chunk())?;
        let chunk = chunk.map_err(|error| request.failed(error))?.unwrap_or_default();
        request.budget.count(chunk.len())?;
        Ok(chunk)
    }
}

/// Reads the header lines of an exchange.
pub(crate) struct Headers {
    exchange: Shared,
    lines: Option<Cursor<Vec<u8>>>,
}

impl Headers {
    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            self.lines = Some(self.exchange.headers()?);
        }
        Ok(self.lines.get_or_insert_default())
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(amount);
        }
    }
}

/// Reads the body of an exchange.
pub(crate) struct Body {
    exchange: Shared,
    chunk: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = self.exchange.chunk()?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.chunk.len());
        drop(self.chunk.split_to(amount));
    }
}

/// Collects the body of a POST.
pub(crate) struct Upload(Shared);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Exchange::Upload(_, body) => body.extend_from_slice(bytes),
            _ => return Err(io::Error::other("the request was sent already")),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn erased(error: io::Error) -> gix::error::Error {
    error.raise()
}

impl Http for HttpRemote {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::error::Result<GetResponse<Headers, Body>> {
        let headers = self.headers(headers);
        let response = self.follow(url, base_url, &headers).map_err(erased)?;
        let request = self.request(Method::GET, url, HeaderMap::new());
        let headers = Some(header_lines(&response));
        let exchange = Shared(Arc::new(Mutex::new(Exchange::Answer { request, response, headers })));
        Ok(GetResponse {
            headers: Headers { exchange: exchange.clone(), lines: None },
            body: Body { exchange, chunk: Bytes::new() },
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::error::Result<PostResponse<Headers, Body, Upload>> {
        let request = self.request(Method::POST, url, self.headers(headers));
        let exchange = Shared(Arc::new(Mutex::new(Exchange::Upload(request, Vec::new()))));
        Ok(PostResponse {
            post_body: Upload(exchange.clone()),
            headers: Headers { exchange: exchange.clone(), lines: None },
            body: Body { exchange, chunk: Bytes::new() },
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}
