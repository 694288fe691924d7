//! The Muster hub: hears from the agent of every cluster, and tells people how the fleet is.
//!
//! ```text
//!            listener + tls            access         service              commit
//! agents  -- TLS 1.3, client --> who is it, --> agents, enrollment --> one thread applies to
//! muster  -- certificate or      and may it     fleet, tokens, ...     fleet::State, keeps in store,
//!            bearer token        call that                             then tells watchers and agents
//! ```
//! repository: follows the fleet's Git, asks waves what may move, and commits that
//! web: the same services for browsers and curl, as JSON, and the dashboard
//! metrics: for Prometheus, with probes, on a port of their own
//!
//! The hub holds no cluster credential, cannot reach a cluster, and links no Kubernetes client. What it
//! decides is plain code over data ([`fleet`], [`waves`], [`tokens`], [`csr`]); the rest moves bytes.
#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod alerts;
pub mod arguments;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod clock;
mod commit;
pub mod config;
pub mod csr;
pub mod fleet;
pub mod gates;
mod hex;
pub mod identity;
pub mod init;
mod listener;
mod metrics;
pub mod pattern;
pub mod record;
mod reload;
pub mod repository;
pub mod server;
mod service;
pub mod store;
mod streams;
pub mod tls;
pub mod tokens;
mod traces;
mod trust;
mod watch;
pub mod waves;
pub mod web;
