//! What is a collector of traces told?
//!
//! With `traces` in the settings each call, write to the store, look at Git and question to a gate is a span, sent in
//! batches to an OpenTelemetry collector over OTLP (<https://opentelemetry.io/docs/specs/otlp/>). A caller that sends
//! `traceparent` (W3C Trace Context) sees its call in its own trace. Spans hold names of methods, callers, waves and
//! tracks, never what a message says. Without the setting none of this runs.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// Longest time for one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// As traces name this program.
const SERVICE: &str = "muster-hub";

/// Sends what is left when it goes.
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        let _ = self.0.shutdown_with_timeout(PATIENCE); // a collector that is away loses the last spans
    }
}

/// Whether this can be the address of a collector: `http://HOST:PORT`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(endpoint: &str) -> Result<String, String> {
    let wrong = || format!("{endpoint:?} is not http://HOST:PORT, such as http://127.0.0.1:4317");
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.port().is_some() && matches!(uri.path(), "" | "/");
    if is_plain { Ok(endpoint.to_owned()) } else { Err(wrong()) }
}

/// A layer that sends spans of the hub to a collector. To be called within the runtime that sends them.
///
/// # Errors
/// When the exporter cannot be made.
pub(crate) fn start<S>(endpoint: &str) -> Result<(Traces, impl Layer<S> + Send + Sync + use<S>), String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let exporter =
        SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE).build();
    let exporter = exporter.map_err(|error| format!("traces cannot be sent to {endpoint}: {error}"))?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(SERVICE).with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_filter(Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::DEBUG));
    Ok((Traces(provider), layer))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Makes a span part of the trace that the caller says it is in, if it says so.
pub(crate) fn follow(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        let _ = span.set_parent(parent); // traces are off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_a_host_and_a_port() {
        assert!(check("http://127.0.0.1:4317").is_ok() && check("http://collector:4317/").is_ok());
        for wrong in
            ["", "collector:4317", "https://collector:4317", "http://collector", "http://c:1/v1/traces"]
        {
            assert!(check(wrong).unwrap_err().contains("is not http://HOST:PORT"), "{wrong}");
        }
    }
}
