//! What is in the files of a journal?

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{
    Contents, Found, OpenError,
    frame::Salt,
    index::{InDoubt, Index},
    position_path,
    recover::{Recovered, Recovery},
    segment::{self, HEADER, Header, SCHEMA},
};

/// All of a journal, in memory.
pub(super) struct Files {
    pub(super) recovered: Recovered,
    pub(super) salt: Option<Salt>,
    pub(super) segments: Vec<SegmentFile>,
    /// Segments that were cleaned and could not be removed.
    pub(super) leftover: Vec<u64>,
}

#[derive(Clone, Copy)]
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// Sequence its header names; `None` where the header is not readable.
    pub(super) first: Option<u64>,
}

impl Files {
    pub(super) fn read(directory: &Path) -> Result<Self, OpenError> {
        // Read first, so that it says at most what the segments have.
        let position = match fs::read(position_path(directory)) {
            Ok(bytes) => Header::read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut numbers = segment::list(directory)?;
        let mut headers = BTreeMap::new();
        for &number in &numbers {
            let mut bytes = [0; HEADER];
            let read = File::open(segment::path(directory, number))?.read_exact_at(&mut bytes, 0);
            let header = read.ok().and_then(|()| Header::read(&bytes));
            headers.extend(header.filter(|header| header.number == number).map(|header| (number, header)));
        }
        let newest = headers.values().chain(&position).map(|header| header.schema).max();
        if let Some(schema) = newest.filter(|schema| *schema > SCHEMA) {
            return Err(OpenError::Newer(schema));
        }
        let salt = headers.values().chain(&position).map(|header| header.salt).next();
        // One of another journal, which this one has replaced, says nothing.
        let position = position.filter(|position| Some(position.salt) == salt);
        let oldest = position.map_or(0, |position| position.number);
        let leftover: Vec<u64> = numbers.iter().copied().filter(|number| *number < oldest).collect();
        numbers.retain(|number| *number >= oldest);

        let acknowledged = position.map_or(0, |position| position.sequence);
        let mut recovery = Recovery::new(salt.unwrap_or(Salt([0; 8])), acknowledged);
        let mut segments = Vec::new();
        for (index, &number) in numbers.iter().enumerate() {
            let bytes = fs::read(segment::path(directory, number))?;
            let header = headers.get(&number).copied();
            let following = numbers[index + 1..].iter().find_map(|number| headers.get(number));
            recovery.segment(number, header, following.map(|header| header.sequence), &bytes);
            let first = header.map(|header| header.sequence);
            segments.push(SegmentFile { number, bytes: bytes.len() as u64, first });
        }
        let mut recovered = recovery.finish();
        if let Some(first) = segments.first().filter(|first| oldest > 0 && first.number > oldest) {
            let before = first.first.map_or(1, |sequence| sequence.saturating_sub(1).max(1));
            recovered.lost.insert(0, 1..=before);
        }
        // With neither a header nor a position nothing can be checked; a first segment that was never
        // finished is no loss.
        if salt.is_none() && segments.iter().any(|segment| segment.bytes > HEADER as u64) {
            recovered.lost.push(1..=u64::MAX);
        }
        Ok(Self { recovered, salt, segments, leftover })
    }

    pub(super) fn contents(self) -> Contents {
        let last_lost = self.recovered.lost.iter().map(|range| *range.end()).max().unwrap_or(0);
        let found = self.recovered.live.into_iter().map(|(key, live)| Found {
            key,
            value: live.value,
            doubtful: live.sequence < last_lost,
            sequence: live.sequence,
        });
        Contents { found: found.collect(), lost: self.recovered.lost }
    }

    /// Bytes of the records that count.
    pub(super) fn live(&self) -> u64 {
        self.recovered.live.values().map(|live| live.location.length).sum()
    }

    /// An index of the records that count.
    pub(super) fn index(&self, directory: &Path) -> Option<Index> {
        let build = || {
            let index = Index::create(directory)?;
            for (key, live) in &self.recovered.live {
                index.put(key, live.location)?;
            }
            Ok::<_, InDoubt>(index)
        };
        build().inspect_err(|error| tracing::warn!(%error, "the journal goes on without an index")).ok()
    }
}

/// Where in this last segment appending may go on; `None` when it needs a new one.
pub(super) fn appendable(file: SegmentFile, recovered: &Recovered) -> Option<u64> {
    let first = file.first?;
    match recovered.ends.get(&file.number) {
        Some(end) => Some(end.offset),
        None => (first == recovered.next).then_some(HEADER as u64),
    }
}
