//! How does a database know that it is whole?
//!
//! ```text
//! mark = schema version (4 bytes) | number of the batch (8) | number of records (8) | CRC-32 (4)
//! ```

/// Version of the layout of a database.
pub(super) const SCHEMA: u32 = 1;

/// State of a database after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Version of the layout.
    pub(super) schema: u32,
    /// Upwards from 1.
    pub(super) batch: u64,
    /// Records the database holds, this mark not counted.
    pub(super) records: u64,
}

impl Default for Mark {
    /// Of a new database.
    fn default() -> Self {
        Self { schema: SCHEMA, batch: 0, records: 0 }
    }
}

impl Mark {
    /// Length of a mark.
    pub(super) const BYTES: usize = 24;

    /// As bytes.
    pub(super) fn write(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.schema.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.batch.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.records.to_be_bytes());
        let sum = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// From bytes; `None` when they are not what [`Mark::write`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(20)?;
        if sum != crc32fast::hash(content).to_be_bytes() {
            return None;
        }
        let (schema, rest) = content.split_first_chunk()?;
        let (batch, rest) = rest.split_first_chunk()?;
        let records = rest.first_chunk()?;
        Some(Self {
            schema: u32::from_be_bytes(*schema),
            batch: u64::from_be_bytes(*batch),
            records: u64::from_be_bytes(*records),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_changed_one_does_not() {
        let mark = Mark { schema: 3, batch: u64::MAX, records: 77 };
        let bytes = mark.write();
        assert_eq!(Mark::read(&bytes), Some(mark));
        for index in 0..bytes.len() {
            let mut changed = bytes;
            changed[index] ^= 1;
            assert_eq!(Mark::read(&changed), None);
            assert_eq!(Mark::read(&bytes[..index]), None);
        }
        assert_eq!(Mark::read(&[0; Mark::BYTES]), None);
    }
}
