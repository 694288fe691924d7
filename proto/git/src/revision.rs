//! Which commit is meant? Always a whole id, never a name or an abbreviation.

use std::fmt;
use std::str::FromStr;

use gix::hash::ObjectId;

/// The id of a commit: exactly 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(ObjectId);

/// A text that is not a [`Revision`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a revision: expected 40 lower-case hexadecimal digits")]
pub struct RevisionError {
    /// The text that was refused, cut to 64 characters.
    pub text: String,
}

/// Number of digits `short` shows; enough for a person, never used to look anything up.
const SHORT_DIGITS: usize = 7;

impl Revision {
    /// The first seven digits, for people to read.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(SHORT_DIGITS);
        text
    }

    pub(crate) fn new(id: ObjectId) -> Revision {
        Revision(id)
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.0
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Revision, RevisionError> {
        let refused = || RevisionError { text: text.chars().take(64).collect() };
        let digits = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return Err(refused());
        }
        ObjectId::from_hex(text.as_bytes()).map(Revision).map_err(|_| refused())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_hex())
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.0.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_ids_are_revisions() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let revision: Revision = id.parse().unwrap();
        assert_eq!(revision.to_string(), id);
        assert_eq!(revision.short(), "0123456");
        for wrong in ["", "main", "0123456", &id.to_uppercase(), &format!("{id}0"), &format!(" {}", &id[1..])]
        {
            assert!(wrong.parse::<Revision>().is_err(), "{wrong:?}");
        }
    }
}
