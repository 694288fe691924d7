//! One app in every cluster it is in: how it fares in each, then what is not as it should be.

use jiff::Timestamp;

use super::{apps::message, health, or_dash, seen, sync};
use crate::{
    model::{App, Drift, Object, short},
    text::{Page, Screen, Style, Table, Text, age, ago, count, thousands},
};

/// Rows of each part; `-o wide` shows all.
const CLUSTERS_MAX: usize = 15;
const OBJECTS_MAX: usize = 20;
const ERRORS_MAX: usize = 10;
const DRIFTS_MAX: usize = 10;
const FIELDS_MAX: usize = 5;

/// The page of `muster app NAME`.
pub(crate) fn app(name: &str, apps: &[App], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    // The agent gives no order between clusters; what is wrong comes first.
    let mut apps: Vec<&App> = apps.iter().collect();
    apps.sort_by_key(|app| (app.well(), &app.cluster));
    summary(&mut page, name, &apps);
    clusters(&mut page, &apps, now, screen);
    errors(&mut page, &apps, now, screen);
    objects(&mut page, &apps, screen);
    drifts(&mut page, &apps, now, screen);
    page
}

fn summary(page: &mut Page, name: &str, apps: &[&App]) {
    let well = apps.iter().filter(|app| app.well()).count();
    let line = Text::styled(Style::Strong, name)
        .and(Style::Plain, format!(" in {}: ", count(apps.len(), "cluster")));
    page.line(&match (well, apps.len() - well) {
        (_, 0) => line.and(Style::Good, "all is well"),
        (0, bad) => line.and(Style::Bad, format!("{} not well", thousands(bad))),
        (good, bad) => line
            .and(Style::Bad, format!("{} not well", thousands(bad)))
            .and(Style::Plain, format!(", {} well", thousands(good))),
    });
}

fn limit(screen: Screen, shown_max: usize) -> usize {
    if screen.wide { usize::MAX } else { shown_max }
}

/// What was left out, and how to see it.
fn left_out(page: &mut Page, number: usize, noun: &str) {
    if number > 0 {
        let more = count(number, noun);
        page.line(&Text::styled(
            Style::Dim,
            format!("and {more}: -o wide, or --cluster NAME for one cluster"),
        ));
    }
}

fn clusters(page: &mut Page, apps: &[&App], now: Timestamp, screen: Screen) {
    page.gap();
    let header = ["CLUSTER", "SYNC", "HEALTH", "REVISION", "WANTED", "SINCE", "SEEN"];
    let wide = ["PATH", "LAST SYNC"].into_iter().filter(|_| screen.wide);
    let mut table = Table::new(header.into_iter().chain(wide).chain(["MESSAGE"])).wrap_last();
    let shown = limit(screen, CLUSTERS_MAX);
    for app in apps.iter().take(shown) {
        let behind = app.wanted_revision != app.revision;
        let mut cells = vec![
            Text::plain(&app.cluster),
            sync(app.sync),
            health(app.health),
            Text::plain(short(&app.revision)),
            Text::styled(if behind { Style::Warn } else { Style::Plain }, short(&app.wanted_revision)),
            Text::plain(age(app.since, now)),
            seen(&ago(app.last_seen, now), app.connection),
        ];
        if screen.wide {
            cells.push(or_dash(&app.path));
            cells.push(Text::plain(if app.syncing { "now".to_owned() } else { ago(app.synced_at, now) }));
        }
        cells.push(Text::plain(message(app)));
        table.row(cells);
    }
    page.table(&table, screen);
    left_out(page, apps.len().saturating_sub(shown), "more cluster");
}

fn errors(page: &mut Page, apps: &[&App], now: Timestamp, screen: Screen) {
    let all: Vec<_> =
        apps.iter().flat_map(|app| app.errors.iter().map(|error| (&app.cluster, error))).collect();
    if all.is_empty() {
        return;
    }
    page.heading(&count(all.len(), "error"));
    let shown = limit(screen, ERRORS_MAX);
    for (cluster, error) in all.iter().take(shown) {
        let place = if error.place.is_empty() { String::new() } else { format!(" {}", error.place) };
        let line = Text::plain(cluster)
            .and(Style::Plain, "  ")
            .and(Style::Bad, error.kind)
            .and(Style::Strong, place)
            .and(Style::Dim, format!(" for {}", age(error.since, now)));
        page.line(&line);
        page.wrapped(&Text::plain(&error.message), screen, 2);
    }
    left_out(page, all.len().saturating_sub(shown), "more error");
}

