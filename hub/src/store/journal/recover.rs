//! What of a journal counts after a crash or damage?
//!
//! Frames are numbered without a gap, so what is lost is known by its numbers:
//! - a batch at the very end that is not whole was never acknowledged: it is cut off, and nothing is lost;
//! - any other number that is missing was acknowledged: it is told as lost. Frames after it are good
//!   all the same, each by its own checksum; what was last written before it is doubtful, since the lost
//!   frame may have replaced it;
//! - numbers that come again in the next segment were given up after a failed write: the later ones count.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    frame::{self, Salt},
    index::Location,
    segment::{HEADER, Header},
};

/// The record that counts for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) sequence: u64,
    pub(super) location: Location,
    pub(super) value: Vec<u8>,
}

/// What a journal held.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) live: BTreeMap<Vec<u8>, Live>,
    /// Sequences that were acknowledged and are gone, upwards.
    pub(super) lost: Vec<RangeInclusive<u64>>,
    /// Sequence of the next frame to be written.
    pub(super) next: u64,
    /// Of each segment in which a batch counts, where the last one ends.
    pub(super) ends: BTreeMap<u64, End>,
}

/// Where the last batch of a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) offset: u64,
    /// Sequence of its last frame.
    pub(super) sequence: u64,
}

struct Pending {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    sequence: u64,
    location: Location,
}

#[derive(Default)]
struct Batch {
    /// Sequence it begins with, lost or not.
    first: u64,
    frames: Vec<Pending>,
    lost: Vec<RangeInclusive<u64>>,
}

/// Reads the segments of a journal, oldest first.
pub(super) struct Recovery {
    salt: Salt,
    /// The last sequence known to be acknowledged.
    acknowledged: u64,
    /// Sequence that comes next; unknown before the first segment.
    expected: Option<u64>,
    batch: Batch,
    /// A batch with a hole, which counts if anything comes after it.
    suspect: Option<Batch>,
    found: Recovered,
}

impl Recovery {
    pub(super) fn new(salt: Salt, acknowledged: u64) -> Self {
        let (batch, found) = (Batch::default(), Recovered::default());
        Self { salt, acknowledged, expected: None, batch, suspect: None, found }
    }

    /// Takes in one segment; `limit` is the sequence the next one begins with.
    pub(super) fn segment(&mut self, number: u64, header: Option<Header>, limit: Option<u64>, bytes: &[u8]) {
        if let Some(header) = header {
            match self.expected {
                Some(expected) if header.sequence > expected => {
                    self.confirm();
                    self.found.lost.push(expected..=header.sequence - 1);
                    self.expected = Some(header.sequence);
                }
                Some(_) => {}
                None => self.expected = Some(header.sequence),
            }
        }
        let body = bytes.get(HEADER..).unwrap_or_default();
        for (offset, frame) in frame::scan(body, self.salt) {
            if limit.is_some_and(|limit| frame.sequence >= limit) {
                break;
            }
            let offset = (HEADER + offset) as u64;
            let first_in_file = offset == HEADER as u64;
            // Without a header it is not known whether anything stood before; right behind it nothing can.
            let expected =
                self.expected.unwrap_or(if first_in_file { frame.sequence } else { frame.sequence - 1 });
            if frame.sequence >= expected {
                let location = Location { segment: number, offset, length: frame.len() as u64 };
                self.frame(expected, location, frame);
            }
        }
        // Nothing of the oldest segment can be read: whatever stood before the next one is missing.
        self.expected.get_or_insert(1);
    }

    fn frame(&mut self, expected: u64, location: Location, frame: frame::Frame<'_>) {
        if let Some(suspect) = self.suspect.take() {
            self.commit(suspect);
        }
        if self.batch.frames.is_empty() {
            self.batch.first = expected;
        }
        if frame.sequence > expected {
            self.batch.lost.push(expected..=frame.sequence - 1);
        }
        self.expected = Some(frame.sequence + 1);
        let (key, value) = (frame.key.to_vec(), frame.value.map(<[u8]>::to_vec));
        self.batch.frames.push(Pending { key, value, sequence: frame.sequence, location });
        if frame.last {
            let batch = std::mem::take(&mut self.batch);
            if batch.lost.is_empty() {
                self.commit(batch);
            } else {
                self.suspect = Some(batch);
            }
        }
    }

    fn commit(&mut self, batch: Batch) {
        for Pending { key, value, sequence, location } in batch.frames {
            let end = End { offset: location.offset + location.length, sequence };
            self.found.ends.insert(location.segment, end);
            match value {
                Some(value) => drop(self.found.live.insert(key, Live { sequence, location, value })),
                None => drop(self.found.live.remove(&key)),
            }
        }
        self.found.lost.extend(batch.lost);
    }

    /// Everything so far was acknowledged.
    fn confirm(&mut self) {
        if let Some(suspect) = self.suspect.take() {
            self.commit(suspect);
        }
        let batch = std::mem::take(&mut self.batch);
        self.commit(batch);
    }

    /// Decides about the end.
    pub(super) fn finish(mut self) -> Recovered {
        let mut next = self.expected.unwrap_or(1);
        if let Some(suspect) = self.suspect.take() {
            if self.acknowledged < suspect.first {
                next = suspect.first;
            } else {
                self.commit(suspect);
            }
        }
        if !self.batch.frames.is_empty() {
            if self.acknowledged < self.batch.first {
                next = self.batch.first;
            } else {
                let batch = std::mem::take(&mut self.batch);
                self.commit(batch);
            }
        }
        if self.acknowledged >= next {
            self.found.lost.push(next..=self.acknowledged);
            next = self.acknowledged + 1;
        }
        self.found.next = next;
        self.found
    }
}
