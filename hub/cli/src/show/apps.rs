//! The table of apps.

use jiff::Timestamp;

use super::{health, or_dash, revision, seen, sync};
use crate::{
    model::{App, short},
    text::{Page, Screen, Table, Text, age, ago},
};

/// The page of `muster apps`.
pub(crate) fn apps(apps: &[App], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if apps.is_empty() {
        page.line(&Text::plain("No apps."));
        return page;
    }
    let narrow = ["APP", "CLUSTER", "SYNC", "HEALTH", "REVISION", "SINCE", "SEEN"];
    let wide = ["WANTED", "PATH", "OBJECTS", "LAST SYNC"].into_iter().filter(|_| screen.wide);
    let mut table = Table::new(narrow.into_iter().chain(wide).chain(["MESSAGE"])).cut_last();
    for app in apps {
        let mut cells = vec![
            Text::plain(&app.app),
            Text::plain(&app.cluster),
            sync(app.sync),
            health(app.health),
            if screen.wide { Text::plain(short(&app.revision)) } else { revision(app) },
            Text::plain(age(app.since, now)),
            seen(&ago(app.last_seen, now), app.connection),
        ];
        if screen.wide {
            cells.extend([
                Text::plain(short(&app.wanted_revision)),
                or_dash(&app.path),
                Text::plain(app.object_count.to_string()),
                Text::plain(if app.syncing { "now".to_owned() } else { ago(app.synced_at, now) }),
            ]);
        }
        cells.push(Text::plain(message(app)));
        table.row(cells);
    }
    page.table(&table, screen);
    page
}

pub(super) fn message(app: &App) -> String {
    match app.cause() {
        cause if cause.is_empty() && app.syncing => "syncing".to_owned(),
        cause => cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn apps_of_a_cluster_out_of_reach_are_unknown() {
        let (_, some) = sample::troubled();
        assert_eq!(
            apps(&some, sample::now(), Screen::test(Some(120))).finish(false),
            "\
APP  CLUSTER  SYNC       HEALTH       REVISION            SINCE  SEEN     MESSAGE
api  dev      OutOfSync  Healthy      1a2b3c4             45s    2s ago   Deployment default/api: .spec.replicas is 5,…
api  prod     Unknown    Unknown      1a2b3c4             3m     12m ago  last known Synced and Healthy
api  staging  Synced     Healthy      1a2b3c4             3m     2s ago
web  dev      Synced     Progressing  1a2b3c4 -> 9f8e7d6  8s     2s ago   syncing
web  prod     Unknown    Unknown      1a2b3c4             3m     12m ago  last known Synced and Healthy
web  staging  Synced     Degraded     1a2b3c4             3m     2s ago   Deployment default/web: 1 of 2 replicas avail…
"
        );
    }

    #[test]
    fn wide_adds_columns_and_cuts_nothing() {
        let (_, some) = sample::troubled();
        let screen = Screen { wide: true, ..Screen::test(Some(80)) };
        assert_eq!(
            apps(&some[5..], sample::now(), screen).finish(false),
            "\
APP  CLUSTER  SYNC    HEALTH    REVISION  SINCE  SEEN    WANTED   PATH      OBJECTS  LAST SYNC  MESSAGE
web  staging  Synced  Degraded  1a2b3c4   3m     2s ago  1a2b3c4  apps/web  3        3m ago     \
Deployment default/web: 1 of 2 replicas available, ProgressDeadlineExceeded
"
        );
    }
}
