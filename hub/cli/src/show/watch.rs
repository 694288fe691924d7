//! One line for each change.

use jiff::Timestamp;

use super::{connection, events::kind, health, or_dash, revision, sync};
use crate::{
    model::{Connection, short},
    text::{Screen, Style, Text, ago, count, finish_line},
    watch::Change,
};

/// Room for sync and health side by side, or one longer word.
const STATE_WIDTH: usize = "OutOfSync  Progressing".len();

/// How wide the names were so far: lines are printed one at a time, so columns can only grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    cluster: usize,
    app: usize,
}

impl Default for Widths {
    fn default() -> Self {
        Self { cluster: 8, app: 8 }
    }
}

/// A message that would get less room than this on its line gets the next one.
const MESSAGE_WIDTH_MIN: usize = 36;

/// What `muster watch` prints for one change: a line, and on a narrow screen its message on another.
pub(crate) fn watched(
    change: &Change,
    widths: &mut Widths,
    now: Timestamp,
    screen: Screen,
    colour: bool,
) -> Vec<String> {
    let lines = lines(change, widths, now, screen);
    lines.iter().map(|line| finish_line(line, colour).trim_end().to_owned()).collect()
}

fn lines(change: &Change, widths: &mut Widths, now: Timestamp, screen: Screen) -> Vec<Text> {
    let (cluster, app, state, at, message) = match change {
        Change::Started { clusters, apps, wrong } => {
            let wrong = if *wrong == 0 { "all well".to_owned() } else { format!("{wrong} not well") };
            let line =
                format!("Watching {} and {}, {wrong}.", count(*clusters, "cluster"), count(*apps, "app"));
            return vec![stamp(now).and(Style::Dim, line)];
        }
        Change::Resumed => return vec![stamp(now).and(Style::Dim, "Connected again.")],
        Change::App(app) => {
            let state = pad(sync(app.sync), 11).join(health(app.health));
            (&app.cluster, &app.app, state, revision(app), super::apps::message(app))
        }
        Change::Removed { cluster, app } => {
            (cluster, app, Text::styled(Style::Warn, "Removed"), Text::plain("-"), String::new())
        }
        Change::Cluster(cluster) => {
            let heard = match cluster.connection {
                Connection::Connected => String::new(),
                Connection::Unreachable => format!("last heard from {}", ago(cluster.last_seen, now)),
                Connection::NeverConnected => "enrolled, not connected yet".to_owned(),
            };
            let state = connection(cluster.connection);
            (&cluster.name, &String::new(), state, Text::plain(short(&cluster.head_revision)), heard)
        }
        Change::Event(event) => {
            let at = Text::plain(short(&event.revision));
            (&event.cluster, &event.app, kind(event.kind), at, event.message.clone())
        }
    };
    let (cluster, app) = (or_dash(cluster), or_dash(app));
    widths.cluster = widths.cluster.max(cluster.width());
    widths.app = widths.app.max(app.width());
    let line = stamp(now)
        .join(pad(cluster, widths.cluster + 2))
        .join(pad(app, widths.app + 2))
        .join(pad(state, STATE_WIDTH + 2))
        .join(pad(at, 9));
    let message = Text::plain(message);
    match screen.width {
        Some(width) if !screen.wide && line.width() + message.width() > width => {
            if width < line.width() + MESSAGE_WIDTH_MIN {
                vec![line, Text::plain(" ".repeat(stamp(now).width())).join(message).cut(width)]
            } else {
                vec![line.join(message).cut(width)]
            }
        }
        _ => vec![line.join(message)],
    }
}

/// The time of day, UTC.
fn stamp(now: Timestamp) -> Text {
    Text::styled(Style::Dim, now.strftime("%H:%M:%SZ  ").to_string())
}

fn pad(text: Text, width: usize) -> Text {
    // Two columns apart even where a text is wider than its column.
    let missing = width.saturating_sub(text.width()).max(2);
    text.and(Style::Plain, " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Cluster, sample};

    #[test]
    fn lines_align_though_printed_one_by_one() {
        let (_, apps) = sample::troubled();
        let mut widths = Widths::default();
        let cluster = Cluster {
            connection: Connection::Unreachable,
            last_seen: sample::before(45),
            ..sample::cluster("prod")
        };
        let changes = [
            Change::Started { clusters: 3, apps: 6, wrong: 1 },
            Change::App(Box::new(apps[0].clone())),
            Change::App(Box::new(apps[3].clone())),
            Change::Cluster(Box::new(cluster)),
            Change::Removed { cluster: "dev".to_owned(), app: "web".to_owned() },
        ];
        let screen = Screen::test(Some(100));
        let lines: Vec<String> = changes
            .iter()
            .flat_map(|change| watched(change, &mut widths, sample::now(), screen, false))
            .collect();
        assert_eq!(
            lines.join("\n"),
            "\
20:27:10Z  Watching 3 clusters and 6 apps, 1 not well.
20:27:10Z  dev       api       OutOfSync  Healthy      1a2b3c4  Deployment default/api: .spec.repli…
20:27:10Z  dev       web       Synced     Progressing  1a2b3c4 -> 9f8e7d6  syncing
20:27:10Z  prod      -         Unreachable             1a2b3c4  last heard from 45s ago
20:27:10Z  dev       web       Removed                 -"
        );
    }
}