fn objects(page: &mut Page, apps: &[&App], screen: Screen) {
    use crate::model::{Health, Sync};
    let wrong = |object: &Object| {
        object.sync != Sync::Synced || !matches!(object.health, Health::Healthy | Health::Suspended)
    };
    let all: Vec<(&App, &Object)> = apps
        .iter()
        .flat_map(|app| app.objects.iter().flatten().map(|object| (*app, object)))
        .filter(|(_, object)| screen.wide || wrong(object))
        .collect();
    let total: usize = apps.iter().map(|app| app.object_count).sum();
    if all.is_empty() {
        return;
    }
    page.heading(&if screen.wide {
        count(total, "object")
    } else {
        format!("{} of {} not well", all.len(), count(total, "object"))
    });
    let mut table = Table::new(["CLUSTER", "OBJECT", "SYNC", "HEALTH", "MESSAGE"]).wrap_last();
    let shown = limit(screen, OBJECTS_MAX);
    for (app, object) in all.iter().take(shown) {
        let connected = app.connection == crate::model::Connection::Connected;
        table.row([
            Text::plain(&app.cluster),
            Text::plain(object.object.to_string()),
            if connected { sync(object.sync) } else { was(object.sync.word()) },
            if connected { health(object.health) } else { was(object.health.word()) },
            Text::plain(&object.message),
        ]);
    }
    page.table(&table, screen);
    let told: usize = apps.iter().map(|app| app.objects.as_ref().map_or(0, Vec::len)).sum();
    left_out(page, all.len().saturating_sub(shown), "more object");
    if screen.wide && told < total {
        let more = count(total - told, "more object");
        page.line(&Text::styled(Style::Dim, format!("and {more}, which the agent left out of its report")));
    }
}

/// A state of a cluster out of reach: what it was, not what it is.
fn was(word: &str) -> Text {
    Text::styled(Style::Dim, format!("was {word}"))
}

fn drifts(page: &mut Page, apps: &[&App], now: Timestamp, screen: Screen) {
    let mut all: Vec<(&str, &Drift)> =
        apps.iter().flat_map(|app| app.drifts.iter().flatten().map(|drift| (&*app.cluster, drift))).collect();
    if all.is_empty() {
        return;
    }
    // What still differs, then what was put back; the latest first in each.
    all.sort_by_key(|(cluster, drift)| {
        (drift.corrected_at.is_some(), std::cmp::Reverse(drift.detected_at), *cluster)
    });
    let open = all.iter().filter(|(_, drift)| drift.corrected_at.is_none()).count();
    page.heading(&match open {
        0 => format!("{}, all put back", count(all.len(), "drift")),
        open => format!("{}, {open} not put back", count(all.len(), "drift")),
    });
    let shown = limit(screen, DRIFTS_MAX);
    for (cluster, drift) in all.iter().take(shown) {
        drift_lines(page, cluster, drift, now, screen);
    }
    left_out(page, all.len().saturating_sub(shown), "more drift");
}

fn drift_lines(page: &mut Page, cluster: &str, drift: &Drift, now: Timestamp, screen: Screen) {
    let what = if drift.deleted { "deleted" } else { "changed" };
    let by =
        if drift.field_manager.is_empty() { String::new() } else { format!(" by {}", drift.field_manager) };
    let line = Text::plain(format!("{cluster}  {}", drift.object))
        .and(Style::Dim, format!("  {what} {}{by}, ", ago(drift.detected_at, now)));
    page.line(&match drift.corrected_at {
        Some(_) => line.and(Style::Good, format!("put back {}", ago(drift.corrected_at, now))),
        None => line.and(Style::Bad, "still so"),
    });
    let shown = limit(screen, FIELDS_MAX);
    for field in drift.fields.iter().take(shown) {
        let value = |json: &str| if json.is_empty() { "nothing".to_owned() } else { json.to_owned() };
        let line = Text::styled(Style::Strong, &field.path)
            .and(Style::Plain, ": Git ")
            .and(Style::Good, value(&field.wanted))
            .and(Style::Plain, ", cluster ")
            .and(Style::Bad, value(&field.found));
        page.wrapped(&line, screen, 2);
    }
    let more = drift.fields.len().saturating_sub(shown);
    if more > 0 {
        page.line(&Text::styled(Style::Dim, format!("  and {}", count(more, "more field"))));
    }
}

#[cfg(test)]
mod tests;
