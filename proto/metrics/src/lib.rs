//! What does every Muster process tell Prometheus of itself, and how is it written?
//!
//! Agent and hub each have a registry of their own series; what both need is here.
#![forbid(unsafe_code)]

mod process;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge, histogram::Histogram},
};

pub use crate::process::Process;

/// The form in which Prometheus is answered: OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the histograms, in seconds: from what a local request takes to what a person gives up on.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0];

/// A histogram of times, in seconds.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// The label of what worked and what did not.
#[must_use]
pub fn result(success: bool) -> &'static str {
    if success { "success" } else { "failure" }
}

/// Writes a family of gauges that were read just now; nothing where there are none.
///
/// # Errors
/// As the encoder has them; writing to a string has none.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, i64)>,
) -> Result<(), std::fmt::Error> {
    let mut values = values.into_iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Writes one gauge that was read just now.
///
/// # Errors
/// As the encoder has them; writing to a string has none.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> Result<(), std::fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}
