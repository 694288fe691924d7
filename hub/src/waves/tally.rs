//! How do the clusters of a wave fare with a revision?

use jiff::Timestamp;
use muster_spec::{ClusterName, Duration, Revision, Wave};

use super::facts::{Facts, Member, Standing, Track};

/// Clusters that are not well are named in evidence and reasons up to this number.
const NAMED_MAX: usize = 5;

/// The clusters of a wave, or of the batches that have the revision, by how they fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub total: usize,
    /// Synced and Healthy with what the revision gives them.
    pub well: usize,
    /// The last of those became so then.
    pub well_since: Option<Timestamp>,
    /// Neither well nor failed, and why.
    pub waiting: Vec<(ClusterName, String)>,
    /// Failed, and why.
    pub bad: Vec<(ClusterName, String)>,
    /// So many may be other than well.
    pub unwell_max: usize,
}

enum Fares {
    Well(Timestamp),
    Waits(String),
    Bad(String),
}

impl Tally {
    /// Counts `members` with `revision`, in the wave of that number.
    pub(super) fn of<'m>(
        track: &Track<'_>,
        facts: &dyn Facts,
        number: usize,
        revision: &Revision,
        members: impl Iterator<Item = &'m Member>,
    ) -> Tally {
        let mut tally = Tally::default();
        for member in members {
            tally.total += 1;
            match fares(track, facts, number, revision, member) {
                Fares::Well(since) => {
                    tally.well += 1;
                    tally.well_since = tally.well_since.max(Some(since));
                }
                Fares::Waits(why) => tally.waiting.push((member.cluster.clone(), why)),
                Fares::Bad(why) => tally.bad.push((member.cluster.clone(), why)),
            }
        }
        let wave: Option<&Wave> = track.places.get(number).map(|place| place.wave);
        let all = track.places.get(number).map_or(0, |place| place.members.len());
        tally.unwell_max = wave.and_then(|wave| wave.max_unhealthy).map_or(0, |amount| amount.of(all));
        tally
    }

    /// Whether what is well suffices: all but those that may be unwell, and at least one of any.
    #[must_use]
    pub fn suffices(&self) -> bool {
        self.total == 0 || (self.well > 0 && self.total - self.well <= self.unwell_max)
    }

    /// Whether more have failed than may.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.bad.len() > self.unwell_max
    }

    /// How long what is well has been so at `now`; a time that lies ahead counts for nothing.
    pub(super) fn well_for(&self, now: Timestamp, not_before: Option<Timestamp>) -> Duration {
        let since = self.well_since.max(not_before).unwrap_or(now);
        let seconds = now.as_second().saturating_sub(since.as_second());
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// `3 of 4 clusters are Synced and Healthy`, and why the others are not.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!("{} of {} clusters are Synced and Healthy", self.well, self.total);
        let unwell: Vec<String> = self
            .bad
            .iter()
            .chain(&self.waiting)
            .take(NAMED_MAX)
            .map(|(cluster, why)| format!("{cluster}: {}", why.trim_end_matches('.')))
            .collect();
        if !unwell.is_empty() {
            text.push_str(&format!(" ({})", unwell.join("; ")));
        }
        text
    }
}

fn fares(track: &Track<'_>, facts: &dyn Facts, number: usize, revision: &Revision, member: &Member) -> Fares {
    if let Some(why) = &member.silent {
        return Fares::Waits(why.clone());
    }
    let wanted = facts.apps(&member.cluster, revision);
    let mut since = Timestamp::MIN;
    let mut waits = None;
    for app in &wanted {
        match member.apps.get(app) {
            None => waits = Some(format!("{app} is not reported yet")),
            Some((runs, standing)) if track.is_same(facts, number, runs, revision) => match standing {
                Standing::Well(at) => since = since.max(*at),
                Standing::OnTheWay(why) => waits = Some(format!("{app}: {why}")),
                Standing::Bad(why) => return Fares::Bad(format!("{app}: {why}")),
            },
            Some((runs, _)) => waits = Some(format!("{app} is still at {}", short(runs))),
        }
    }
    // What the revision does not have any more must be gone.
    if let Some(app) = member.apps.keys().find(|app| !wanted.contains(app)) {
        waits = Some(format!("{app} is not gone yet"));
    }
    waits.map_or(Fares::Well(since), Fares::Waits)
}

/// A revision for people to read.
pub(super) fn short(revision: &Revision) -> &str {
    &revision.as_str()[..7]
}
