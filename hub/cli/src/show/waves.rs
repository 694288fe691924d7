//! Where does each revision stand, what does it wait for, and what was decided?

use jiff::Timestamp;

use crate::{
    model::short,
    text::{Page, Screen, Style, Table, Text, ago},
    waves::{Decision, Stage, State, Waves},
};

/// The page of `muster waves`: one line a track, one column a wave, and below what does not go by itself.
pub(crate) fn waves(waves: &Waves, explain: bool, now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    page.line(&Text::plain(format!(
        "Head {}, read {}",
        short(&waves.head_revision),
        ago(waves.fetched_at, now)
    )));
    for problem in &waves.problems {
        page.line(&Text::styled(Style::Bad, problem));
    }
    if waves.waves.is_empty() {
        page.line(&Text::plain("The fleet has no waves: every cluster follows the head of the branch."));
        return page;
    }
    page.gap();
    let head = waves.waves.iter().map(|wave| wave.to_uppercase());
    let mut table = Table::new(std::iter::once("TRACK".to_owned()).chain(head));
    for track in &waves.tracks {
        let cells = track.stages.iter().map(cell);
        table.row(std::iter::once(Text::plain(&track.track)).chain(cells));
    }
    page.table(&table, screen);
    let told: Vec<(&str, &Stage)> = waves
        .tracks
        .iter()
        .flat_map(|track| track.stages.iter().map(|stage| (track.track.as_str(), stage)))
        .filter(|(_, stage)| explain || !is_quiet(stage.state))
        .collect();
    if !told.is_empty() {
        page.gap();
        let mut table = Table::new(["TRACK", "WAVE", "STATE", "WANTS IN", "CLUSTERS", "WHY"]).cut_last();
        for (track, stage) in told {
            table.row([
                Text::plain(track),
                Text::plain(&stage.wave),
                state(stage.state),
                Text::plain(short(&stage.candidate_revision)),
                Text::plain(format!("{}/{} of {}", stage.well, stage.reached, stage.clusters)),
                Text::plain(&stage.detail),
            ]);
        }
        page.table(&table, screen);
    }
    if !waves.mismatches.is_empty() {
        page.gap();
        for mismatch in &waves.mismatches {
            page.line(&Text::styled(Style::Warn, format!("{}: {}", mismatch.cluster, mismatch.what)));
        }
    }
    page
}

/// States that need no words.
fn is_quiet(state: State) -> bool {
    matches!(state, State::Empty | State::Current | State::Waiting)
}

fn state(state: State) -> Text {
    let style = match state {
        State::Current => Style::Good,
        State::Halted | State::Unknown => Style::Bad,
        State::Empty | State::Waiting => Style::Dim,
        _ => Style::Warn,
    };
    Text::styled(style, state.word())
}

/// `1a2b3c4 Progressing 2/10`.
fn cell(stage: &Stage) -> Text {
    let share = if stage.reached < stage.clusters && !stage.revision.is_empty() {
        format!(" {}/{}", stage.reached, stage.clusters)
    } else {
        String::new()
    };
    Text::plain(short(&stage.revision))
        .and(Style::Plain, " ")
        .join(state(stage.state))
        .and(Style::Plain, share)
}

/// The page of `muster history`.
pub(crate) fn decisions(decisions: &[Decision], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if decisions.is_empty() {
        page.line(&Text::plain("Nothing was decided yet."));
        return page;
    }
    let narrow = ["AGE", "TRACK", "WAVE", "ACTION", "FROM", "TO", "CLUSTERS", "BY", "COMMIT"];
    let mut table = Table::new(narrow.into_iter().chain(["EVIDENCE"])).cut_last();
    for decision in decisions {
        let by = if decision.author.is_empty() { "the hub" } else { decision.author.as_str() };
        table.row([
            Text::plain(ago(decision.time, now)),
            Text::plain(&decision.track),
            Text::plain(&decision.wave),
            Text::plain(&decision.action),
            revision(&decision.from_revision),
            revision(&decision.to_revision),
            Text::plain(&decision.reached),
            Text::plain(by),
            Text::plain(short(&decision.commit)),
            Text::plain(decision.evidence.join("; ")),
        ]);
    }
    page.table(&table, screen);
    page
}

fn revision(text: &str) -> Text {
    if text == "none" { Text::plain("-") } else { Text::plain(short(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::waves::Track;

    fn stage(wave: &str, state: State, revision: &str, detail: &str) -> Stage {
        Stage {
            wave: wave.to_owned(),
            state,
            revision: revision.repeat(40),
            previous_revision: String::new(),
            candidate_revision: if state == State::AwaitingApproval { "b".repeat(40) } else { String::new() },
            detail: detail.to_owned(),
            clusters: 4,
            reached: if state == State::Progressing { 1 } else { 4 },
            well: if state == State::Progressing { 0 } else { 4 },
        }
    }

    #[test]
    fn a_picture_of_the_waves() {
        let web = vec![
            stage("dev", State::Current, "b", ""),
            stage("prod", State::AwaitingApproval, "a", "0 of 1 approvals for bbbbbbb."),
        ];
        let api = vec![
            stage("dev", State::Current, "b", ""),
            stage("prod", State::Progressing, "b", "0 of 1 clusters are Synced and Healthy."),
        ];
        let track = |name: &str, stages| Track { track: name.to_owned(), stages };
        let all = Waves {
            waves: vec!["dev".to_owned(), "prod".to_owned()],
            tracks: vec![track("api", api), track("web", web)],
            head_revision: "b".repeat(40),
            fetched_at: sample::before(5),
            problems: Vec::new(),
            mismatches: vec![crate::waves::Mismatch {
                cluster: "p9".into(),
                what: "in Git, not enrolled".into(),
            }],
        };
        assert!(all.well());
        assert_eq!(
            waves(&all, false, sample::now(), Screen::test(Some(110))).finish(false),
            "\
Head bbbbbbb, read 5s ago

TRACK  DEV              PROD
api    bbbbbbb Current  bbbbbbb Progressing 1/4
web    bbbbbbb Current  aaaaaaa AwaitingApproval

TRACK  WAVE  STATE             WANTS IN  CLUSTERS  WHY
api    prod  Progressing       -         0/1 of 4  0 of 1 clusters are Synced and Healthy.
web    prod  AwaitingApproval  bbbbbbb   4/4 of 4  0 of 1 approvals for bbbbbbb.

p9: in Git, not enrolled
"
        );
    }
}
