//! The gRPC protocol `muster.v1`: what agents, the hub and the CLI say to each other.
//!
//! ```text
//! agent --EnrollmentService, AgentService--> hub <--FleetService, TokenService, ...-- muster
//! ```
//!
//! The `.proto` files in `proto/muster/v1` document every field; this crate holds the code generated
//! from them, the descriptors for gRPC reflection, and the limits both sides keep to. It knows
//! neither hub nor agent.
#![forbid(unsafe_code)]

pub mod audit;
pub mod once;
mod words;

pub use crate::words::{health_word, sync_word};

/// Messages, clients and servers of package `muster.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code, documented in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("muster.v1");
}

/// Encoded `FileDescriptorSet` of `muster.v1`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/muster.v1.bin"));

/// Version of the protocol spoken here. A newer version only ever adds: both sides pass over what they do not
/// know, so that hub and agent may be of different versions.
///
/// | version | adds |
/// |---|---|
/// | 0 | the first one |
/// | 1 | `TrustBundle`, `Trusted`, `Reconnect`, versions and capabilities in `Hello` and `Welcome` |
pub const PROTOCOL: u32 = 1;

/// Largest message either side takes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
