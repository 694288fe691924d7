//! The fleet at a glance: counts, then what is wrong, worst first; one screen of it.

use jiff::Timestamp;

use super::{names, or_dash, seen};
use crate::{
    fleet::{Group, Overview, State, group, heard},
    model::{Cluster, short},
    text::{Page, Screen, Style, Table, Text, age, ago, count, thousands},
};

/// Problems shown where the height of the screen is not known.
const GROUPS_MAX: usize = 20;
/// Rows of the table of clusters when all is well.
const CLUSTERS_MAX: usize = 12;
/// Lines one problem takes at least.
const GROUP_LINES: usize = 3;

/// The page of `muster status`.
pub(crate) fn status(overview: &Overview, clusters: &[Cluster], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if clusters.is_empty() {
        page.line(&Text::plain("No cluster has enrolled yet."));
        page.line(&Text::styled(
            Style::Dim,
            "Next: muster token create CLUSTER, then start muster-agent there with the token.",
        ));
    } else if overview.healthy {
        well(&mut page, overview, clusters, now, screen);
    } else {
        return troubled(overview, now, screen);
    }
    page
}

/// Counts, and as many problems as the screen has room for, however narrow it is; at least one.
fn troubled(overview: &Overview, now: Timestamp, screen: Screen) -> Page {
    let with = |groups_max: usize| {
        let mut page = Page::new();
        counts(&mut page, overview, now);
        problems(&mut page, overview, now, screen, groups_max);
        page
    };
    let (Some(height), Some(width), false) = (screen.height, screen.width, screen.wide) else {
        return with(if screen.wide { usize::MAX } else { GROUPS_MAX });
    };
    let mut groups_max = (height / GROUP_LINES).max(1);
    loop {
        let page = with(groups_max);
        // The last line is for the prompt.
        if groups_max == 1 || page.lines_at(width) < height {
            return page;
        }
        groups_max -= 1;
    }
}

fn well(page: &mut Page, overview: &Overview, clusters: &[Cluster], now: Timestamp, screen: Screen) {
    let apps = &overview.apps;
    let suspended = if apps.suspended == 0 {
        String::new()
    } else {
        format!(", {} Suspended", thousands(apps.suspended))
    };
    page.line(&Text::styled(Style::Good, "All is well").and(
        Style::Plain,
        format!(
            ": {} connected, {} Synced and Healthy{suspended}; {}.",
            count(clusters.len(), "cluster"),
            count(apps.total - apps.suspended, "app"),
            heard(overview.oldest_seen, now),
        ),
    ));
    page.gap();
    let shown = if screen.wide { usize::MAX } else { CLUSTERS_MAX };
    let mut table = Table::new(["CLUSTER", "APPS", "SYNCED", "HEALTHY", "HEAD", "SEEN"]);
    for cluster in clusters.iter().take(shown) {
        table.row([
            Text::plain(&cluster.name),
            Text::plain(thousands(cluster.apps.total)),
            Text::styled(Style::Good, thousands(cluster.apps.synced)),
            Text::styled(Style::Good, thousands(cluster.apps.healthy)),
            Text::plain(short(&cluster.head_revision)),
            seen(&ago(cluster.last_seen, now), cluster.connection),
        ]);
    }
    page.table(&table, screen);
    if clusters.len() > shown {
        let more = count(clusters.len() - shown, "more cluster");
        page.line(&Text::styled(Style::Dim, format!("and {more}, all as well: muster clusters")));
    }
}

/// Parts of a line of counts, leaving out those of which there are none.
fn parts(counted: &[(usize, &str, Style)]) -> Text {
    let mut line = Text::new();
    for (number, word, style) in counted.iter().filter(|(number, ..)| *number > 0) {
        if !line.is_empty() {
            line = line.and(Style::Plain, ", ");
        }
        line = line.and(*style, format!("{} {word}", thousands(*number)));
    }
    if line.is_empty() { Text::plain("none") } else { line }
}

