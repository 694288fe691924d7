//! What was decided? Read from the trailers of the commits on the branch of pins, and from nothing else.

use jiff::Timestamp;
use muster_git::{GitError, Mirror};

/// Commits looked at for one question.
const COMMITS_MAX: usize = 10_000;

/// One change of one pin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) commit: String,
    pub(crate) time: Option<Timestamp>,
    pub(crate) wave: String,
    pub(crate) track: String,
    pub(crate) action: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) reached: String,
    pub(crate) author: String,
    pub(crate) evidence: Vec<String>,
}

/// The newest decisions, newest first.
pub(super) fn list(
    mirror: &mut Mirror,
    branch: &str,
    is_asked: &dyn Fn(&Decided) -> bool,
    count: usize,
) -> Result<Vec<Decided>, GitError> {
    let commits = match mirror.log(branch, COMMITS_MAX) {
        Err(GitError::ReferenceMissing { .. }) => return Ok(Vec::new()),
        commits => commits?,
    };
    let mut found = Vec::new();
    for commit in commits {
        if found.len() >= count {
            break;
        }
        let message = mirror.message(&commit)?;
        let time = Timestamp::from_second(mirror.commit(&commit)?.time).ok();
        let of_commit = read(&message).into_iter().filter(is_asked);
        found.extend(of_commit.map(|decided| Decided { commit: commit.to_string(), time, ..decided }));
    }
    found.truncate(count);
    Ok(found)
}

/// The decisions that a commit message tells of. Lines that are none are passed over.
pub(super) fn read(message: &str) -> Vec<Decided> {
    let mut all: Vec<Decided> = Vec::new();
    for line in message.lines() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        let Some((place, rest)) = value.split_once(' ') else { continue };
        let Some((wave, track)) = place.split_once('/') else { continue };
        match key {
            "Muster-Move" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [action, range, reached] = words[..] else { continue };
                let Some((from, to)) = range.split_once("..") else { continue };
                all.push(Decided {
                    wave: wave.to_owned(),
                    track: track.to_owned(),
                    action: action.to_owned(),
                    from: from.to_owned(),
                    to: to.to_owned(),
                    reached: reached.to_owned(),
                    ..Decided::default()
                });
            }
            "Muster-Evidence" | "Muster-Author" => {
                let Some(last) = all.last_mut().filter(|last| last.wave == wave && last.track == track)
                else {
                    continue;
                };
                if key == "Muster-Author" {
                    rest.clone_into(&mut last.author);
                } else {
                    last.evidence.push(rest.to_owned());
                }
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_read_and_all_else_is_passed_over() {
        let message = "Move 2 tracks\n\nMuster-Move: nonsense\nhello: a/b c\n\nMuster-Move: prod/web promote none..abc 1/3\n\
                       Muster-Evidence: prod/web soak: 10m of 10m\nMuster-Evidence: other/web x: y\n\
                       Muster-Author: prod/web alice\nMuster-Move: dev/api pause abc..abc 2/2\n";
        let found = read(message);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].from.as_str(), found[0].to.as_str(), found[0].reached.as_str()),
            ("none", "abc", "1/3")
        );
        assert_eq!(
            (found[0].author.as_str(), &found[0].evidence),
            ("alice", &vec!["soak: 10m of 10m".to_owned()])
        );
        assert_eq!((found[1].wave.as_str(), found[1].action.as_str()), ("dev", "pause"));
    }
}
