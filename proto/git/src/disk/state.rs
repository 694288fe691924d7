//! What does the mirror know? One small text file, replaced as a whole, with a
//! checksum over it: references, whole revisions, revisions to keep.

use std::collections::{BTreeMap, BTreeSet};

use gix::hash::ObjectId;

/// First line of the file; another first line is another format.
const TITLE: &str = "muster mirror state 1";
/// Largest state file, in bytes.
pub(crate) const STATE_BYTES_MAX: u64 = 16 << 20;

/// A reference as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Its full name.
    pub(crate) full: String,
    /// What it points to: a commit or an annotated tag.
    pub(crate) tip: ObjectId,
    /// The commit that stands for.
    pub(crate) commit: ObjectId,
    /// The commit before, kept readable for those still working with it.
    pub(crate) previous: Option<ObjectId>,
    /// False once the server does not list it any more.
    pub(crate) present: bool,
}

/// Everything a mirror knows beside the objects themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The number of the generation that holds the objects.
    pub(crate) generation: u64,
    /// Where it was fetched from, without credentials.
    pub(crate) remote: String,
    /// By the name they were asked for.
    pub(crate) references: BTreeMap<String, Reference>,
    /// Commits whose trees are here as a whole.
    pub(crate) complete: BTreeSet<ObjectId>,
    /// Commits the caller still needs.
    pub(crate) kept: BTreeSet<ObjectId>,
}

impl State {
    /// Commits that must stay readable: current and previous heads, and kept ones.
    pub(crate) fn live(&self) -> BTreeSet<ObjectId> {
        let heads = self.references.values().flat_map(|r| std::iter::once(r.commit).chain(r.previous));
        heads.chain(self.kept.iter().copied()).collect()
    }

    /// Finds a reference by the name it was asked for, or by its full name.
    pub(crate) fn reference(&self, name: &str) -> Option<&Reference> {
        self.references.get(name).or_else(|| {
            let candidates = crate::names::candidates(name);
            candidates.iter().find_map(|full| self.references.values().find(|r| r.full == *full))
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{TITLE}\ngeneration {}\nremote {}\n", self.generation, self.remote);
        for (name, r) in &self.references {
            let state = if r.present { "present" } else { "gone" };
            let previous = r.previous.map_or_else(|| "-".to_owned(), |id| id.to_string());
            text.push_str(&format!(
                "reference {state} {} {} {previous} {} {name}\n",
                r.tip, r.commit, r.full
            ));
        }
        for (word, ids) in [("complete", &self.complete), ("keep", &self.kept)] {
            ids.iter().for_each(|id| text.push_str(&format!("{word} {id}\n")));
        }
        let sum = checksum(text.as_bytes());
        text.push_str(&format!("sum {sum}\n"));
        text.into_bytes()
    }

    /// `None` when the text is not exactly what `encode` wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<State> {
        let text = std::str::from_utf8(bytes).ok()?;
        let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
        let sum = text[end..].strip_prefix("sum ")?.strip_suffix('\n')?;
        if checksum(&bytes[..end]) != sum {
            return None;
        }
        let mut lines = text[..end].lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut state = State::default();
        for line in lines {
            state.take_line(line)?;
        }
        Some(state)
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "generation" => self.generation = rest.parse().ok()?,
            "remote" => self.remote = rest.to_owned(),
            "complete" => drop(self.complete.insert(id(rest)?)),
            "keep" => drop(self.kept.insert(id(rest)?)),
            "reference" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [presence, tip, commit, previous, full, name] = words.try_into().ok()?;
                let previous = if previous == "-" { None } else { Some(id(previous)?) };
                let reference = Reference {
                    full: full.to_owned(),
                    tip: id(tip)?,
                    commit: id(commit)?,
                    previous,
                    present: presence == "present",
                };
                self.references.insert(name.to_owned(), reference);
            }
            _ => return None,
        }
        Some(())
    }

    /// The references in the form Git itself reads, for people who look into the mirror.
    pub(crate) fn packed_refs(&self) -> Vec<u8> {
        let mut by_name = BTreeMap::new();
        for reference in self.references.values().filter(|r| r.present && r.full.starts_with("refs/")) {
            by_name.insert(reference.full.as_str(), reference);
        }
        let mut text = String::from("# pack-refs with: peeled fully-peeled sorted \n");
        for (name, reference) in by_name {
            text.push_str(&format!("{} {name}\n", reference.tip));
            if reference.tip != reference.commit {
                text.push_str(&format!("^{}\n", reference.commit));
            }
        }
        text.into_bytes()
    }

    /// References from the file Git reads, for when our own is lost. Lines that make
    /// no sense are left out.
    pub(crate) fn from_packed_refs(bytes: &[u8]) -> BTreeMap<String, Reference> {
        let text = String::from_utf8_lossy(bytes);
        let mut found: BTreeMap<String, Reference> = BTreeMap::new();
        let mut last: Option<String> = None;
        for line in text.lines() {
            if let Some(peeled) = line.strip_prefix('^').and_then(id) {
                if let Some(reference) = last.as_ref().and_then(|name| found.get_mut(name)) {
                    reference.commit = peeled;
                }
            } else if let Some((tip, name)) =
                line.split_once(' ').and_then(|(tip, name)| Some((id(tip)?, name)))
                && crate::names::flaw(name).is_none()
            {
                let full = name.to_owned();
                found.insert(
                    full.clone(),
                    Reference { full, tip, commit: tip, previous: None, present: true },
                );
                last = Some(name.to_owned());
            }
        }
        found
    }
}

