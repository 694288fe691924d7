//! Is the audit log what the hub once wrote?
//!
//! Every entry holds the hash of the one before, so that changing, removing or reordering any of them
//! shows in all that follow. Whoever keeps the hash of one entry elsewhere, a checkpoint, also notices
//! when the log up to it is replaced as a whole or cut behind it.
//!
//! The hash of an entry is the SHA-256 of, in this order and without separators:
//! `muster-audit-1`; number (u64), seconds (i64) and nanoseconds (i32) of the time, count (u32), all big
//! endian; actor, source, action, target, result and detail, each as its length in bytes (u64, big
//! endian) and its UTF-8; the hash of the entry before (32 bytes).

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};

use crate::v1::AuditRow;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// What stands for the hash before the first entry.
pub const GENESIS: [u8; HASH_BYTES] = [0; HASH_BYTES];

/// The hash of an entry, from all its fields but `hash`.
#[must_use]
pub fn hash(row: &AuditRow) -> [u8; HASH_BYTES] {
    let mut context = Context::new(&SHA256);
    context.update(b"muster-audit-1");
    context.update(&row.number.to_be_bytes());
    let time = row.time.unwrap_or_default();
    context.update(&time.seconds.to_be_bytes());
    context.update(&time.nanos.to_be_bytes());
    context.update(&row.count.to_be_bytes());
    for text in [&row.actor, &row.source, &row.action, &row.target, &row.result, &row.detail] {
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    }
    context.update(&row.previous);
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Bits of an entry's number that count the entries of one log; those above say which log it is.
const SEQUENCE_BITS: u32 = 40;

/// Number of the first entry of a log. A hub that keeps its store alone has log 0, whose numbers are 1, 2, 3...;
/// hubs that share a store have one each, so that none waits for another to write its entry.
#[must_use]
pub fn first(log: u64) -> u64 {
    (log << SEQUENCE_BITS) + 1
}

/// Which log an entry is of.
#[must_use]
pub fn log(number: u64) -> u64 {
    number >> SEQUENCE_BITS
}

/// An entry's number as people read it: `17`, or `2.17` for the 17th of log 2.
#[must_use]
pub fn name(number: u64) -> String {
    let sequence = number & ((1 << SEQUENCE_BITS) - 1);
    match log(number) {
        0 => sequence.to_string(),
        log => format!("{log}.{sequence}"),
    }
}

/// The number that [`name`] gave this name.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let (log, sequence) = name.split_once('.').unwrap_or(("0", name));
    let (log, sequence) = (log.parse::<u64>().ok()?, sequence.parse::<u64>().ok()?);
    let fits = log <= u64::from(u8::MAX) + 1 && (1..1 << SEQUENCE_BITS).contains(&sequence);
    fits.then_some((log << SEQUENCE_BITS) | sequence)
}

/// What is wrong with a log. Entries are named by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The entry does not have the hash of its content.
    #[error("entry {} was changed: its content does not have the hash it was written with", name(*.0))]
    Changed(u64),
    /// Entries are not there.
    #[error("entries are missing or out of order: after entry {} comes entry {}", name(*.after), name(*.found))]
    Gap {
        /// The last good one.
        after: u64,
        /// What came in place of the next.
        found: u64,
    },
    /// The entry does not follow the one before it.
    #[error("entry {} does not follow the entry before it: one of the two was replaced", name(*.0))]
    Link(u64),
    /// The entry of the checkpoint is another one.
    #[error("entry {} is not the one of the checkpoint: the log was written anew", name(*.0))]
    Checkpoint(u64),
    /// The log ends before the checkpoint.
    #[error("the log ends before entry {} of the checkpoint: entries were removed from its end", name(*.0))]
    Short(u64),
}

/// What was checked of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Number of its oldest entry.
    pub first: u64,
    /// Number of its newest entry.
    pub last: u64,
    /// Hash of that one.
    pub hash: Vec<u8>,
}

