//! `muster diff`: what differs between Git and the clusters, or between two revisions?

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    args::{DiffArguments, Options},
    command::{Verdict, date, hub, named, unknown_app},
    diff::{self, Between, Reported},
    failure::Failure,
    model::{App, Sync},
    output::{Printer, remark},
    render::{self, AppObjects, Selection},
    repository::Repository,
    show,
    text::clean,
};

#[derive(Serialize)]
struct Differences<'a> {
    time: Timestamp,
    differences: &'a [Reported],
}

#[derive(Serialize)]
struct Changes<'a> {
    from: &'a str,
    /// Null for the files as they lie.
    to: Option<&'a str>,
    changes: &'a [Between],
}

/// Prints what differs; well when nothing does.
pub(super) async fn run(
    arguments: &DiffArguments,
    options: &Options,
    printer: Printer,
) -> Result<Verdict, Failure> {
    match arguments.what.as_deref().and_then(|what| what.split_once("..")) {
        Some((from, to)) => revisions(arguments, from, to, printer),
        None => clusters(arguments, options, printer).await,
    }
}

/// What agents have reported.
async fn clusters(
    arguments: &DiffArguments,
    options: &Options,
    printer: Printer,
) -> Result<Verdict, Failure> {
    let mut hub = hub(options).await?;
    let cluster = arguments.cluster.as_deref();
    let clusters = named(hub.clusters(&[]).await?, cluster)?;
    let names: BTreeSet<String> = match &arguments.what {
        Some(name) => [name.clone()].into(),
        None => {
            let apps = hub.apps(cluster, true).await?.into_iter();
            apps.filter(|app| app.reported_sync != Sync::Synced).map(|app| app.app).collect()
        }
    };
    let mut apps: Vec<App> = Vec::new();
    for name in &names {
        let found = hub.app(name, cluster).await?;
        if found.is_empty() && arguments.what.is_some() {
            return Err(unknown_app(&mut hub, name, cluster).await?);
        }
        apps.extend(found);
    }
    date(&mut apps, &clusters);
    let found = diff::reported(&apps);
    let time = Timestamp::now();
    printer
        .print(&Differences { time, differences: &found }, |screen| show::reported(&found, time, screen))?;
    Ok(Verdict::of(found.is_empty()))
}

/// What two revisions of the repository render to.
fn revisions(arguments: &DiffArguments, from: &str, to: &str, printer: Printer) -> Result<Verdict, Failure> {
    let selection = Selection { cluster: arguments.cluster.clone(), app: arguments.app.clone() };
    let from = if from.is_empty() { "HEAD" } else { from };
    let to = (!to.is_empty()).then_some(to);
    let Some(before) = rendered(arguments, Some(from), &selection)? else { return Ok(Verdict::NotWell) };
    let Some(after) = rendered(arguments, to, &selection)? else { return Ok(Verdict::NotWell) };
    let found = diff::between(&before, &after);
    printer.print(&Changes { from, to, changes: &found }, |screen| show::between(&found, screen))?;
    Ok(Verdict::of(found.is_empty()))
}

/// The objects at a revision; `None` when they cannot be rendered, which has been said then.
fn rendered(
    arguments: &DiffArguments,
    revision: Option<&str>,
    selection: &Selection,
) -> Result<Option<Vec<AppObjects>>, Failure> {
    let outcome = match Repository::open(&arguments.path, revision) {
        Ok(repository) => render::run(&repository, selection),
        Err(error) => Err(error),
    };
    // An app or cluster may be of one of the revisions only.
    let outcome = match outcome {
        Err(Failure::NoDocument { .. }) => return Ok(Some(Vec::new())),
        outcome => outcome?,
    };
    for problem in &outcome.problems {
        let at = revision.map(|revision| format!(" at {revision}")).unwrap_or_default();
        remark(&format!("error{at}: {}\n", clean(&problem.error.to_string())));
    }
    Ok(outcome.problems.is_empty().then_some(outcome.apps))
}
