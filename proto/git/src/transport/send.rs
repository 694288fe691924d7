//! Sending one commit: a command, a pack, and what the server reports.

use std::io::{Read as _, Write as _};

use gix::error::ErrorExt as _;
use gix::hash::{Kind as HashKind, ObjectId};
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::ReadlineBufRead as _;
use gix::protocol::transport::client::{MessageKind, WriteMode};

use super::{GREETING_BYTES, Session, agent, caught};
use crate::GitError;
use crate::error::tidy;

/// Bytes of a server's words that are kept.
const WORDS_BYTES_MAX: usize = 2 * 1024;

/// What the server said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    /// Lines of the report proper.
    lines: Vec<String>,
    /// What hooks and the like said to the person who pushes.
    words: String,
}

impl Session {
    /// What a reference points to at the moment. Only for a session that writes, which was told them all.
    pub(crate) fn tip(&mut self, reference: &str) -> Result<Option<ObjectId>, GitError> {
        let found = self.references(&[reference.to_owned()])?;
        Ok(found.into_iter().next().map(|(_, listed)| listed.tip))
    }

    /// Asks the server to take `pack` and to move the reference from `old` to `new`; the inner error is why
    /// it did not.
    pub(crate) fn send(
        &mut self,
        reference: &str,
        old: Option<ObjectId>,
        new: ObjectId,
        pack: &[u8],
    ) -> Result<Result<(), String>, GitError> {
        self.budget.allow("bytes of a report", GREETING_BYTES);
        let report = caught(|| self.tell(reference, old, new, pack));
        let report = report.map_err(|error| self.context().explain(&error))?;
        Ok(judge(&report, reference))
    }

    fn tell(
        &mut self,
        reference: &str,
        old: Option<ObjectId>,
        new: ObjectId,
        pack: &[u8],
    ) -> gix::error::Result<Report> {
        let capabilities = &self.handshake.capabilities;
        if !capabilities.contains("report-status") {
            return Err(gix::error::unsupported("the server does not report what became of a push").into());
        }
        let has_bands = capabilities.contains("side-band-64k");
        let bands = if has_bands { " side-band-64k" } else { "" };
        let (_, name) = agent();
        let old = old.unwrap_or_else(|| HashKind::Sha1.null());
        let command =
            format!("{old} {new} {reference}\0 report-status{bands} agent={}", name.unwrap_or_default());
        let request = self.transport.request(WriteMode::Binary, MessageKind::Flush, false)?;
        let (mut writer, mut reader) = request.into_parts();
        let length = format!("{:04x}", command.len() + 4);
        let said = [length.as_bytes(), command.as_bytes(), b"0000", pack];
        said.iter()
            .try_for_each(|part| writer.write_all(part))
            .and_then(|()| writer.flush())
            .map_err(erased)?;
        drop(writer);
        reader.reset(Protocol::V1);
        let mut report = Report::default();
        let mut inner = Vec::new();
        while let Some(line) = reader.readline() {
            let line = line.map_err(erased)??;
            let Some(line) = line.as_slice() else { break };
            match (has_bands, line.split_first()) {
                (true, Some((1, data))) => inner.extend_from_slice(data),
                (true, Some((_, words))) => {
                    let room = WORDS_BYTES_MAX.saturating_sub(report.words.len());
                    report.words.push_str(&String::from_utf8_lossy(&words[..words.len().min(room)]));
                }
                (false, Some(_)) => report.lines.push(tidy(&String::from_utf8_lossy(line))),
                (_, None) => {}
            }
        }
        if has_bands {
            report.lines = lines(&inner);
        }
        Ok(report)
    }
}

fn erased(error: std::io::Error) -> gix::error::Error {
    error.raise()
}

/// The packet lines in `bytes`, up to the first flush or whatever makes no sense.
fn lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut length = [0; 4];
    while bytes.read_exact(&mut length).is_ok() {
        let length = std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(length) = length.and_then(|length| length.checked_sub(4)) else { break };
        let Some((line, rest)) = bytes.split_at_checked(length) else { break };
        lines.push(tidy(&String::from_utf8_lossy(line)));
        bytes = rest;
    }
    lines
}

/// Whether the reference was moved; why not, else.
fn judge(report: &Report, reference: &str) -> Result<(), String> {
    let said = |reason: &str| {
        let words = tidy(&report.words);
        if words.is_empty() { reason.to_owned() } else { format!("{reason}; the server says: {words}") }
    };
    let after = |word: &str| report.lines.iter().find_map(|line| line.strip_prefix(word));
    match after("unpack ") {
        Some("ok") => {}
        Some(reason) => return Err(said(&format!("the objects were not taken: {reason}"))),
        None => return Err(said("the server did not say what became of it")),
    }
    if report.lines.iter().any(|line| line.strip_prefix("ok ") == Some(reference)) {
        return Ok(());
    }
    let reason = after(&format!("ng {reference} ")).unwrap_or("the server did not say why");
    Err(said(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str], words: &str) -> Report {
        Report { lines: lines.iter().map(|line| (*line).to_owned()).collect(), words: words.to_owned() }
    }

    #[test]
    fn only_a_plain_yes_counts() {
        let judge = |lines: &[&str]| judge(&report(lines, ""), "refs/heads/muster");
        assert_eq!(judge(&["unpack ok", "ok refs/heads/muster"]), Ok(()));
        for (lines, reason) in [
            (
                &["unpack ok", "ng refs/heads/muster pre-receive hook declined"][..],
                "pre-receive hook declined",
            ),
            (&["unpack ok", "ok refs/heads/other"], "the server did not say why"),
            (
                &["unpack index-pack abnormal exit", "ng refs/heads/muster unpacker error"],
                "the objects were not taken: index-pack abnormal exit",
            ),
            (&["ok refs/heads/muster"], "the server did not say what became of it"),
            (&[], "the server did not say what became of it"),
        ] {
            assert_eq!(judge(lines), Err(reason.to_owned()));
        }
    }

    #[test]
    fn what_a_hook_says_is_part_of_the_reason() {
        let report = report(&["unpack ok", "ng refs/heads/m hook declined"], "no\n\x1b[31mway\n");
        assert_eq!(
            judge(&report, "refs/heads/m"),
            Err("hook declined; the server says: no [31mway".to_owned())
        );
    }

    #[test]
    fn lines_end_where_they_make_no_sense() {
        assert_eq!(lines(b"000eunpack ok\n0007ab\n0000"), ["unpack ok", "ab"]);
        assert_eq!(lines(b"000eunpack ok\n00ffab"), ["unpack ok"]);
        assert_eq!(lines(b"zzzz"), [""; 0]);
        assert_eq!(lines(b"0001"), [""; 0]);
    }
}
