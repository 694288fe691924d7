//! Are the packs on the disk what they were when they were written?
//!
//! A pack and its index each end with a checksum, and the index holds the pack's.
//! What does not fit is set right if the pack itself is whole, and put aside
//! if reading it could lead outside of the file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::hash::Kind;

use super::remove;
use crate::GitError;

/// Bytes of a checksum.
const SUM: usize = 20;
/// Largest index that is looked at; larger ones count as damaged, in bytes.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// Looks at every file in `directory`, removes what a broken-off fetch left, and
/// returns what is wrong with the rest.
pub(crate) fn inspect(directory: &Path) -> Result<Vec<String>, GitError> {
    let mut stems = BTreeSet::new();
    let entries = std::fs::read_dir(directory).map_err(GitError::storage("list", directory))?;
    for entry in entries {
        let path = entry.map_err(GitError::storage("list", directory))?.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("pack" | "idx") => drop(stems.insert(path.with_extension(""))),
            Some("damaged") => {}
            _ => remove(&path)?,
        }
    }
    let mut problems = Vec::new();
    for stem in stems {
        let (pack, index) = (stem.with_extension("pack"), stem.with_extension("idx"));
        if let Err(problem) = inspect_pair(&pack, &index)? {
            problems.push(problem);
        }
    }
    Ok(problems)
}

/// Number of packs in `directory`.
pub(crate) fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
}

fn inspect_pair(pack: &Path, index: &Path) -> Result<Result<(), String>, GitError> {
    let name = pack.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(sums) = Sums::of(pack)? else {
        remove(index)?;
        set_aside(pack)?;
        return Ok(Err(format!("{name} is missing or too short")));
    };
    let expected = index_checksum(index)?;
    if expected == Some(sums.stored) && sums.stored == sums.actual {
        return Ok(Ok(()));
    }
    if sums.stored == sums.actual {
        // The pack is whole, so a new index can be made from it.
        remove(index)?;
        return Ok(match reindex(pack) {
            Ok(()) => Ok(()),
            Err(reason) => {
                set_aside(pack)?;
                Err(format!("{name} has no usable index: {reason}"))
            }
        });
    }
    // Some bytes changed but all are there: other objects may still be whole, and every
    // object is checked when it is read.
    let in_place = expected.is_some_and(|sum| sum == sums.stored || sum == sums.actual);
    if !in_place {
        remove(index)?;
        set_aside(pack)?;
    }
    Ok(Err(format!("{name} does not match its checksum")))
}

fn set_aside(pack: &Path) -> Result<(), GitError> {
    if !pack.exists() {
        return Ok(());
    }
    std::fs::rename(pack, pack.with_extension("pack.damaged")).map_err(GitError::storage("put aside", pack))
}

/// The checksum a pack ends with, and the one its content has.
struct Sums {
    stored: [u8; SUM],
    actual: [u8; SUM],
}

impl Sums {
    fn of(pack: &Path) -> Result<Option<Sums>, GitError> {
        let failed = |e| GitError::storage("read", pack)(e);
        let mut file = match File::open(pack) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let size = file.metadata().map_err(failed)?.len();
        let Some(content) = size.checked_sub(SUM as u64).filter(|content| *content >= 12) else {
            return Ok(None);
        };
        let mut hasher = gix::hash::hasher(Kind::Sha1);
        let mut left = content;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let part = usize::try_from(left.min(buffer.len() as u64)).unwrap_or(buffer.len());
            file.read_exact(&mut buffer[..part]).map_err(failed)?;
            hasher.update(&buffer[..part]);
            left -= part as u64;
        }
        let mut stored = [0; SUM];
        file.read_exact(&mut stored).map_err(failed)?;
        let actual = hasher.try_finalize().map_or([0; SUM], |sum| array(sum.as_slice()));
        Ok(Some(Sums { stored, actual }))
    }
}

fn array(bytes: &[u8]) -> [u8; SUM] {
    bytes.try_into().unwrap_or([0; SUM])
}

/// The pack's checksum according to its index, if the index is whole.
fn index_checksum(index: &Path) -> Result<Option<[u8; SUM]>, GitError> {
    let Some(bytes) = super::read_small(index, INDEX_BYTES_MAX)? else { return Ok(None) };
    let Some(content) = bytes.len().checked_sub(SUM).filter(|content| *content > SUM) else {
        return Ok(None);
    };
    let mut hasher = gix::hash::hasher(Kind::Sha1);
    hasher.update(&bytes[..content]);
    let actual = hasher.try_finalize().map_or([0; SUM], |sum| array(sum.as_slice()));
    Ok((actual == array(&bytes[content..])).then(|| array(&bytes[content - SUM..content])))
}

/// Writes a new index for a pack.
fn reindex(pack: &Path) -> Result<(), String> {
    let directory = pack.parent().unwrap_or(Path::new("."));
    let file = File::open(pack).map_err(|e| e.to_string())?;
    let written = write(&mut std::io::BufReader::new(file), directory)?;
    match written {
        Some(index) if index == pack.with_extension("idx") => Ok(()),
        // A file under a wrong name was written again under the right one.
        Some(_) => std::fs::remove_file(pack).map_err(|e| e.to_string()),
        None => Err("it holds no objects".into()),
    }
}

/// Writes a pack and its index into `directory`; returns the path of the index.
pub(crate) fn write(pack: &mut dyn std::io::BufRead, directory: &Path) -> Result<Option<PathBuf>, String> {
    let written = gix::odb::pack::Bundle::write_to_directory(
        pack,
        Some(directory),
        &mut gix::utils::progress::Discard,
        &AtomicBool::new(false),
        None::<gix::objs::find::Never>,
        Kind::Sha1,
        gix::odb::pack::bundle::write::Options { thread_limit: Some(1), ..Default::default() },
    )
    .map_err(|error| crate::error::chain(&error))?;
    if let Some(keep) = written.keep_path {
        remove(&keep).map_err(|e| e.to_string())?;
    }
    for path in written.data_path.iter().chain(&written.index_path) {
        super::sync_file(path).map_err(|e| e.to_string())?;
    }
    Ok(written.index_path)
}
