//! How are records added to a journal, and how does it stay small?

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    Batch, Contents, Limits, OpenError,
    files::{Files, appendable},
    frame::{self, Frame, Salt},
    index::{Index, Location},
    position_path,
    segment::{self, HEADER, Header, SCHEMA},
};
use crate::authority::random;

/// Segments cleaned after one batch at most, so that no batch waits long.
const CLEANED_MAX: usize = 2;

/// A file of the journal.
#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    /// Sequence of the last frame in it that counts; 0 where none does.
    last: u64,
}

/// What the last write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Good,
    /// A write failed: what lies behind the end is to be cut off.
    Unwritten,
    /// Waiting for the disk failed. Whether it has the pages is unknown and asking again does not tell, so
    /// nothing more is written to this file.
    Unsynced,
}

/// An append-only log of records in a folder of its own.
pub(in crate::store) struct Journal {
    directory: PathBuf,
    limits: Limits,
    salt: Salt,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// The newest segment.
    file: File,
    /// Where its last batch ends.
    end: u64,
    tail: Tail,
    /// Sequence of the next frame.
    next: u64,
    /// Bytes of records that count.
    live: u64,
    /// `None` when in doubt.
    index: Option<Index>,
    position: File,
    /// Cleared when damage is met while cleaning: from then on no file is removed.
    cleaning: bool,
}

impl Journal {
    /// The newest schema version known.
    pub(in crate::store) const SCHEMA: u32 = SCHEMA;

