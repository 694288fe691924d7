//! What would the agent do now? (`muster-agent plan`)
//!
//! ```text
//! Git, cluster --> reconcile::preview (plans) --> dry runs: what would really change --> report --> text, JSON
//! ```
//!
//! Reads only: the fence of its API server is never opened, and dry runs are not kept by the server. It needs
//! no Lease and disturbs no agent at work.
mod report;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use futures::StreamExt;
use muster_render::difference::{Difference, differences};
use tokio::sync::watch;

use self::report::{AppReport, Change, Report};
use crate::api::{Api, ApiError, Fence};
use crate::config::{Config, Output, PlanOptions};
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::object::{Gvk, ObjectKey, Resource};
use crate::plan::{Desired, Step};
use crate::reconcile::preview::{Outlook, preview};
use crate::serve::Standing;
use crate::shorten::shorten;
use crate::source::read_once;

/// Longest value shown, in bytes of its JSON.
const VALUE_BYTES_MAX: usize = 256;

/// Dry runs under way at the same time.
const REQUESTS_AT_ONCE: usize = 8;

/// What `plan` found, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Changes,
    /// Something cannot be read, or cannot be done.
    Errors,
}

impl Found {
    /// 0, 1 or 2, as of `kubectl diff`.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// Prints what the agent would do. Git is read into a directory of its own, since that of the agent is its
/// alone.
///
/// # Errors
/// A sentence, when Git or the cluster cannot be read.
pub(crate) async fn run(
    config: Config,
    client: kube::Client,
    options: &PlanOptions,
) -> Result<Found, String> {
    let (_leadership, led) = watch::channel(Leadership::Unknown);
    let api = Api::new(client, Fence::closed(), Metrics::new(Standing::new(led)));
    let mirror = Scratch::new()?;
    let snapshot = read_once(&config, &mirror.path, api.metrics()).await?;
    let (revision, errors) = (snapshot.revision.clone(), snapshot.problems.clone());
    let outlooks = preview(&api, &config.namespace, &config.reach, snapshot)
        .await
        .map_err(|error| format!("The cluster cannot be read: {error}"))?;
    let mut apps = Vec::new();
    for outlook in &outlooks {
        let changes = changes(&api, outlook).await;
        let missing = missing_namespaces(&api, outlook).await;
        apps.push(AppReport::new(outlook, &changes, &missing));
    }
    let report = Report::new(config.cluster.to_string(), revision, apps, &errors);
    let shown = match options.output {
        Output::Text => report.text(options.diff),
        Output::Json => format!("{}\n", report.json()),
    };
    let written = std::io::stdout().write_all(shown.as_bytes());
    written.map_err(|error| format!("The plan cannot be printed: {error}"))?;
    Ok(report.found())
}

/// What applying each object would change.
async fn changes(api: &Api, outlook: &Outlook) -> BTreeMap<ObjectKey, Change> {
    let objects = outlook.plan.steps.iter().flat_map(|step| match step {
        Step::Apply(objects) => objects.as_slice(),
        _ => &[],
    });
    let writer = &outlook.account.clone().map_or_else(|| api.clone(), |account| api.acting_as(account));
    let asked = futures::stream::iter(objects)
        .map(|(key, desired)| async move { (key.clone(), change(api, writer, key, desired).await) });
    asked.buffer_unordered(REQUESTS_AT_ONCE).collect().await
}

/// What applying one object would change, asked for as it would be applied.
async fn change(api: &Api, writer: &Api, key: &ObjectKey, desired: &Desired) -> Change {
    let ObjectKey { namespace, name, .. } = key;
    let live = match api.get(&desired.resource, namespace, name).await {
        Ok(live) => Some(live),
        Err(ApiError::NotFound { .. }) => None,
        Err(error) => return Change::Refused(error.to_string()),
    };
    match (writer.apply_dry_run(&desired.resource, namespace, name, desired.body.to_vec()).await, live) {
        (Ok(result), Some(live)) => Change::Update(shown(differences(&live, &result))),
        (Ok(_), None) => Change::Create,
        // Its namespace is made before it.
        (Err(ApiError::NotFound { kind, .. }), None) if kind == "namespaces" => Change::Create,
        (Err(error), _) => Change::Refused(crate::apply::masked(key, desired, error.to_string())),
    }
}

/// Differences with values short enough to show.
fn shown(found: Vec<Difference>) -> Vec<Difference> {
    let short = |value: Option<String>| value.map(|value| shorten(value, VALUE_BYTES_MAX));
    let shown = |one: Difference| Difference { before: short(one.before), after: short(one.after), ..one };
    found.into_iter().map(shown).collect()
}

/// Namespaces to be created that are not there.
async fn missing_namespaces(api: &Api, outlook: &Outlook) -> Vec<String> {
    let namespaces =
        Resource { gvk: Gvk::of("v1", "Namespace"), plural: "namespaces".to_owned(), namespaced: false };
    let mut missing = Vec::new();
    for step in &outlook.plan.steps {
        if let Step::EnsureNamespace(name) = step
            && api.get(&namespaces, "", name).await.is_err()
        {
            missing.push(name.clone());
        }
    }
    missing
}

/// A directory that goes when it is dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let path = std::env::temp_dir().join(format!("muster-agent-plan-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path)
            .map_err(|error| format!("The directory {} cannot be made: {error}", path.display()))?;
        Ok(Scratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is in a directory for what may be left.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
