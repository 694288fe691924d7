//! What does Prometheus see of this hub?
//!
//! ```text
//! gate, store, alerts --counters--> Metrics <--read on each scrape-- Standing: fleet, waves, alerts
//!                                      |
//!                       serve: /metrics, /healthz, /readyz on a port of their own
//! ```
//! Label values are names of clusters, methods, waves, receivers and words of ours: bounded by the fleet, and
//! never what an object holds. docs/metrics.md lists every name.

mod serve;
mod standing;
#[cfg(test)]
mod tests;

pub(crate) use self::serve::listen;

use std::{sync::Arc, time::Duration};

use muster_metrics::{result, seconds};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram, info::Info},
    registry::Registry,
};

use self::standing::{Board, Snapshot};

const PREFIX: &str = "muster_hub";

/// All series of this process. Clones are the same series.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Series>);

struct Series {
    registry: Registry,
    board: Board,
    requests: Family<MethodLabel, Counter>,
    request_seconds: Family<MethodLabel, Histogram, fn() -> Histogram>,
    refused: Family<ReasonLabel, Counter>,
    writes: Family<ResultLabel, Counter>,
    changes: Counter,
    write_seconds: Histogram,
    messages: Family<ReceiverLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverLabels {
    receiver: String,
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut series = Series {
            registry: Registry::default(),
            board: Board::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            refused: Family::default(),
            writes: Family::default(),
            changes: Counter::default(),
            write_seconds: seconds(),
            messages: Family::default(),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(muster_metrics::Process));
        registry.register_collector(Box::new(series.board.clone()));
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register("build", "What this program is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        own.register("requests", "Calls let through, by method", series.requests.clone());
        let help = "Time until the answer began";
        own.register("request_duration_seconds", help, series.request_seconds.clone());
        own.register("requests_refused", "Calls and handshakes refused, by reason", series.refused.clone());
        own.register("store_writes", "Writes to the store; one holds many changes", series.writes.clone());
        own.register("store_changes", "Changes kept", series.changes.clone());
        own.register(
            "store_write_duration_seconds",
            "Time until a write was kept for certain",
            series.write_seconds.clone(),
        );
        own.register("alert_messages", "Messages to receivers of alerts", series.messages.clone());
        series.registry = registry;
        Self(Arc::new(series))
    }
}

impl Metrics {
    /// A call was let through; its answer began after so long.
    pub(crate) fn answered(&self, method: &str, took: Duration) {
        let label = MethodLabel { method: method.to_owned() };
        self.0.requests.get_or_create(&label).inc();
        self.0.request_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// A call or a handshake was refused.
    pub(crate) fn refused(&self, reason: &str) {
        self.0.refused.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
    }

    /// The store was written, or could not be.
    pub(crate) fn wrote(&self, changes: usize, success: bool, took: Duration) {
        self.0.writes.get_or_create(&ResultLabel { result: result(success) }).inc();
        if success {
            self.0.changes.inc_by(u64::try_from(changes).unwrap_or(u64::MAX));
            self.0.write_seconds.observe(took.as_secs_f64());
        }
    }

    /// A receiver took a message, or did not.
    pub(crate) fn told(&self, receiver: &str, success: bool) {
        let labels = ReceiverLabels { receiver: receiver.to_owned(), result: result(success) };
        self.0.messages.get_or_create(&labels).inc();
    }

    /// All series as text, with how things stand now.
    fn encode(&self, snapshot: Snapshot) -> Result<String, std::fmt::Error> {
        self.0.board.show(snapshot);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}
