//! What can be done behind an API server's back? Its etcd speaks JSON too (etcd's gRPC gateway).

use std::io::{Error, Result};
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A cluster's etcd.
#[derive(Clone, Copy, Debug)]
pub struct Etcd {
    pub(super) port: u16,
}

impl Etcd {
    /// Puts other bytes in the place of some of an object, such as `/registry/configmaps/web/settings`. Both have the
    /// same length, since objects are kept in a binary form with lengths in it.
    ///
    /// # Errors
    /// There is no such object, it does not hold `from`, or etcd does not answer.
    ///
    /// # Panics
    /// When the lengths differ.
    pub async fn replace(&self, key: &str, from: &str, to: &str) -> Result<()> {
        assert_eq!(from.len(), to.len(), "{from} and {to} have one length");
        let found = self.ask("range", &json!({"key": STANDARD.encode(key)})).await?;
        let value = found["kvs"][0]["value"].as_str().unwrap_or_default();
        let mut value = STANDARD.decode(value).map_err(Error::other)?;
        let at = value.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.ok_or_else(|| Error::other(format!("{key} does not hold {from}")))?;
        value[at..at + to.len()].copy_from_slice(to.as_bytes());
        let put = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        self.ask("put", &put).await.map(drop)
    }

    /// Forgets all versions but the present one.
    ///
    /// # Errors
    /// etcd does not answer, or refuses.
    pub async fn compact(&self) -> Result<()> {
        let found = self.ask("range", &json!({"key": STANDARD.encode("none")})).await?;
        let revision = &found["header"]["revision"];
        self.ask("compaction", &json!({"revision": revision, "physical": true})).await.map(drop)
    }

    async fn ask(&self, what: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let body = body.to_string();
        let request = format!(
            "POST /v3/kv/{what} HTTP/1.0\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => serde_json::from_str(body).map_err(Error::other),
            _ => Err(Error::other(format!("etcd refused {what}: {answer}"))),
        }
    }
}