fn id(text: &str) -> Option<ObjectId> {
    text.parse::<crate::Revision>().ok().map(|revision| revision.id())
}

/// SHA-1 in hexadecimal; against accidents, not against an enemy with access to the disk.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    // A hash that reports a collision attack is no checksum either: it then never matches.
    hasher.try_finalize().map_or_else(|_| String::new(), |sum| sum.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let one = id("1111111111111111111111111111111111111111").unwrap();
        let two = id("2222222222222222222222222222222222222222").unwrap();
        let mut state = State { generation: 3, remote: "https://git.example/r".into(), ..State::default() };
        let main = Reference {
            full: "refs/heads/main".into(),
            tip: one,
            commit: one,
            previous: Some(two),
            present: true,
        };
        let tag =
            Reference { full: "refs/tags/v1".into(), tip: two, commit: one, previous: None, present: true };
        let gone = Reference {
            full: "refs/heads/old".into(),
            tip: two,
            commit: two,
            previous: None,
            present: false,
        };
        state.references = [("main".into(), main), ("v1".into(), tag), ("old".into(), gone)].into();
        state.complete = [one, two].into();
        state.kept = [two].into();
        state
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(State::decode(&sample().encode()), Some(sample()));
        assert_eq!(State::decode(&State::default().encode()), Some(State::default()));
    }

    #[test]
    fn any_changed_byte_and_any_shorter_text_is_noticed() {
        let good = sample().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(State::decode(&bad), None, "byte {at}");
            assert_eq!(State::decode(&good[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn references_survive_in_the_form_of_git() {
        let found = State::from_packed_refs(&sample().packed_refs());
        assert_eq!(found.len(), 2);
        assert_eq!(found["refs/heads/main"].commit, sample().references["main"].commit);
        assert_eq!(found["refs/tags/v1"].tip, sample().references["v1"].tip);
        assert_eq!(found["refs/tags/v1"].commit, sample().references["v1"].commit);
        assert!(State::from_packed_refs(b"\xff\x00garbage\nxyz refs/heads/a\n").is_empty());
    }

    #[test]
    fn short_names_find_full_ones() {
        let mut state = sample();
        state.references = State::from_packed_refs(&state.packed_refs());
        assert!(state.reference("main").is_some() && state.reference("v1").is_some());
        assert!(state.reference("mai").is_none());
    }
}
