//! What can be asked of a repository, and what does it answer now?

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use ring::digest::{Context, SHA256, digest};

use crate::Files;

/// A SHA-256 sum.
pub(crate) type Digest = [u8; 32];

/// A question, by a path from the root of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Read {
    /// What does this file hold?
    File(String),
    /// Is there anything below this directory?
    Directory(String),
    /// What is below this directory, all of it?
    Below(String),
}

/// What a repository answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is no such thing.
    Nothing,
    /// There is.
    Something,
    /// It holds what has this sum.
    Content(Digest),
}

impl Read {
    /// The memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let (Read::File(path) | Read::Directory(path) | Read::Below(path)) = self;
        size_of::<(Read, Answer)>() + path.len()
    }
}

/// The files of a repository at one revision, with the sums of those that a [`crate::Cache`] asked
/// for. Made once and used for all apps, it reads no file twice for its sum.
#[derive(Debug)]
pub struct Repository<'f> {
    files: &'f Files,
    sums: RefCell<HashMap<String, Digest>>,
    below: RefCell<BTreeMap<String, Answer>>,
}

impl<'f> Repository<'f> {
    /// A repository of these files.
    pub fn new(files: &'f Files) -> Repository<'f> {
        Repository { files, sums: RefCell::default(), below: RefCell::default() }
    }

    pub(crate) fn files(&self) -> &'f Files {
        self.files
    }

    pub(crate) fn answer(&self, read: &Read) -> Answer {
        match read {
            Read::File(path) => match self.files.get_key_value(path) {
                Some((path, bytes)) => Answer::Content(self.sum(path, bytes)),
                None => Answer::Nothing,
            },
            Read::Directory(path) => match below(self.files, path).next() {
                Some(_) => Answer::Something,
                None => Answer::Nothing,
            },
            Read::Below(path) => {
                if let Some(known) = self.below.borrow().get(path) {
                    return *known;
                }
                let mut all = Context::new(&SHA256);
                for (path, bytes) in below(self.files, path) {
                    all.update(&path.len().to_le_bytes());
                    all.update(path.as_bytes());
                    all.update(&self.sum(path, bytes));
                }
                let answer = Answer::Content(array(all.finish()));
                self.below.borrow_mut().insert(path.clone(), answer);
                answer
            }
        }
    }

    fn sum(&self, path: &str, bytes: &[u8]) -> Digest {
        if let Some(known) = self.sums.borrow().get(path) {
            return *known;
        }
        let sum = array(digest(&SHA256, bytes));
        self.sums.borrow_mut().insert(path.to_owned(), sum);
        sum
    }
}

fn array(digest: ring::digest::Digest) -> Digest {
    let mut array = Digest::default();
    array.copy_from_slice(digest.as_ref());
    array
}

/// The files below a directory, in the order of their names.
pub(crate) fn below<'f>(files: &'f Files, path: &str) -> impl Iterator<Item = (&'f str, &'f [u8])> + use<'f> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    files
        .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
        .map(|(file, bytes)| (file.as_str(), bytes.as_slice()))
        .take_while(move |(file, _)| file.starts_with(&prefix))
}