    /// Opens the journal in this folder, or makes it. Where records are lost ([`Contents::lost`]) the
    /// journal is left as it is and not opened, so that what was found can be written to a new one.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(in crate::store) fn open(
        directory: &Path,
        limits: Limits,
    ) -> Result<(Option<Self>, Contents), OpenError> {
        let files = Files::read(directory)?;
        if !files.recovered.lost.is_empty() {
            return Ok((None, files.contents()));
        }
        Index::remove_old(directory)?;
        let Some(salt) = files.salt else {
            return Ok((Some(Self::create(directory, limits)?), Contents::default()));
        };
        for number in &files.leftover {
            fs::remove_file(segment::path(directory, *number))?;
        }
        let recovered = &files.recovered;
        let mut segments: VecDeque<Segment> = VecDeque::new();
        for file in &files.segments {
            let last = recovered.ends.get(&file.number).map_or(0, |end| end.sequence);
            segments.push_back(Segment { number: file.number, bytes: file.bytes, last });
        }
        let (file, end) = match files.segments.last().and_then(|last| appendable(*last, recovered)) {
            Some(end) => {
                let newest =
                    segments.back_mut().ok_or_else(|| io::Error::other("there is a last segment"))?;
                let path = segment::path(directory, newest.number);
                let file = File::options().read(true).write(true).open(path)?;
                if newest.bytes > end {
                    file.set_len(end)?;
                    file.sync_data()?;
                    tracing::info!(bytes = newest.bytes - end, "cut off what was never acknowledged");
                }
                newest.bytes = end;
                (file, end)
            }
            None => {
                let number = segments.back().map_or(1, |last| last.number + 1);
                let header = Header { schema: SCHEMA, salt, number, sequence: recovered.next };
                fs::create_dir_all(directory)?;
                let file = segment::create(directory, header)?;
                segments.push_back(Segment { number, bytes: HEADER as u64, last: 0 });
                (file, HEADER as u64)
            }
        };
        let journal = Self {
            directory: directory.to_owned(),
            limits,
            salt,
            segments,
            file,
            end,
            tail: Tail::Good,
            next: recovered.next,
            live: files.live(),
            index: files.index(directory),
            position: open_position(directory)?,
            cleaning: true,
        };
        Ok((Some(journal), files.contents()))
    }

    /// Makes a new journal in this folder, which has no segments.
    pub(in crate::store) fn create(directory: &Path, limits: Limits) -> io::Result<Self> {
        let salt = Salt(random().map_err(io::Error::other)?);
        fs::create_dir_all(directory)?;
        let file = segment::create(directory, Header { schema: SCHEMA, salt, number: 1, sequence: 1 })?;
        if let Some(parent) = directory.parent() {
            segment::sync_directory(parent)?;
        }
        let position = open_position(directory)?;
        let end = HEADER as u64;
        let mut journal = Self {
            directory: directory.to_owned(),
            limits,
            salt,
            segments: VecDeque::from([Segment { number: 1, bytes: end, last: 0 }]),
            file,
            end,
            tail: Tail::Good,
            next: 1,
            live: 0,
            index: Index::create(directory).ok(),
            position,
            cleaning: true,
        };
        journal.note_position()?;
        journal.position.sync_data()?;
        Ok(journal)
    }

    /// Keeps a batch; it is durable when this returns. After an error nothing of it counts, and it may be
    /// tried again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in crate::store) fn append(&mut self, batch: &Batch) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let entries: Vec<(&[u8], Option<&[u8]>)> =
            batch.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
        self.write(&entries)?;
        for _ in 0..CLEANED_MAX {
            if !self.is_wasteful() {
                break;
            }
            if let Err(error) = self.clean() {
                tracing::warn!(%error, directory = %self.directory.display(), "cannot clean up the journal");
                break;
            }
        }
        Ok(())
    }

    /// Bytes of all segments.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// As after a failure of sled.
    #[cfg(test)]
    pub(super) fn forget_index(&mut self) {
        self.index = None;
    }

    fn is_wasteful(&self) -> bool {
        let allowed = 2 * self.live + 4 * self.limits.segment_bytes;
        self.cleaning && self.segments.len() > 1 && self.bytes() > allowed
    }

    fn write(&mut self, entries: &[(&[u8], Option<&[u8]>)]) -> io::Result<()> {
        self.mend()?;
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(entries.len());
        let first = self.next;
        for (index, (key, value)) in entries.iter().enumerate() {
            let last = index + 1 == entries.len();
            let frame = Frame { sequence: first + index as u64, last, key, value: *value };
            let offset = self.end + bytes.len() as u64;
            frame.write(&mut bytes, self.salt).ok_or_else(|| io::Error::other("a record is too large"))?;
            places.push(Location { segment: self.newest(), offset, length: frame.len() as u64 });
        }
        self.tail = Tail::Unwritten;
        self.file.write_all_at(&bytes, self.end)?;
        self.tail = Tail::Unsynced;
        self.file.sync_data()?;
        self.tail = Tail::Good;
        self.end += bytes.len() as u64;
        self.next += entries.len() as u64;
        if let Some(newest) = self.segments.back_mut() {
            newest.bytes = self.end;
            newest.last = self.next - 1;
        }
        // It only helps to notice damage, and this file was never longer or shorter: no reason to fail.
        let _ = self.note_position();
        self.note_places(entries, &places);
        Ok(())
    }

    /// Makes ready for the next batch: after a failed write, and when the newest segment is full.
    fn mend(&mut self) -> io::Result<()> {
        let full = self.end >= self.limits.segment_bytes;
        if self.tail == Tail::Unwritten {
            self.file.set_len(self.end)?;
        }
        if self.tail != Tail::Unsynced && !full {
            return Ok(());
        }
        let number = self.newest() + 1;
        let header = Header { schema: SCHEMA, salt: self.salt, number, sequence: self.next };
        self.file = segment::create(&self.directory, header)?;
        self.end = HEADER as u64;
        self.tail = Tail::Good;
        self.segments.push_back(Segment { number, bytes: self.end, last: 0 });
        Ok(())
    }

    fn newest(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.number)
    }

    fn note_position(&mut self) -> io::Result<()> {
        let number = self.segments.front().map_or(0, |segment| segment.number);
        let header = Header { schema: SCHEMA, salt: self.salt, number, sequence: self.next - 1 };
        self.position.write_all_at(&header.write(), 0)
    }

    /// Tells the index where records lie now.
    fn note_places(&mut self, entries: &[(&[u8], Option<&[u8]>)], places: &[Location]) {
        let Some(index) = &self.index else { return };
        for ((key, value), place) in entries.iter().zip(places) {
            let before = match value {
                Some(_) => index.put(key, *place).map(|before| (before, place.length)),
                None => index.remove(key).map(|before| (before, 0)),
            };
            match before {
                Ok((before, length)) => {
                    self.live = (self.live + length).saturating_sub(before.map_or(0, |before| before.length));
                }
                Err(error) => {
                    tracing::warn!(%error, "the index of the journal is made again when it is needed");
                    self.index = None;
                    return;
                }
            }
        }
    }

    /// Frees the oldest segment.
    fn clean(&mut self) -> io::Result<()> {
        if self.index.is_none() {
            self.rebuild_index()?;
            if !self.is_wasteful() {
                return Ok(());
            }
        }
        let (Some(oldest), Some(index)) = (self.segments.front(), &self.index) else { return Ok(()) };
        let path = segment::path(&self.directory, oldest.number);
        let bytes = fs::read(&path)?;
        let mut kept: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut seen = None;
        for (offset, frame) in frame::scan(bytes.get(HEADER..).unwrap_or_default(), self.salt) {
            // What follows, or follows a gap, is not of this segment's batches.
            if frame.sequence > oldest.last || seen.is_some_and(|seen| frame.sequence != seen + 1) {
                break;
            }
            seen = Some(frame.sequence);
            let offset = (HEADER + offset) as u64;
            let here = Location { segment: oldest.number, offset, length: frame.len() as u64 };
            let counts = index.get(frame.key).map_err(io::Error::other)? == Some(here);
            if let Some(value) = frame.value.filter(|_| counts) {
                kept.push((frame.key.to_vec(), value.to_vec()));
            }
        }
        if seen.unwrap_or(0) != oldest.last {
            self.cleaning = false;
            let path = path.display();
            return Err(io::Error::other(format!(
                "{path} is damaged; the next start saves what can be read"
            )));
        }
        if !kept.is_empty() {
            let entries: Vec<(&[u8], Option<&[u8]>)> =
                kept.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))).collect();
            self.write(&entries)?;
        }
        // From here on the segment is not missed; only then it goes.
        let gone = self.segments.pop_front();
        let noted = self.note_position().and_then(|()| self.position.sync_data());
        if noted.is_err() {
            if let Some(gone) = gone {
                self.segments.push_front(gone);
            }
            return noted;
        }
        fs::remove_file(&path)
    }

    fn rebuild_index(&mut self) -> io::Result<()> {
        let files = Files::read(&self.directory).map_err(|error| match error {
            OpenError::Io(error) => error,
            OpenError::Newer(schema) => io::Error::other(format!("schema version {schema}")),
        })?;
        self.live = files.live();
        self.index = files.index(&self.directory);
        if !files.recovered.lost.is_empty() {
            self.cleaning = false;
            return Err(io::Error::other(files.contents().damage().unwrap_or_default()));
        }
        if self.index.is_some() { Ok(()) } else { Err(io::Error::other("its index cannot be made")) }
    }
}

fn open_position(directory: &Path) -> io::Result<File> {
    let path = position_path(directory);
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}
