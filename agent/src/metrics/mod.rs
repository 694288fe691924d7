//! What does Prometheus see of this agent?
//!
//! Counters are added to where things happen; how things stand is read on each scrape ([`apps`],
//! [`muster_metrics::Process`]). Label values are names of apps, verbs, codes and kinds: bounded by what the cluster has,
//! and never content of an object. docs/metrics.md lists every name.
mod apps;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use muster_metrics::{result, seconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::api::{ApiError, Verb};
use crate::object::GroupKind;
use crate::serve::Standing;

const PREFIX: &str = "muster_agent";

/// All series of this process. Clones are the same series.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Series>);

struct Series {
    registry: Registry,
    syncs: Family<SyncLabels, Counter>,
    sync_seconds: Histogram,
    drifts: Family<AppLabel, Counter>,
    corrections: Family<AppLabel, Counter>,
    pruned: Family<AppLabel, Counter>,
    failed_objects: Family<AppLabel, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<VerbLabel, Histogram, fn() -> Histogram>,
    watch_restarts: Family<KindLabel, Counter>,
    fetches: Family<ResultLabel, Counter>,
    fetch_seconds: Histogram,
    fetched_at: Gauge<f64, AtomicU64>,
    render_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabel {
    app: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncLabels {
    app: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabel {
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// What may happen to an app's objects in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// An object was found to differ from Git.
    Drift,
    /// It was put right.
    Correction,
    /// An object that left Git was deleted.
    Prune,
    /// An object could not be applied or deleted.
    Failure,
}

impl Metrics {
    pub(crate) fn new(standing: Standing) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(muster_metrics::Process));
        registry.register_collector(Box::new(apps::Apps(standing)));
        let own = registry.sub_registry_with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "What this program is", version);
        let mut series = Series {
            syncs: Family::default(),
            sync_seconds: seconds(),
            drifts: Family::default(),
            corrections: Family::default(),
            pruned: Family::default(),
            failed_objects: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            watch_restarts: Family::default(),
            fetches: Family::default(),
            fetch_seconds: seconds(),
            fetched_at: Gauge::default(),
            render_seconds: seconds(),
            registry: Registry::default(),
        };
        own.register("syncs", "Plans carried out, by app and result", series.syncs.clone());
        own.register("sync_duration_seconds", "Time a plan took", series.sync_seconds.clone());
        own.register("drifts", "Differences from Git seen in the cluster", series.drifts.clone());
        own.register("drifts_corrected", "Differences put right", series.corrections.clone());
        own.register("objects_pruned", "Objects deleted since they left Git", series.pruned.clone());
        own.register("object_failures", "Objects refused by the API server", series.failed_objects.clone());
        own.register("api_requests", "Requests to the API server", series.requests.clone());
        let help = "Time until the API server began to answer";
        own.register("api_request_duration_seconds", help, series.request_seconds.clone());
        own.register("watch_restarts", "Watches that had to be opened again", series.watch_restarts.clone());
        own.register("git_fetches", "Times the Git server was asked", series.fetches.clone());
        own.register("git_fetch_duration_seconds", "Time a fetch took", series.fetch_seconds.clone());
        let help = "When the Git server last answered, in seconds since 1970";
        own.register("git_last_fetch_timestamp_seconds", help, series.fetched_at.clone());
        let help = "Time it took to render the manifests of one app";
        own.register("render_duration_seconds", help, series.render_seconds.clone());
        series.registry = registry;
        Metrics(Arc::new(series))
    }

    /// All series as text.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// The API server was asked: `code` is its answer's, or the reason why there was none.
    pub(crate) fn asked(&self, verb: Verb, outcome: Result<u16, &ApiError>, took: Duration) {
        let verb = verb.as_str();
        let code = match outcome {
            Ok(code) => code.to_string(),
            Err(ApiError::Timeout) => "timeout".to_owned(),
            Err(_) => "unreachable".to_owned(),
        };
        self.0.requests.get_or_create(&RequestLabels { verb, code }).inc();
        self.0.request_seconds.get_or_create(&VerbLabel { verb }).observe(took.as_secs_f64());
    }

    /// A watch of a kind ended other than by its own time limit.
    pub(crate) fn watch_restarted(&self, kind: &GroupKind) {
        self.0.watch_restarts.get_or_create(&KindLabel { kind: kind.to_string() }).inc();
    }

    /// The Git server was asked.
    pub(crate) fn fetched(&self, success: bool, took: Duration) {
        self.0.fetches.get_or_create(&ResultLabel { result: result(success) }).inc();
        self.0.fetch_seconds.observe(took.as_secs_f64());
        if success && let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            self.0.fetched_at.set(now.as_secs_f64());
        }
    }

    /// The manifests of an app were rendered.
    pub(crate) fn rendered(&self, took: Duration) {
        self.0.render_seconds.observe(took.as_secs_f64());
    }

