//! What is a file of a journal, and how is it known whose it is?
//!
//! ```text
//! 0000000001.journal = magic 8 | schema 4 | salt 8 | number 8 | first sequence 8 | CRC 4 | frames
//! position           = magic 8 | schema 4 | salt 8 | oldest segment 8 | last sequence 8 | CRC 4
//! ```
//! The position lies beside the folder of the segments. It says what was acknowledged, so that a cut or
//! missing file is noticed even where it ends at a frame. It is written after a batch is on the disk and
//! not waited for: after a loss of power it may say too little, never too much.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::frame::Salt;

/// Version of the layout of a store, in every file of it. Version 1 was sled alone.
pub(super) const SCHEMA: u32 = 2;
/// Bytes before the first frame.
pub(super) const HEADER: usize = 40;
const MAGIC: [u8; 8] = *b"MUSTERJ\n";
const EXTENSION: &str = "journal";

/// What both kinds of file begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) schema: u32,
    pub(super) salt: Salt,
    /// Of this segment; in the position, of the oldest one.
    pub(super) number: u64,
    /// Sequence of the first frame in it; in the position, the last one acknowledged.
    pub(super) sequence: u64,
}

impl Header {
    /// As bytes.
    pub(super) fn write(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.schema.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.salt.0);
        bytes[20..28].copy_from_slice(&self.number.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.sequence.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// From bytes; `None` when they are not what [`Header::write`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        if bytes[..8] != MAGIC || bytes[36..] != crc32fast::hash(&bytes[..36]).to_le_bytes() {
            return None;
        }
        let (schema, rest) = bytes[8..].split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let sequence = rest.first_chunk()?;
        Some(Self {
            schema: u32::from_le_bytes(*schema),
            salt: Salt(*salt),
            number: u64::from_le_bytes(*number),
            sequence: u64::from_le_bytes(*sequence),
        })
    }
}

/// Path of a segment.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.{EXTENSION}"))
}

/// Numbers of the segments in a folder, upwards; none where there is no folder.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment, durable in its folder. What could not be made whole is removed again.
pub(super) fn create(directory: &Path, header: Header) -> io::Result<File> {
    let path = path(directory, header.number);
    let make = || {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(&header.write(), 0)?;
        file.sync_data()?;
        sync_directory(directory)?;
        Ok(file)
    };
    make().inspect_err(|_| drop(fs::remove_file(&path)))
}

/// Waits until the names in a folder are on the disk.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_a_changed_one_does_not() {
        let header = Header { schema: 2, salt: Salt([9; 8]), number: 3, sequence: u64::MAX };
        let bytes = header.write();
        assert_eq!(Header::read(&bytes), Some(header));
        for index in 0..bytes.len() {
            let mut changed = bytes;
            changed[index] ^= 1;
            assert_eq!(Header::read(&changed), None);
            assert_eq!(Header::read(&bytes[..index]), None);
        }
    }

    #[test]
    fn a_segment_is_found_by_its_number() {
        let directory = tempfile::TempDir::new().unwrap();
        let header = |number| Header { schema: SCHEMA, salt: Salt([0; 8]), number, sequence: 1 };
        for number in [12, 3] {
            create(directory.path(), header(number)).unwrap();
        }
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        assert_eq!(list(directory.path()).unwrap(), [3, 12]);
        assert_eq!(list(&directory.path().join("none")).unwrap(), [0; 0]);
        assert!(create(&directory.path().join("none"), header(1)).is_err());
    }
}
