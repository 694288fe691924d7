//! The table of clusters.

use std::time::Duration;

use jiff::Timestamp;

use super::{connection, or_dash, seen};
use crate::{
    fleet::placed,
    model::{Cluster, Connection, short},
    text::{Page, Screen, Style, Table, Text, ago, count, until},
};

/// Milliseconds by which a clock may be off without a word.
const SKEW_TOLD: i64 = 30_000;

/// The page of `muster clusters`.
pub(crate) fn clusters(clusters: &[Cluster], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if clusters.is_empty() {
        page.line(&Text::plain("No clusters. To enrol one: muster token create CLUSTER"));
        return page;
    }
    let narrow = ["CLUSTER", "CONNECTION", "SEEN", "SYNCED", "HEALTHY", "HEAD"];
    let wide = ["FETCHED", "LABELS", "KUBERNETES", "AGENT", "LEADER", "CERTIFICATE", "CLOCK", "REPOSITORY"];
    let wide = wide.into_iter().filter(|_| screen.wide);
    let mut table = Table::new(narrow.into_iter().chain(wide).chain(["MESSAGE"])).cut_last();
    for cluster in clusters {
        let mut cells = vec![
            Text::plain(&cluster.name),
            connection(cluster.connection),
            seen(&ago(cluster.last_seen, now), cluster.connection),
            share(cluster, cluster.apps.synced),
            share(cluster, cluster.apps.healthy + cluster.apps.suspended),
            Text::plain(short(&cluster.head_revision)),
        ];
        if screen.wide {
            let labels: Vec<String> =
                cluster.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            cells.extend([
                Text::plain(ago(cluster.fetched_at, now)),
                or_dash(&labels.join(",")),
                or_dash(&cluster.kubernetes_version),
                or_dash(&cluster.agent_version),
                or_dash(&cluster.leader),
                Text::plain(until(cluster.certificate_expires_at, now)),
                Text::plain(clock(cluster)),
                or_dash(&cluster.repository),
            ]);
        }
        cells.push(Text::plain(message(cluster, now)));
        table.row(cells);
    }
    page.table(&table, screen);
    page
}

/// How far the clock of its agent is off, as far as that can be told from the way a message takes.
fn clock(cluster: &Cluster) -> String {
    let Some(skew) = cluster.clock_skew_milliseconds else { return "-".to_owned() };
    let off = humantime::format_duration(Duration::from_secs(skew.unsigned_abs() / 1_000));
    match skew {
        ..=-1_000 => format!("{off} behind"),
        1_000.. => format!("{off} ahead"),
        _ => "right".to_owned(),
    }
}

/// `2/3`, and whether that is all of them.
fn share(cluster: &Cluster, part: usize) -> Text {
    if cluster.connection == Connection::NeverConnected {
        return Text::plain("-");
    }
    let all = part == cluster.apps.total && cluster.connection == Connection::Connected;
    Text::styled(if all { Style::Good } else { Style::Bad }, format!("{part}/{}", cluster.apps.total))
}

fn message(cluster: &Cluster, now: Timestamp) -> String {
    if cluster.revoked_at.is_some() {
        return format!(
            "revoked {}; to let it in again: muster token create {}",
            ago(cluster.revoked_at, now),
            cluster.name
        );
    }
    match (cluster.connection, cluster.errors.as_slice()) {
        (Connection::NeverConnected, _) => format!("enrolled {}", ago(cluster.enrolled_at, now)),
        (Connection::Unreachable, _) => "how its apps fare is not known".to_owned(),
        (Connection::Connected, []) => match cluster.clock_skew_milliseconds {
            Some(skew) if skew.abs() >= SKEW_TOLD => format!("its clock is {}", clock(cluster)),
            _ => String::new(),
        },
        (Connection::Connected, [only]) => placed(&only.place, &only.message),
        (Connection::Connected, [first, more @ ..]) => {
            format!("{} (and {})", placed(&first.place, &first.message), count(more.len(), "other error"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn each_cluster_shows_how_old_its_data_is() {
        let (mut some, _) = sample::troubled();
        some.push(Cluster {
            connection: Connection::NeverConnected,
            last_seen: None,
            head_revision: String::new(),
            ..sample::cluster("test")
        });
        assert_eq!(
            clusters(&some, sample::now(), Screen::test(Some(100))).finish(false),
            "\
CLUSTER  CONNECTION      SEEN     SYNCED  HEALTHY  HEAD     MESSAGE
dev      Connected       2s ago   1/2     1/2      1a2b3c4
prod     Unreachable     12m ago  0/2     0/2      1a2b3c4  how its apps fare is not known
staging  Connected       2s ago   2/2     1/2      1a2b3c4  git.example.com does not answer: connec…
test     NeverConnected  never    -       -        -        enrolled 1d ago
"
        );
    }

    #[test]
    fn wide_shows_all_there_is() {
        let screen = Screen { wide: true, ..Screen::test(Some(80)) };
        assert_eq!(
            clusters(
                &[Cluster { clock_skew_milliseconds: Some(-120_500), ..sample::cluster("dev") }],
                sample::now(),
                screen
            )
            .finish(false),
            "\
CLUSTER  CONNECTION  SEEN    SYNCED  HEALTHY  HEAD     FETCHED  LABELS   KUBERNETES  AGENT  LEADER  \
CERTIFICATE  CLOCK      REPOSITORY                         MESSAGE
dev      Connected   2s ago  2/2     2/2      1a2b3c4  5s ago   env=dev  v1.36.3     0.1.0  node-1  \
in 20h       2m behind  https://git.example.com/fleet.git  its clock is 2m behind
"
        );
    }

    #[test]
    fn an_empty_fleet_says_what_to_do() {
        assert_eq!(
            clusters(&[], sample::now(), Screen::test(None)).finish(false),
            "No clusters. To enrol one: muster token create CLUSTER\n"
        );
    }
}
