//! What is known of one track when it is decided about?

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use muster_spec::{AppName, ClusterName, Judgement, Revision, TrackName, Verdict, Wave, WavePinSpec};

use super::gates::GateAnswers;
use super::taken_back::TakenBack;

/// Stands for what a revision gives the clusters of a wave: equal where nothing differs.
pub type Content = String;

/// What Git says about the revisions of one track.
pub trait Facts {
    /// Where a commit is on the branch: a newer one has a higher number. `None` when it is not on it.
    fn position(&self, revision: &Revision) -> Option<usize>;

    /// What the track is at a revision in the wave of that number; `None` when that cannot be told, and
    /// then it differs from everything.
    fn content(&self, wave: usize, revision: &Revision) -> Option<Content>;

    /// Who made a commit; `None` when that is not known.
    fn author(&self, revision: &Revision) -> Option<Author>;

    /// The apps of the track that a cluster has at a revision.
    fn apps(&self, cluster: &ClusterName, revision: &Revision) -> Vec<AppName>;
}

/// Who made a commit, as Git says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The address of mail.
    pub email: String,
}

impl Author {
    /// Whether a user of the hub is who made the commit, as far as names tell: the user's name, without the issuer
    /// before a colon, is the author's name, address, or what is before the address's `@`. Case does not count.
    #[must_use]
    pub fn is(&self, user: &str) -> bool {
        let user = user.rsplit_once(':').map_or(user, |(_, user)| user).to_lowercase();
        let email = self.email.to_lowercase();
        let (local, _) = email.split_once('@').unwrap_or((&email, ""));
        [self.name.to_lowercase().as_str(), &email, local].contains(&user.as_str())
    }
}

/// One track in all waves.
#[derive(Clone, Debug)]
pub struct Track<'a> {
    /// Its name.
    pub name: TrackName,
    /// The head of the branch.
    pub head: Revision,
    /// One for each wave, first to last.
    pub places: Vec<Place<'a>>,
}

/// One track in one wave.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The rules of the wave.
    pub wave: &'a Wave,
    /// Its pin; one without a revision when there is none.
    pub pin: WavePinSpec,
    /// The wave's clusters that have apps of the track, in the order in which they get a revision.
    pub members: Vec<Member>,
    /// Why nothing may move now, by the windows of fleet and apps.
    pub frozen: Option<String>,
    /// What somebody took back here by a commit of their own, and what nothing says of yet.
    pub taken_back: Option<TakenBack>,
    /// What the gates of the wave said, about this track and perhaps others.
    pub answers: Arc<GateAnswers>,
}

/// What one cluster says of the track's apps.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub cluster: ClusterName,
    /// Why nothing it said counts: it is not heard, has not enrolled, or the like.
    pub silent: Option<String>,
    /// Each app it has: the revision it runs, and how that fares.
    pub apps: BTreeMap<AppName, (Revision, Standing)>,
}

/// How an app fares at the revision it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Synced and Healthy, since then.
    Well(Timestamp),
    /// On its way there; why.
    OnTheWay(String),
    /// It failed; why.
    Bad(String),
}

impl Track<'_> {
    /// True when two revisions give the wave the same.
    pub(super) fn is_same(&self, facts: &dyn Facts, wave: usize, one: &Revision, other: &Revision) -> bool {
        if one == other {
            return true;
        }
        let content = facts.content(wave, one);
        content.is_some() && content == facts.content(wave, other)
    }

    /// What people said in a wave about a revision, or one that gives it the same: the last word of each.
    pub(super) fn verdicts(&self, facts: &dyn Facts, wave: usize, revision: &Revision) -> Vec<&Verdict> {
        let said = self.places.get(wave).map(|place| place.pin.verdicts.as_slice()).unwrap_or_default();
        let mut last: Vec<&Verdict> = Vec::new();
        for verdict in said.iter().filter(|verdict| verdict.verdict != Judgement::Urgent) {
            if self.is_same(facts, wave, &verdict.revision, revision) {
                last.retain(|before| before.author != verdict.author);
                last.push(verdict);
            }
        }
        last
    }

    /// Who said that no wave need wait for a revision to soak.
    pub(super) fn urgent(&self, facts: &dyn Facts, wave: usize, revision: &Revision) -> Option<&Verdict> {
        let all = self.places.iter().flat_map(|place| &place.pin.verdicts);
        let mut urgent = all.filter(|verdict| verdict.verdict == Judgement::Urgent);
        urgent.find(|verdict| self.is_same(facts, wave, &verdict.revision, revision))
    }
}
