//! What went wrong, and what can the caller do about it?
//!
//! No text in here ever holds a credential: URLs are shown without user name and
//! password, and words that came from a server are scrubbed of the secrets in use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Revision;

/// Everything that can go wrong with a mirror. The first words of each variant's
/// documentation say what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// Fix the configuration: the URL cannot be used.
    #[error("the Git URL {url} cannot be used: {reason}")]
    Url {
        /// The URL without its credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Fix the configuration: a file of credentials or certificates cannot be used.
    #[error("the file {} cannot be used: {reason}", file.display())]
    Credentials {
        /// The file that was read.
        file: PathBuf,
        /// What is wrong with it, never its content.
        reason: String,
    },
    /// Fix the call: this is no name of a reference.
    #[error("`{reference}` is not the name of a Git reference: {reason}")]
    ReferenceName {
        /// The name as given, cut to 200 characters.
        reference: String,
        /// The rule it breaks.
        reason: String,
    },
    /// Try again later: the server cannot be reached, or says that it cannot serve now.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL without its credentials.
        url: String,
        /// What happened.
        reason: String,
    },
    /// Try again later: the server was too slow, or stopped sending.
    #[error("{url} {what} (limit {} s)", limit.as_secs_f32())]
    TimedOut {
        /// The URL without its credentials.
        url: String,
        /// Which time ran out, as the rest of a sentence.
        what: &'static str,
        /// The limit that was reached.
        limit: Duration,
    },
    /// Fix the trust: the server's certificate or host key was not accepted.
    #[error("{url} is not trusted: {reason}")]
    Untrusted {
        /// The URL without its credentials.
        url: String,
        /// What was refused, and which setting would accept it.
        reason: String,
    },
    /// Fix the credentials: the server did not accept them, or wants some.
    #[error("{url} refused access: {reason}")]
    Authentication {
        /// The URL without its credentials.
        url: String,
        /// What the server answered.
        reason: String,
    },
    /// Fix the URL or the permissions: there is no such repository for these credentials.
    #[error("there is no repository at {url} that these credentials may see")]
    NotFound {
        /// The URL without its credentials.
        url: String,
    },
    /// Configure the new URL if it is right: redirects to another host are not followed.
    #[error("{url} redirects to {to}, which is another host: configure that URL if it is the right one")]
    Redirected {
        /// The URL without its credentials.
        url: String,
        /// Where it points, without credentials.
        to: String,
    },
    /// Fix the server or the URL: what answers does not speak Git as we need it.
    #[error("{url} did not answer as a Git server should: {reason}")]
    Protocol {
        /// The URL without its credentials.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// Fetch it, or correct the name: the reference is not on the server (any more).
    #[error("the reference {reference} is not in {url}{}", last.map(|r| format!("; it last was at {r}")).unwrap_or_default())]
    ReferenceMissing {
        /// The URL without its credentials.
        url: String,
        /// The reference as asked for.
        reference: String,
        /// The revision it pointed to when it was last seen.
        last: Option<Revision>,
    },
    /// Let the branch be written, or write to another: the server does not take the commit.
    #[error("{url} does not let {reference} be changed: {reason}")]
    PushRefused {
        /// The URL without its credentials.
        url: String,
        /// The branch, by its full name.
        reference: String,
        /// What the server answered.
        reason: String,
    },
    /// Correct the path: no file can be committed there.
    #[error("`{path}` cannot be committed: {reason}")]
    Unwritable {
        /// The path that was asked for.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Fetch it: the revision is not in the mirror, or the server will not give it.
    #[error("revision {revision} is not available: {reason}")]
    RevisionUnavailable {
        /// The revision that was asked for.
        revision: Revision,
        /// Why, and what would help.
        reason: String,
    },
    /// Correct the path: there is nothing of that name at this revision.
    #[error("there is no `{path}` at revision {revision}")]
    PathMissing {
        /// The revision that was read.
        revision: Revision,
        /// The path that was asked for.
        path: String,
    },
    /// Correct the repository: an entry at this path is refused.
    #[error("`{path}` at revision {revision} is refused: {reason}")]
    PathRefused {
        /// The revision that was read.
        revision: Revision,
        /// The path of the entry.
        path: String,
        /// Why it is refused.
        reason: String,
    },
    /// Sign it, or allow the key: nobody signed the commit whose signature counts.
    #[error("commit {revision} is not signed by anybody who is allowed to: {reason}")]
    Unsigned {
        /// The commit.
        revision: Revision,
        /// What was found in place of it.
        reason: String,
    },
    /// Raise the limit, or make the repository smaller.
    #[error("{place}: more than {limit} {what}")]
    Limit {
        /// Where the limit was met: a URL or a path at a revision.
        place: String,
        /// What was counted, with its unit.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
    },
    /// Fetch: the mirror is damaged, and the next fetch rebuilds it from the server.
    #[error("the mirror in {} is damaged and will be rebuilt by the next fetch: {reason}", directory.display())]
    Corrupt {
        /// The directory of the mirror.
        directory: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Stop the other one: a mirror directory has one user at a time.
    #[error("the mirror in {} is in use by {holder}", directory.display())]
    Locked {
        /// The directory of the mirror.
        directory: PathBuf,
        /// Who holds it, as far as it is known.
        holder: String,
    },
    /// Look at the disk: the operating system refused an operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Storage {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

impl GitError {
    /// True when the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, GitError::Unreachable { .. } | GitError::TimedOut { .. } | GitError::Locked { .. })
    }

    /// A closure for `map_err` that adds what was tried and where.
    pub(crate) fn storage(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> GitError {
        let path = path.to_owned();
        move |source| GitError::Storage { action, path, source }
    }
}

/// All causes of an error in one line, outermost first, without repeating what a
/// level above has said already.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    tidy(&text)
}

/// Longest text from outside that is put into an error, in characters.
const FOREIGN_TEXT_MAX: usize = 600;

/// Makes foreign text fit one line: no control characters, bounded length.
pub(crate) fn tidy(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(FOREIGN_TEXT_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(tidy("a\r\n\x1b[31mb\t c"), "a [31mb c");
        assert!(tidy(&"x".repeat(5000)).len() < 700);
    }
}
