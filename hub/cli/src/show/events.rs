//! The table of events, newest first.

use jiff::Timestamp;

use super::or_dash;
use crate::{
    model::{Event, short},
    text::{Page, Screen, Style, Table, Text, ago},
};

/// The page of `muster events`.
pub(crate) fn events(events: &[Event], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if events.is_empty() {
        page.line(&Text::plain("No events."));
        return page;
    }
    let mut table = Table::new(["WHEN", "KIND", "CLUSTER", "APP", "REVISION", "MESSAGE"]).cut_last();
    for event in events {
        table.row([
            Text::plain(ago(event.time, now)),
            kind(event.kind),
            or_dash(&event.cluster),
            or_dash(&event.app),
            Text::plain(short(&event.revision)),
            Text::plain(&event.message),
        ]);
    }
    page.table(&table, screen);
    page
}

pub(crate) fn kind(kind: &'static str) -> Text {
    let style = match kind {
        "Synced" | "DriftCorrected" | "Connected" | "Enrolled" => Style::Good,
        "SyncFailed" | "Disconnected" | "Revoked" => Style::Bad,
        "DriftDetected" | "Pruned" | "Adopted" => Style::Warn,
        _ => Style::Plain,
    };
    Text::styled(style, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn events_are_one_line_each() {
        let event = |kind, app: &str, message: &str| Event {
            id: "1".to_owned(),
            time: sample::before(61),
            kind,
            cluster: "dev".to_owned(),
            app: app.to_owned(),
            revision: sample::REVISION.to_owned(),
            message: message.to_owned(),
        };
        let some = [
            event("DriftCorrected", "web", "Put back .spec.replicas of Deployment default/web.\nIt was 5."),
            event("Connected", "", "\x1b]0;owned\x07The agent connected."),
        ];
        assert_eq!(
            events(&some, sample::now(), Screen::test(None)).finish(false),
            "\
WHEN    KIND            CLUSTER  APP  REVISION  MESSAGE
1m ago  DriftCorrected  dev      web  1a2b3c4   Put back .spec.replicas of Deployment default/web. It was 5.
1m ago  Connected       dev      -    1a2b3c4   \\u{1b}]0;owned\\u{7}The agent connected.
"
        );
    }
}
