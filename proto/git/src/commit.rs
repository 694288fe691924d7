//! Who made a commit, when, and what did they say about it?

use gix::hash::ObjectId;

use crate::Revision;
use crate::error::tidy;
use crate::objects::{Fault, Reader};

/// What a commit says about itself. Names and subject come from whoever made the
/// commit: show them, never trust them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub revision: Revision,
    /// The name of the author.
    pub author_name: String,
    /// The e-mail address of the author.
    pub author_email: String,
    /// When it was committed, in seconds since 1970-01-01 UTC.
    pub time: i64,
    /// The first paragraph of its message, as one line of at most 600 characters.
    pub subject: String,
    /// The commits it builds on; they need not be in the mirror.
    pub parents: Vec<Revision>,
}

pub(crate) fn read(reader: &Reader, id: ObjectId) -> Result<Commit, Fault> {
    reader.commit(id, |commit| {
        let author = commit.author().ok();
        let text = |field: &[u8]| tidy(&String::from_utf8_lossy(field));
        Commit {
            revision: Revision::new(id),
            author_name: author.map(|a| text(a.name)).unwrap_or_default(),
            author_email: author.map(|a| text(a.email)).unwrap_or_default(),
            time: commit.committer().map(|c| c.seconds()).unwrap_or_default(),
            subject: text(&commit.message().summary()),
            parents: commit.parents().map(Revision::new).collect(),
        }
    })
}

/// Bytes of a message that are read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn message(reader: &Reader, id: ObjectId) -> Result<String, Fault> {
    reader.commit(id, |commit| {
        let message: &[u8] = commit.message.as_ref();
        String::from_utf8_lossy(&message[..message.len().min(MESSAGE_BYTES_MAX)]).into_owned()
    })
}
