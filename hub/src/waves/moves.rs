//! How does a decision read in Git?
//!
//! One commit holds all pins that change together. Its subject and body are for people; for each pin a line
//! `Muster-Move:` and lines of evidence follow as trailers, from which `git log` alone tells the whole story.

use muster_spec::{Document, Metadata, PinName, Revision, WavePin, WavePinSpec};

use super::tally::short;

/// Longest line of evidence in a commit message, in characters.
const EVIDENCE_CHARS_MAX: usize = 500;

/// A pin that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What is done.
    pub action: Action,
    /// The revision that was here.
    pub from: Option<Revision>,
    /// The pin as it is to be.
    pub pin: WavePinSpec,
    /// Clusters that are to have the revision.
    pub reached: usize,
    /// Clusters of the wave with apps of the track.
    pub clusters: usize,
    /// Who wants it; none when the hub does by itself.
    pub author: Option<String>,
}

/// What is done to a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A revision enters the wave.
    Promote,
    /// It comes to more clusters.
    Extend,
    /// An earlier one comes back.
    Rollback,
    /// The first wave follows the head of the branch again.
    Follow,
    /// Somebody approves of a revision.
    Approve,
    /// Somebody rejects one.
    Reject,
    /// Somebody says that one is urgent.
    Hotfix,
    /// Nothing moves by itself any more.
    Pause,
    /// It does again.
    Resume,
}

impl Action {
    /// The word in trailers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Action::Promote => "promote",
            Action::Extend => "extend",
            Action::Rollback => "rollback",
            Action::Follow => "follow",
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Hotfix => "hotfix",
            Action::Pause => "pause",
            Action::Resume => "resume",
        }
    }
}

impl Move {
    /// The file of the pin.
    #[must_use]
    pub fn path(&self) -> String {
        format!("waves/{}/{}.yaml", self.pin.wave, self.pin.track)
    }

    /// The pin as a document.
    ///
    /// # Errors
    /// The names of wave and track are too long together to be that of a pin.
    pub fn document(&self) -> Result<String, String> {
        let name = format!("{}.{}", self.pin.wave, self.pin.track);
        let name = PinName::try_from(name).map_err(|error| error.to_string())?;
        let pin = WavePin { metadata: Metadata { name }, spec: self.pin.clone() };
        Document::WavePin(pin).to_yaml().map_err(|error| error.to_string())
    }

    /// The revision it is about, in whatever way.
    fn subject(&self) -> Option<&Revision> {
        match self.action {
            Action::Approve | Action::Reject | Action::Hotfix => {
                self.pin.verdicts.last().map(|verdict| &verdict.revision)
            }
            Action::Follow => self.from.as_ref(),
            _ => self.pin.revision.as_ref(),
        }
    }

    /// One line, such as `Promote web to prod (2 of 10 clusters): 1a2b3c4`.
    fn line(&self) -> String {
        let (track, wave) = (&self.pin.track, &self.pin.wave);
        let share = if self.reached < self.clusters {
            format!(" ({} of {} clusters)", self.reached, self.clusters)
        } else {
            String::new()
        };
        let at = self.subject().map_or_else(|| "none", short);
        match self.action {
            Action::Promote => format!("Promote {track} to {wave}{share}: {at}"),
            Action::Extend => format!("Extend {track} in {wave}{share}: {at}"),
            Action::Rollback => format!("Roll {track} back in {wave}: {at}"),
            Action::Follow => format!("Let {track} in {wave} follow the branch: {at}"),
            Action::Approve => format!("Approve {track} for {wave}: {at}"),
            Action::Reject => format!("Reject {track} for {wave}: {at}"),
            Action::Hotfix => format!("Hurry {track}: {at}"),
            Action::Pause => format!("Pause {track} in {wave}"),
            Action::Resume => format!("Resume {track} in {wave}"),
        }
    }

    /// Whether clusters get another revision by it.
    fn moves_clusters(&self) -> bool {
        matches!(self.action, Action::Promote | Action::Extend | Action::Rollback | Action::Follow)
    }

    /// Why somebody wants it.
    fn reason(&self) -> Option<&str> {
        match self.action {
            Action::Approve | Action::Reject | Action::Hotfix => self.pin.verdicts.last()?.reason.as_deref(),
            Action::Pause => self.pin.hold.as_ref()?.reason.as_deref(),
            Action::Resume => None,
            _ => self.pin.reason.as_deref(),
        }
    }

    fn trailers(&self, lines: &mut Vec<String>) {
        let id =
            |revision: Option<&Revision>| revision.map_or_else(|| "none".to_owned(), ToString::to_string);
        let place = format!("{}/{}", self.pin.wave, self.pin.track);
        lines.push(format!(
            "Muster-Move: {place} {} {}..{} {}/{}",
            self.action.word(),
            id(self.from.as_ref()),
            id(self.subject()),
            self.reached,
            self.clusters
        ));
        // Else it is that of the revision which is there, and was told when that came.
        let evidence = if self.moves_clusters() { self.pin.evidence.as_slice() } else { &[] };
        for evidence in evidence {
            let detail: String = evidence.detail.chars().take(EVIDENCE_CHARS_MAX).collect();
            let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
            lines.push(format!("Muster-Evidence: {place} {}: {detail}", evidence.gate));
        }
        if let Some(author) = &self.author {
            lines.push(format!("Muster-Author: {place} {author}"));
        }
    }
}

/// The message of the commit that makes these moves.
#[must_use]
pub fn commit_message(moves: &[Move]) -> String {
    let subject = match moves {
        [one] => one.line(),
        many => {
            let tracks: std::collections::BTreeSet<_> = many.iter().map(|one| &one.pin.track).collect();
            match tracks.len() {
                1 => format!("Move {} in {} waves", many[0].pin.track, many.len()),
                count => format!("Move {count} tracks"),
            }
        }
    };
    let mut body: Vec<String> = Vec::new();
    if moves.len() > 1 {
        body.extend(moves.iter().map(|one| format!("- {}", one.line())));
    }
    let mut reasons: Vec<&str> = moves.iter().filter_map(Move::reason).collect();
    reasons.dedup();
    body.extend(reasons.into_iter().map(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" ")));
    let mut trailers = Vec::new();
    moves.iter().for_each(|one| one.trailers(&mut trailers));
    let body = body.join("\n");
    let gap = if body.is_empty() { "" } else { "\n\n" };
    format!("{subject}\n\n{body}{gap}{}\n", trailers.join("\n"))
}
