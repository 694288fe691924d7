//! Which port can a server of a test take, and take again after a stop?
//!
//! Programs that must be told their port cannot bind port 0. The numbers given out here lie below the range
//! from which Linux takes ports for outgoing connections (32768 and up), so that no connection can sit on a
//! port between a server's stop and its next start.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A loopback port that nothing listens on. No port is given out twice by one process before all were; a
/// random first one keeps processes that run side by side apart.
///
/// Another process can still take it before its use, or a child that is just being started can hold the
/// probe's socket open for an instant: whoever passes the number on must be ready to try another.
///
/// # Panics
/// When nothing in the whole range is free.
pub fn free() -> u16 {
    next().1
}

/// A listener on such a port, which nobody can take.
///
/// # Panics
/// When nothing in the whole range is free.
pub fn listen() -> (TcpListener, u16) {
    next()
}

fn next() -> (TcpListener, u16) {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(RandomState::new().hash_one(0) as u16));
    for _ in 0..COUNT {
        let port = FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return (listener, port);
        }
    }
    panic!("no port from {FIRST} to {} is free on 127.0.0.1", FIRST + COUNT - 1)
}