    /// A plan was carried out.
    pub(crate) fn synced(&self, app: &str, success: bool, took: Duration) {
        let labels = SyncLabels { app: app.to_owned(), result: result(success) };
        self.0.syncs.get_or_create(&labels).inc();
        self.0.sync_seconds.observe(took.as_secs_f64());
    }

    /// Something happened to one of an app's objects.
    pub(crate) fn happened(&self, app: &str, happening: Happening) {
        self.family(happening).get_or_create(&AppLabel { app: app.to_owned() }).inc();
    }

    /// An app is gone: so are its series.
    pub(crate) fn forget(&self, app: &str) {
        for success in [true, false] {
            self.0.syncs.remove(&SyncLabels { app: app.to_owned(), result: result(success) });
        }
        for happening in [Happening::Drift, Happening::Correction, Happening::Prune, Happening::Failure] {
            self.family(happening).remove(&AppLabel { app: app.to_owned() });
        }
    }

    fn family(&self, happening: Happening) -> &Family<AppLabel, Counter> {
        match happening {
            Happening::Drift => &self.0.drifts,
            Happening::Correction => &self.0.corrections,
            Happening::Prune => &self.0.pruned,
            Happening::Failure => &self.0.failed_objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Leadership;
    use crate::report::Reports;
    use muster_wire::v1::{AppStatus, HealthStatus, SyncStatus};

    fn metrics() -> (Metrics, Standing) {
        let (_, led) = tokio::sync::watch::channel(Leadership::Leading);
        let standing = Standing::new(led);
        (Metrics::new(standing.clone()), standing)
    }

    #[test]
    fn what_happened_is_counted_by_name() {
        let (metrics, _) = metrics();
        metrics.asked(Verb::Apply, Ok(200), Duration::from_millis(3));
        metrics.asked(Verb::Apply, Err(&ApiError::Timeout), Duration::from_secs(30));
        metrics.synced("web", false, Duration::from_secs(1));
        metrics.happened("web", Happening::Correction);
        metrics.fetched(true, Duration::from_millis(20));
        let text = metrics.encode().unwrap();
        for line in [
            "muster_agent_api_requests_total{verb=\"apply\",code=\"200\"} 1",
            "muster_agent_api_requests_total{verb=\"apply\",code=\"timeout\"} 1",
            "muster_agent_syncs_total{app=\"web\",result=\"failure\"} 1",
            "muster_agent_drifts_corrected_total{app=\"web\"} 1",
            "muster_agent_git_fetches_total{result=\"success\"} 1",
            "muster_agent_leader 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        metrics.forget("web");
        assert!(!metrics.encode().unwrap().contains("web"));
    }

    #[test]
    fn apps_are_counted_by_state_while_this_agent_acts() {
        let (metrics, standing) = metrics();
        let reports = Reports::new();
        for (app, health) in
            [("a", HealthStatus::Healthy), ("b", HealthStatus::Healthy), ("c\n\"", HealthStatus::Degraded)]
        {
            let mut status = AppStatus { app: app.to_owned(), object_count: 3, ..AppStatus::default() };
            status.set_sync(SyncStatus::Synced);
            status.set_health(health);
            reports.set_app(status);
        }
        standing.begin(reports);
        let text = metrics.encode().unwrap();
        for line in [
            "muster_agent_apps{sync=\"Synced\",health=\"Healthy\"} 2",
            "muster_agent_apps{sync=\"Synced\",health=\"Degraded\"} 1",
            "muster_agent_objects{app=\"a\"} 3",
            "muster_agent_app_status{app=\"c\\n\\\"\",sync=\"Synced\",health=\"Degraded\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        standing.end();
        assert!(!metrics.encode().unwrap().contains("muster_agent_apps"));
    }

    /// The page that lists the names is true.
    #[test]
    fn every_name_is_in_the_documentation() {
        let (metrics, standing) = metrics();
        let reports = Reports::new();
        reports.set_app(AppStatus { app: "a".to_owned(), ..AppStatus::default() });
        standing.begin(reports);
        // A family without a member is not written.
        metrics.asked(Verb::Get, Ok(200), Duration::ZERO);
        metrics.watch_restarted(&GroupKind::new("", "Pod"));
        metrics.fetched(true, Duration::ZERO);
        metrics.synced("a", true, Duration::ZERO);
        for happening in [Happening::Drift, Happening::Correction, Happening::Prune, Happening::Failure] {
            metrics.happened("a", happening);
        }
        let page = include_str!("../../../docs/metrics.md");
        let text = metrics.encode().unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let missing: Vec<_> = names.filter(|name| !page.contains(name)).collect();
        assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
        assert!(text.lines().filter(|line| line.starts_with("# TYPE muster_agent_")).count() > 15);
    }
}
