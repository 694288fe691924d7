//! Networks and servers that behave badly in ways the Git server itself does not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a proxy does to what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// After this many bytes from the server nothing more comes, and nothing ends.
    StallAfter(usize),
    /// After this many bytes from the server, one byte at a time, slowly.
    DripAfter(usize),
    /// This byte from the server is another one.
    FlipAt(usize),
    /// The server never hears of protocol 2.
    OldProtocol,
    /// Requests for `/old/name.git` are redirected to `/team/fleet.git`, on this same host.
    Moved,
    /// A listing of references that never ends.
    EndlessListing,
}

struct Shared {
    backend: String,
    mood: Mood,
    ended: AtomicBool,
    passed: Mutex<(usize, bool)>,
    stalled: Condvar,
}

/// A TCP proxy in front of a Git server.
pub(super) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port for the server that `url` is of.
    pub(super) fn start(url: &str, mood: Mood) -> Proxy {
        let backend = url.split('/').nth(2).unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            backend,
            mood,
            ended: AtomicBool::new(false),
            passed: Mutex::new((0, false)),
            stalled: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut served = Vec::new();
            for client in listener.incoming().flatten() {
                if own.ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&own);
                served.push(std::thread::spawn(move || drop(shared.serve(client))));
            }
            served.into_iter().for_each(|thread| drop(thread.join()));
        });
        Proxy { port, shared, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// True once a byte was changed.
    pub(super) fn has_flipped(&self) -> bool {
        self.shared.passed.lock().unwrap().1
    }

    /// Waits until the proxy has stopped passing bytes on.
    pub(super) fn wait_for_stall(&self, deadline: Duration) {
        let passed = self.shared.passed.lock().unwrap();
        let (passed, outcome) =
            self.shared.stalled.wait_timeout_while(passed, deadline, |(_, stalled)| !*stalled).unwrap();
        assert!(!outcome.timed_out(), "only {} bytes have passed", passed.0);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        if self.mood == Mood::EndlessListing {
            return self.list_for_ever(client);
        }
        let mut head = Vec::new();
        if self.mood == Mood::Moved {
            head = read_head(&mut client)?;
            if head.starts_with(b"GET /old/name.git/") {
                return client.write_all(redirect("/team/fleet.git").as_bytes());
            }
        }
        let mut server = TcpStream::connect(&self.backend)?;
        server.write_all(&head)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        from_client.set_read_timeout(Some(Duration::from_millis(100)))?;
        server.set_read_timeout(Some(Duration::from_millis(100)))?;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = self.pass(&mut from_client, |bytes| to_server.write_all(&self.request(bytes)));
                let _ = to_server.shutdown(Shutdown::Both);
            });
            let _ = self.pass(&mut server, |bytes| self.answer(&mut client, bytes));
            let _ = client.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    /// Passes bytes on until either side ends, or the proxy does.
    fn pass(
        &self,
        from: &mut TcpStream,
        mut to: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        while !self.ended.load(Ordering::SeqCst) {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => to(&buffer[..count])?,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn request(&self, bytes: &[u8]) -> Vec<u8> {
        match self.mood {
            Mood::OldProtocol => replaced(bytes, b"git-protocol:", b"not-protocol:"),
            _ => bytes.to_vec(),
        }
    }

    fn answer(&self, client: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        match self.mood {
            Mood::StallAfter(limit) => {
                let room = {
                    let mut passed = self.passed.lock().unwrap();
                    let room = limit.saturating_sub(passed.0).min(bytes.len());
                    passed.0 += bytes.len();
                    passed.1 = room < bytes.len();
                    room
                };
                client.write_all(&bytes[..room])?;
                if room < bytes.len() {
                    self.stalled.notify_all();
                    self.wait_for_end(Duration::from_secs(3600));
                }
                Ok(())
            }
            Mood::FlipAt(at) => {
                let mut bytes = bytes.to_vec();
                let mut passed = self.passed.lock().unwrap();
                if let Some(byte) = at.checked_sub(passed.0).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 0x15;
                    passed.1 = true;
                }
                passed.0 += bytes.len();
                client.write_all(&bytes)
            }
            Mood::DripAfter(limit) => {
                for (number, byte) in bytes.iter().enumerate() {
                    let passed = self.passed.lock().unwrap().0 + number;
                    if passed > limit && self.wait_for_end(Duration::from_millis(20)) {
                        break;
                    }
                    client.write_all(&[*byte])?;
                }
                self.passed.lock().unwrap().0 += bytes.len();
                Ok(())
            }
            _ => client.write_all(bytes),
        }
    }

    /// Waits for the proxy to end, at most this long; true when it did.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let started = std::time::Instant::now();
        while started.elapsed() < limit && !self.ended.load(Ordering::SeqCst) {
            std::thread::park_timeout(limit.min(Duration::from_millis(20)));
        }
        self.ended.load(Ordering::SeqCst)
    }

    fn list_for_ever(&self, mut client: TcpStream) -> std::io::Result<()> {
        read_head(&mut client)?;
        let kind = "application/x-git-upload-pack-advertisement";
        write!(client, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n")?;
        client.write_all(b"001e# service=git-upload-pack\n0000")?;
        let line = |id: usize, rest: &str| {
            let text = format!("{id:040x} refs/heads/b{id}{rest}\n");
            format!("{:04x}{text}", text.len() + 4)
        };
        client.write_all(line(0, "\0multi_ack_detailed side-band-64k shallow").as_bytes())?;
        (1..)
            .take_while(|_| !self.ended.load(Ordering::SeqCst))
            .try_for_each(|id| client.write_all(line(id, "").as_bytes()))
    }
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    match bytes.windows(what.len()).position(|window| window.eq_ignore_ascii_case(what)) {
        Some(at) => [&bytes[..at], with, &bytes[at + what.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(head)
}

/// An answer that redirects the first request of a fetch to the repository at `to`.
fn redirect(to: &str) -> String {
    let location = format!("{to}/info/refs?service=git-upload-pack");
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// A server that answers every request with a redirect.
pub(super) struct Redirector {
    port: u16,
    requests: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Redirector {
    /// Redirects `.../info/refs` to `to` followed by the same.
    pub(super) fn start(to: String) -> Redirector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (Arc::clone(&requests), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = read_head(&mut client);
                let _ = client.write_all(redirect(&to).as_bytes());
            }
        });
        Redirector { port, requests, ended, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Redirector {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
