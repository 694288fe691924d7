//! The tables of alerts and silences.

use jiff::Timestamp;

use super::or_dash;
use crate::{
    alerts::{Alert, Silence, State},
    model::short,
    text::{Page, Screen, Style, Table, Text, ago, until},
};

/// The page of `muster alerts`.
pub(crate) fn alerts(alerts: &[Alert], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if alerts.is_empty() {
        page.line(&Text::styled(Style::Good, "Nothing is wrong."));
        return page;
    }
    let narrow = ["SEVERITY", "KIND", "WHERE", "SINCE", "STATE"];
    let wide = ["REVISION", "AUTHOR", "TOLD", "SILENCE", "MUTED BY"].into_iter().filter(|_| screen.wide);
    let mut table = Table::new(narrow.into_iter().chain(wide).chain(["CAUSE"])).cut_last();
    for alert in alerts {
        let mut cells = vec![
            severity(&alert.severity),
            Text::plain(&alert.kind),
            Text::plain(alert.place()),
            Text::plain(ago(alert.started_at, now)),
            state(alert),
        ];
        if screen.wide {
            let told: Vec<&str> = alert.told.iter().map(|told| told.receiver.as_str()).collect();
            cells.extend([
                Text::plain(short(&alert.revision)),
                or_dash(&alert.author),
                or_dash(&told.join(",")),
                or_dash(&alert.silence),
                or_dash(&alert.muted_by),
            ]);
        }
        cells.push(Text::plain(&alert.cause));
        table.row(cells);
    }
    page.table(&table, screen);
    page
}

fn severity(word: &str) -> Text {
    let style = match word {
        "critical" => Style::Bad,
        "warning" => Style::Warn,
        _ => Style::Plain,
    };
    Text::styled(style, word)
}

fn state(alert: &Alert) -> Text {
    match (alert.state, alert.silence.is_empty()) {
        (State::Firing, true) if !alert.muted_by.is_empty() => Text::styled(Style::Dim, "Muted"),
        (State::Firing, true) => Text::styled(Style::Bad, "Firing"),
        (State::Firing, false) => Text::styled(Style::Dim, "Silenced"),
        (State::Pending, _) => Text::styled(Style::Warn, "Pending"),
        (State::Resolved, _) => Text::styled(Style::Good, "Resolved"),
        (State::Unknown, _) => Text::plain("Unknown"),
    }
}

/// The page of `muster silence list`.
pub(crate) fn silences(silences: &[Silence], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if silences.is_empty() {
        page.line(&Text::plain(
            "No silences. To make one: muster silence add --app NAME --for 2h --reason TEXT",
        ));
        return page;
    }
    let mut table = Table::new(["ID", "ALERTS", "ENDS", "BY", "REASON"]).cut_last();
    for silence in silences {
        table.row([
            Text::plain(&silence.id),
            Text::plain(silence.meaning()),
            Text::plain(until(silence.ends_at, now)),
            Text::plain(&silence.author),
            Text::plain(&silence.reason),
        ]);
    }
    page.table(&table, screen);
    page
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::{alerts::Told, sample};

    fn alert(kind: &str, severity: &str, state: State) -> Alert {
        Alert {
            kind: kind.to_owned(),
            severity: severity.to_owned(),
            state,
            cluster: "prod".to_owned(),
            app: String::new(),
            wave: String::new(),
            track: String::new(),
            cause: "nothing was heard since 12:03".to_owned(),
            revision: String::new(),
            author: String::new(),
            started_at: Some(sample::now() - 12.minutes()),
            fired_at: None,
            resolved_at: None,
            told: Vec::new(),
            silence: String::new(),
            muted_by: String::new(),
        }
    }

    #[test]
    fn each_alert_says_where_since_when_and_why() {
        let told = Told { receiver: "ops".to_owned(), at: None, resolved: false };
        let all = [
            alert("Unreachable", "critical", State::Firing),
            Alert {
                app: "web".to_owned(),
                silence: "0123456789abcdef".to_owned(),
                revision: "1a2b3c4d5e6f".to_owned(),
                told: vec![told],
                ..alert("OutOfSync", "warning", State::Firing)
            },
            Alert {
                app: "api".to_owned(),
                author: "Ada".to_owned(),
                muted_by: "spec.alerts[0]".to_owned(),
                ..alert("OutOfSync", "warning", State::Firing)
            },
            Alert {
                cluster: String::new(),
                wave: "canary".to_owned(),
                track: "web".to_owned(),
                ..alert("ApprovalWaiting", "info", State::Pending)
            },
        ];
        assert_eq!(
            alerts(&all, sample::now(), Screen::test(Some(100))).finish(false),
            "\
SEVERITY  KIND             WHERE            SINCE    STATE     CAUSE
critical  Unreachable      prod             12m ago  Firing    nothing was heard since 12:03
warning   OutOfSync        prod/web         12m ago  Silenced  nothing was heard since 12:03
warning   OutOfSync        prod/api         12m ago  Muted     nothing was heard since 12:03
info      ApprovalWaiting  wave canary/web  12m ago  Pending   nothing was heard since 12:03
"
        );
        let wide = Screen { wide: true, ..Screen::test(Some(100)) };
        let page = alerts(&all[1..3], sample::now(), wide).finish(false);
        let cells: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[1][6..11], ["1a2b3c4", "-", "ops", "0123456789abcdef", "-"], "{page}");
        assert_eq!(cells[2][6..11], ["-", "Ada", "-", "-", "spec.alerts[0]"], "{page}");
        assert_eq!(alerts(&[], sample::now(), wide).finish(false), "Nothing is wrong.\n");
    }

    #[test]
    fn a_silence_says_what_it_means_and_when_it_ends() {
        let silence = Silence {
            id: "0123456789abcdef".to_owned(),
            kind: "Degraded".to_owned(),
            cluster: "prod-*".to_owned(),
            app: String::new(),
            wave: String::new(),
            reason: "maintenance".to_owned(),
            author: "operator/ada".to_owned(),
            created_at: Some(sample::now()),
            ends_at: Some(sample::now() + 2.hours()),
        };
        assert_eq!(
            silences(&[silence], sample::now(), Screen::test(None)).finish(false),
            "\
ID                ALERTS                        ENDS   BY            REASON
0123456789abcdef  kind=Degraded cluster=prod-*  in 2h  operator/ada  maintenance
"
        );
    }
}
