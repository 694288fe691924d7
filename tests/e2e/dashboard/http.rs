//! A client that sends just what a test says, over plain HTTP/1.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// An answer; names of headers are in small letters.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends a request and reads the head of the answer.
async fn begin(
    address: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> (Answer, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.expect("the server answers");
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let status = lines[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    (Answer { status, headers, body: String::new() }, reader)
}

/// Sends a request and waits for all of the answer.
pub(super) async fn send(
    address: SocketAddr,
    request: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let (mut answer, mut reader) = begin(address, request, headers, body).await;
    let mut bytes = Vec::new();
    match answer.header("content-length").parse::<usize>() {
        Ok(length) => {
            bytes.resize(length, 0);
            reader.read_exact(&mut bytes).await.expect("all of the body comes");
        }
        Err(_) => drop(reader.read_to_end(&mut bytes).await.expect("the body ends")),
    }
    answer.body = String::from_utf8(bytes).expect("the body is UTF-8");
    answer
}

/// Server-sent events.
pub(super) struct Events(BufReader<TcpStream>);

impl Events {
    /// Asks for a stream of them.
    pub(super) async fn of(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (Answer, Events) {
        let (answer, reader) = begin(address, ("GET", path), headers, "").await;
        (answer, Events(reader))
    }

    /// The next one: its name (empty if it has none) and its data.
    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.expect("the stream can be read") == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data.trim()).expect("the data is JSON")));
            }
        }
    }
}