/// Logs, checked entry by entry, each from its oldest on.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    logs: BTreeMap<u64, Span>,
    checkpoint: Option<(u64, Vec<u8>)>,
    checkpoint_seen: bool,
}

impl Chain {
    /// Begins a check; a log must then hold the entry of the checkpoint, its number and hash.
    #[must_use]
    pub fn new(checkpoint: Option<(u64, Vec<u8>)>) -> Self {
        Self { checkpoint, ..Self::default() }
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// When it is not what was written after the entry of its log before.
    pub fn follow(&mut self, row: &AuditRow) -> Result<(), Fault> {
        let log = log(row.number);
        match self.logs.get(&log) {
            Some(span) if row.number != span.last + 1 => {
                return Err(Fault::Gap { after: span.last, found: row.number });
            }
            Some(span) if span.hash != row.previous => return Err(Fault::Link(row.number)),
            None if row.number == first(log) && row.previous != GENESIS => {
                return Err(Fault::Link(row.number));
            }
            _ => {}
        }
        if row.previous.len() != HASH_BYTES || row.hash != hash(row) {
            return Err(Fault::Changed(row.number));
        }
        match &self.checkpoint {
            Some((number, hash)) if *number == row.number => {
                if *hash != row.hash {
                    return Err(Fault::Checkpoint(row.number));
                }
                self.checkpoint_seen = true;
            }
            // The entry right after the checkpoint names its hash, where the entry itself is gone by age.
            Some((number, hash)) if number + 1 == row.number && !self.checkpoint_seen => {
                if *hash != row.previous {
                    return Err(Fault::Checkpoint(*number));
                }
                self.checkpoint_seen = true;
            }
            _ => {}
        }
        let span = self.logs.entry(log).or_insert(Span { first: row.number, last: 0, hash: Vec::new() });
        (span.last, span.hash) = (row.number, row.hash.clone());
        Ok(())
    }

    /// Ends the check, and gives what was checked of each log.
    ///
    /// # Errors
    /// When the entry of the checkpoint did not come.
    pub fn end(self) -> Result<Vec<Span>, Fault> {
        match self.checkpoint {
            Some((number, _)) if !self.checkpoint_seen => match self.logs.get(&log(number)) {
                // All that is left is newer than the checkpoint and does not touch it.
                Some(span) if span.first > number => Err(Fault::Gap { after: number, found: span.first }),
                _ => Err(Fault::Short(number)),
            },
            _ => Ok(self.logs.into_values().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    fn log(length: u64) -> Vec<AuditRow> {
        rows(1..=length)
    }

    fn rows(numbers: RangeInclusive<u64>) -> Vec<AuditRow> {
        let mut previous = GENESIS.to_vec();
        numbers
            .map(|number| {
                let mut row = AuditRow {
                    number,
                    time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 5 }),
                    actor: "operator/admin".into(),
                    source: "192.0.2.1".into(),
                    action: "muster.v1.TokenService/CreateToken".into(),
                    target: format!("token/{number}"),
                    result: "ok".into(),
                    detail: String::new(),
                    count: 1,
                    previous: previous.clone(),
                    hash: Vec::new(),
                };
                row.hash = hash(&row).to_vec();
                previous.clone_from(&row.hash);
                row
            })
            .collect()
    }

    fn check(rows: &[AuditRow], checkpoint: Option<(u64, Vec<u8>)>) -> Result<Option<(u64, u64)>, Fault> {
        let mut chain = Chain::new(checkpoint);
        rows.iter().try_for_each(|row| chain.follow(row))?;
        Ok(chain.end()?.first().map(|span| (span.first, span.last)))
    }

    #[test]
    fn a_whole_log_is_good_and_so_is_one_whose_oldest_entries_are_gone_by_age() {
        let rows = log(5);
        assert_eq!(check(&[], None), Ok(None));
        assert_eq!(check(&rows, None), Ok(Some((1, 5))));
        assert_eq!(check(&rows[2..], None), Ok(Some((3, 5))));
        for checkpoint in &rows[1..] {
            let checkpoint = Some((checkpoint.number, checkpoint.hash.clone()));
            assert_eq!(check(&rows[2..], checkpoint), Ok(Some((3, 5))));
        }
    }

    #[test]
    fn every_changed_field_shows() {
        let changes: [fn(&mut AuditRow); 10] = [
            |row| row.time = None,
            |row| row.actor.push('x'),
            |row| row.source.clear(),
            |row| row.action.push('x'),
            |row| row.target.push('x'),
            |row| row.result = "denied".into(),
            |row| row.detail.push('x'),
            |row| row.count += 1,
            |row| row.hash[0] ^= 1,
            // What is moved from one field to its neighbour changes no byte but the lengths.
            |row| row.target.insert(0, row.action.pop().unwrap_or_default()),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut rows = log(5);
            change(&mut rows[2]);
            assert_eq!(check(&rows, None), Err(Fault::Changed(3)), "change {index}");
        }
        let mut rows = log(5);
        rows[2].previous[0] ^= 1;
        assert_eq!(check(&rows, None), Err(Fault::Link(3)));
    }

    #[test]
    fn removed_reordered_and_replaced_entries_show() {
        let rows = log(5);
        let without = |gone: usize| {
            let mut rows = rows.clone();
            rows.remove(gone);
            rows
        };
        assert_eq!(check(&without(2), None), Err(Fault::Gap { after: 2, found: 4 }));
        let mut swapped = rows.clone();
        swapped.swap(1, 2);
        assert_eq!(check(&swapped, None), Err(Fault::Gap { after: 1, found: 3 }));
        // Written anew by somebody who knows how: only what follows, or a checkpoint, tells.
        let mut forged = rows.clone();
        forged[2].actor = "operator/eve".into();
        forged[2].hash = hash(&forged[2]).to_vec();
        assert_eq!(check(&forged, None), Err(Fault::Link(4)));
        forged.truncate(3);
        assert_eq!(check(&forged, None), Ok(Some((1, 3))));
        let at = |index: usize| Some((rows[index].number, rows[index].hash.clone()));
        assert_eq!(check(&forged, at(2)), Err(Fault::Checkpoint(3)));
        assert_eq!(check(&rows[..3], at(4)), Err(Fault::Short(5)));
        assert_eq!(check(&[], at(0)), Err(Fault::Short(1)));
        assert_eq!(check(&rows[3..], at(1)), Err(Fault::Gap { after: 2, found: 4 }));
    }
    #[test]
    fn logs_of_several_hubs_are_checked_each_by_itself() {
        let (one, two) = (rows(first(1)..=first(1) + 3), rows(first(2)..=first(2) + 1));
        let mixed: Vec<AuditRow> =
            [&one[..2], &two[..1], &one[2..], &two[1..]].into_iter().flatten().cloned().collect();
        let mut chain = Chain::new(Some((two[0].number, two[0].hash.clone())));
        mixed.iter().try_for_each(|row| chain.follow(row)).unwrap();
        let spans = chain.end().unwrap();
        assert_eq!((spans[0].first, spans[0].last), (first(1), first(1) + 3));
        assert_eq!((spans[1].last, &spans[1].hash), (two[1].number, &two[1].hash));
        assert_eq!(check(&one, Some((two[0].number, vec![0; 32]))), Err(Fault::Short(two[0].number)));
        let fault = check(&[two[0].clone(), two[0].clone()], None).unwrap_err();
        assert!(fault.to_string().contains("after entry 2.1 comes entry 2.1"), "{fault}");
    }

    #[test]
    fn names_of_numbers_read_back() {
        for (entry, text) in [(17, "17"), (first(0), "1"), (first(2) + 16, "2.17"), (first(256), "256.1")] {
            assert_eq!((name(entry).as_str(), number(text)), (text, Some(entry)));
        }
        for wrong in ["", "0", "x", "1.", "1.0", "1.2.3", "-1", "257.1", "1099511627776"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
