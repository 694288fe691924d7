//! How does one record lie in a segment, and what can be told of bytes that are damaged?
//!
//! ```text
//! frame  = marker 4 | CRC of header 4 | CRC of key and value 4 | sequence 8 | value length 4 | key length 2
//!          | flags 1 | zero 1 | key | value                                   (numbers little endian)
//! ```
//! Both checksums begin with the journal's salt, a random number that is told to nobody. So bytes that an
//! agent chose, such as a message in a status, cannot pass for a frame when the search for the next good
//! one after damage walks through them. That the header has a checksum of its own bounds this search: the
//! length in a header is believed only when the header is good.

/// Begins every frame.
const MARKER: [u8; 4] = [0xa7, b'M', b'J', 0x01];
/// Bytes before the key.
pub(super) const HEADER: usize = 28;
/// Longest value, in bytes; a message of an agent has at most 4 MiB.
pub(super) const VALUE_MAX: usize = 16 * 1024 * 1024;

const DELETION: u8 = 1;
const LAST: u8 = 2;

/// Random, one for each journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) [u8; 8]);

impl Salt {
    /// CRC-32 of the salt and these parts.
    pub(super) fn checksum(self, parts: &[&[u8]]) -> [u8; 4] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0);
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().to_le_bytes()
    }
}

/// A record, or the deletion of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Upwards by one over all segments of a journal.
    pub(super) sequence: u64,
    /// Ends a batch: everything up to here is kept, or nothing of it.
    pub(super) last: bool,
    pub(super) key: &'a [u8],
    /// `None` deletes.
    pub(super) value: Option<&'a [u8]>,
}

impl Frame<'_> {
    /// Bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEADER + self.key.len() + self.value.map_or(0, <[u8]>::len)
    }

    /// Appends it; `None` when key or value is too long to be kept.
    pub(super) fn write(&self, into: &mut Vec<u8>, salt: Salt) -> Option<()> {
        let value = self.value.unwrap_or_default();
        let key_length = u16::try_from(self.key.len()).ok()?;
        let value_length = u32::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_MAX)?;
        let mut flags = if self.value.is_none() { DELETION } else { 0 };
        if self.last {
            flags |= LAST;
        }
        let mut header = [0; HEADER - 8];
        header[..4].copy_from_slice(&salt.checksum(&[self.key, value]));
        header[4..12].copy_from_slice(&self.sequence.to_le_bytes());
        header[12..16].copy_from_slice(&value_length.to_le_bytes());
        header[16..18].copy_from_slice(&key_length.to_le_bytes());
        header[18] = flags;
        into.extend(MARKER);
        into.extend(salt.checksum(&[&header]));
        into.extend(header);
        into.extend(self.key);
        into.extend(value);
        Some(())
    }
}

/// What is found at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    Frame(Frame<'a>),
    /// The header is good and what follows is not: as many bytes as this are damaged.
    Damaged(usize),
    /// Not the beginning of a frame.
    Nothing,
}

/// Reads at the beginning of `bytes`.
pub(super) fn read(bytes: &[u8], salt: Salt) -> Read<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else { return Read::Nothing };
    if head[..4] != MARKER || head[4..8] != salt.checksum(&[&head[8..]]) {
        return Read::Nothing;
    }
    let field = |from: usize, length: usize| {
        head[from..from + length].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (sequence, flags) = (field(12, 8), head[26]);
    // Both fit: four and two bytes.
    let (value_length, key_length) = (field(20, 4) as usize, field(24, 2) as usize);
    let Some((body, _)) = rest.split_at_checked(key_length + value_length) else {
        return Read::Damaged(bytes.len());
    };
    let (key, value) = body.split_at(key_length);
    if head[8..12] != salt.checksum(&[key, value]) {
        return Read::Damaged(HEADER + body.len());
    }
    let value = (flags & DELETION == 0).then_some(value);
    Read::Frame(Frame { sequence, last: flags & LAST != 0, key, value })
}

/// All good frames in `bytes` with where they begin, whatever lies between them.
pub(super) fn scan(bytes: &[u8], salt: Salt) -> impl Iterator<Item = (usize, Frame<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            match read(rest, salt) {
                Read::Frame(frame) => {
                    let found = (at, frame);
                    at += frame.len();
                    return Some(found);
                }
                Read::Damaged(length) => at += length,
                Read::Nothing => at += next_marker(&rest[1..]).map_or(rest.len(), |skipped| skipped + 1),
            }
        }
    })
}

fn next_marker(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARKER.len()).position(|window| window == MARKER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(*b"in tests");

    fn written(frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut bytes, SALT).unwrap());
        bytes
    }

    fn frame<'a>(sequence: u64, key: &'a [u8], value: Option<&'a [u8]>) -> Frame<'a> {
        Frame { sequence, last: sequence.is_multiple_of(2), key, value }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut bytes = Vec::new();
        assert_eq!(frame(1, &[0; 70_000], None).write(&mut bytes, SALT), None);
        assert_eq!(frame(1, b"k", Some(&vec![0; VALUE_MAX + 1])).write(&mut bytes, SALT), None);
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_frame_inside_a_value_is_not_found_without_the_salt() {
        let mut forged = Vec::new();
        frame(7, b"tforged", Some(b"token")).write(&mut forged, Salt(*b"a guess!")).unwrap();
        let mut bytes = written(&[frame(1, b"a", Some(&forged)), frame(2, b"b", None)]);
        bytes[5] ^= 1; // the header of the first: the search walks through its value
        let found: Vec<u64> = scan(&bytes, SALT).map(|(_, frame)| frame.sequence).collect();
        assert_eq!(found, [2]);
    }

    fn contents() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        proptest::collection::vec((bytes(9), proptest::option::of(bytes(60))), 1..12)
    }

    fn frames(contents: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Frame<'_>> {
        (1..).zip(contents).map(|(number, (key, value))| frame(number, key, value.as_deref())).collect()
    }

    proptest! {
        #[test]
        fn frames_read_back_as_written(contents in contents()) {
            let frames = frames(&contents);
            let read: Vec<_> = scan(&written(&frames), SALT).map(|(_, frame)| frame.sequence).collect();
            prop_assert_eq!(read.len(), frames.len());
            let bytes = written(&frames);
            let again: Vec<Frame<'_>> = scan(&bytes, SALT).map(|(_, frame)| frame).collect();
            prop_assert_eq!(again, frames);
        }

        #[test]
        fn a_changed_byte_costs_its_frame_and_no_other(contents in contents(), at: prop::sample::Index, bit in 0..8_u32) {
            let frames = frames(&contents);
            let mut bytes = written(&frames);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let mut end = 0;
            let hit = frames.iter().position(|frame| { end += frame.len(); at < end }).unwrap();
            let found: Vec<Frame<'_>> = scan(&bytes, SALT).map(|(_, frame)| frame).collect();
            let mut left = frames.clone();
            left.remove(hit);
            prop_assert_eq!(found, left);
        }

        #[test]
        fn a_cut_costs_what_was_cut(contents in contents(), at: prop::sample::Index) {
            let frames = frames(&contents);
            let bytes = written(&frames);
            let cut = at.index(bytes.len());
            let found: Vec<Frame<'_>> = scan(&bytes[..cut], SALT).map(|(_, frame)| frame).collect();
            let mut end = 0;
            let whole = frames.iter().take_while(|frame| { end += frame.len(); end <= cut }).count();
            prop_assert_eq!(found, frames[..whole].to_vec());
        }

        #[test]
        fn noise_is_never_a_frame(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(scan(&noise, SALT).count(), 0);
        }
    }
}
