//! How do requests reach a cluster? HTTPS on a loopback port of its own, bearer tokens, streams for watches.

mod connection;
mod tls;

pub(crate) use connection::{Connections, serve, until};
pub(crate) use tls::Authority;
