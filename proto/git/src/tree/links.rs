//! Where does a path lead when links on the way are followed? Never outside of the
//! repository: a link that tries is refused.

use std::collections::VecDeque;

use gix::hash::ObjectId;

use super::{Stop, Walk};
use crate::objects::Fault;

/// Links in a row before it is called a loop; Linux has the same limit.
const CHAIN_MAX: usize = 40;
/// Longest text of a link, in bytes.
const LINK_BYTES_MAX: u64 = 4096;

/// What is at the end of a path.
pub(super) enum Found {
    File(ObjectId),
    /// With its real path: the names from the root, no links among them.
    Directory {
        id: ObjectId,
        real: Vec<Vec<u8>>,
    },
}

/// Where a path leads.
pub(super) enum Target {
    Found(Found),
    Missing,
    Submodule,
    Refused(&'static str),
}

impl Walk<'_> {
    /// Follows `path` from the directory whose real path is `from`.
    pub(super) fn resolve(&mut self, from: &[Vec<u8>], path: &[u8]) -> Result<Target, Stop> {
        let mut pending: VecDeque<Vec<u8>> = from.iter().cloned().chain(parts(path)).collect();
        let mut at: Vec<(Vec<u8>, ObjectId)> = Vec::new();
        let mut chain = 0;
        while let Some(part) = pending.pop_front() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." if at.pop().is_none() => {
                    return Ok(Target::Refused("it leads outside of the repository"));
                }
                b".." => continue,
                _ => {}
            }
            let tree = at.last().map_or(self.root, |(_, id)| *id);
            let entries = self.reader.tree(tree)?;
            let Some(entry) = entries.into_iter().find(|entry| entry.name == part) else {
                return Ok(Target::Missing);
            };
            if entry.mode.is_tree() {
                at.push((part, entry.id));
            } else if entry.mode.is_commit() {
                return Ok(Target::Submodule);
            } else if entry.mode.is_link() {
                chain += 1;
                self.links += 1;
                if chain > CHAIN_MAX {
                    return Ok(Target::Refused("it is a link that leads from link to link without end"));
                }
                if self.links > self.limits.links_max {
                    return Err(self.over(
                        &String::from_utf8_lossy(path),
                        "links",
                        self.limits.links_max as u64,
                    ));
                }
                let text = match self.reader.blob(entry.id, LINK_BYTES_MAX) {
                    Err(Fault::TooLarge(..)) => {
                        return Ok(Target::Refused("it is a link to a name that is too long"));
                    }
                    text => text?,
                };
                if text.starts_with(b"/") {
                    return Ok(Target::Refused(
                        "it is a link to an absolute path, which is outside of the repository",
                    ));
                }
                for part in parts(&text).rev() {
                    pending.push_front(part);
                }
            } else if pending.iter().all(|part| part.is_empty() || part == b".") {
                return Ok(Target::Found(Found::File(entry.id)));
            } else {
                return Ok(Target::Missing);
            }
        }
        let id = at.last().map_or(self.root, |(_, id)| *id);
        let real = at.into_iter().map(|(name, _)| name).collect();
        Ok(Target::Found(Found::Directory { id, real }))
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec)
}
