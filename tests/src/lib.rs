//! The test kit: real Kubernetes control planes, real Git servers and the built programs, each one call away.
//!
//! ```text
//!   a test ── kubernetes::Cluster ── etcd, kube-apiserver, kube-controller-manager [, kube-scheduler]
//!     │                        └──── kubelet: a thread that makes Pods Running and Ready
//!     ├────── etcd::Etcd ────────── etcd of several members, with TLS
//!     ├────── git::Server ────────── git http-backend, behind faults, credentials and TLS
//!     └────── process::Program ───── muster-agent, muster-hub, muster, or any command
//! ```
//!
//! Whatever is started here ends with the value that started it, with a panic, and with the test process
//! itself, however that ends (see [`process`]). Files live in one scratch directory a process (see
//! [`scratch`]).
#![forbid(unsafe_code)]
// The kit serves tests: where a test cannot go on, it fails here with the reason.
#![allow(clippy::panic)]

pub mod agents;
pub mod certificates;
pub mod etcd;
pub mod fleet;
pub mod git;
pub mod kubernetes;
pub mod ports;
pub mod process;
pub mod scratch;
mod serve;
pub mod skip;
pub mod wait;