fn counts(page: &mut Page, overview: &Overview, now: Timestamp) {
    let (clusters, apps) = (&overview.clusters, &overview.apps);
    let age = if clusters.connected == 0 {
        String::new()
    } else {
        format!(" ({})", heard(overview.oldest_seen, now))
    };
    let connected = format!("connected{age}");
    let title = |title: &str| Text::styled(Style::Strong, format!("{title:<10}"));
    page.line(&title("Clusters").join(parts(&[
        (clusters.connected, &connected, Style::Good),
        (clusters.unreachable, "unreachable", Style::Bad),
        (clusters.never_connected, "never connected", Style::Warn),
    ])));
    page.line(&title("Sync").join(parts(&[
        (apps.synced, "Synced", Style::Good),
        (apps.out_of_sync, "OutOfSync", Style::Bad),
        (apps.sync_unknown, "Unknown", Style::Warn),
    ])));
    page.line(&title("Health").join(parts(&[
        (apps.healthy, "Healthy", Style::Good),
        (apps.progressing, "Progressing", Style::Warn),
        (apps.degraded, "Degraded", Style::Bad),
        (apps.missing, "Missing", Style::Bad),
        (apps.suspended, "Suspended", Style::Plain),
        (apps.health_unknown, "Unknown", Style::Warn),
    ])));
}

fn problems(page: &mut Page, overview: &Overview, now: Timestamp, screen: Screen, groups_max: usize) {
    let groups = group(&overview.problems, groups_max);
    let hidden = groups.get(groups_max..).unwrap_or_default();
    let groups = groups.get(..groups_max).unwrap_or(&groups);
    if groups.is_empty() {
        // Counts and apps are two answers of the hub: between them something may have changed.
        page.gap();
        page.line(&Text::plain("What is wrong was over while it was asked for. Next: muster status"));
        return;
    }
    let header = ["STATE", "CLUSTER", "APP", "SINCE", "REVISION", "NEXT"];
    let mut table = Table::new(header);
    let mut narrow = Table::new(header.into_iter().take(5));
    for group in groups {
        let cells = row(group, now);
        narrow.row(cells.clone());
        table.row(cells.into_iter().chain([Text::styled(Style::Strong, &group.next)]));
    }
    let beside = screen.width.is_none_or(|width| table.width() <= width);
    let notes: Vec<Vec<Text>> = groups.iter().map(|group| notes(group, beside, screen)).collect();
    page.gap();
    page.table_with_notes(if beside { &table } else { &narrow }, screen, &notes);
    if !hidden.is_empty() {
        page.line(&Text::styled(Style::Dim, format!("and {}: muster status -o wide", rest(hidden))));
    }
}

fn row(group: &Group, now: Timestamp) -> Vec<Text> {
    let style = match group.state {
        State::Unreachable | State::Degraded | State::Missing | State::Error | State::OutOfSync => Style::Bad,
        State::Unknown | State::NeverConnected | State::Progressing => Style::Warn,
    };
    let cluster = match group.clusters.as_slice() {
        [only] => only.clone(),
        many => count(many.len(), "cluster"),
    };
    vec![
        Text::styled(style, group.state.word()),
        Text::plain(cluster),
        or_dash(&group.app),
        Text::plain(age(group.since, now)),
        Text::plain(short(&group.revision)),
    ]
}

/// What a row has no room for: the message, which clusters, and the next command.
fn notes(group: &Group, next_is_beside: bool, screen: Screen) -> Vec<Text> {
    let mut notes = vec![Text::plain("  ").and(Style::Plain, &group.message)];
    if group.clusters.len() > 1 {
        let shown = if screen.wide { usize::MAX } else { 3 };
        notes.push(Text::plain("  ").and(Style::Dim, format!("in {}", names(&group.clusters, shown))));
    }
    if let (Some(width), false) = (screen.width, screen.wide) {
        notes = notes.iter().map(|note| note.cut(width)).collect();
    }
    if !next_is_beside {
        notes.push(Text::plain("  ").and(Style::Strong, &group.next));
    }
    notes
}

/// `7 more problems (3 Degraded, 4 OutOfSync)`.
fn rest(hidden: &[Group]) -> String {
    let mut states: Vec<(State, usize)> = Vec::new();
    for group in hidden {
        match states.iter_mut().find(|(state, _)| *state == group.state) {
            Some((_, number)) => *number += 1,
            None => states.push((group.state, 1)),
        }
    }
    let states: Vec<String> =
        states.iter().map(|(state, number)| format!("{} {}", thousands(*number), state.word())).collect();
    format!("{} ({})", count(hidden.len(), "more problem"), states.join(", "))
}

#[cfg(test)]
mod tests;
