//! What is to be committed, and which objects does that take?

use std::collections::BTreeMap;

use gix::hash::{Kind as HashKind, ObjectId};
use gix::objs::Kind;
use gix::objs::tree::EntryKind;

use crate::error::tidy;
use crate::objects::{Entry, Fault, Reader};
use crate::{GitError, Revision, SigningKey, tree};

/// Most bytes of all files of a draft together.
const BYTES_MAX: usize = 16 << 20;

/// A commit to be made on top of another: some files written, some removed, all others as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// By path from the root of the repository: the new content, or `None` to remove the file.
    pub files: BTreeMap<String, Option<Vec<u8>>>,
    /// Subject, an empty line, body, trailers.
    pub message: String,
    /// Who wants it.
    pub author: Person,
    /// Who makes it.
    pub committer: Person,
    /// When, in seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// A person or a program, as a commit names them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// A name for people.
    pub name: String,
    /// An e-mail address, which need not exist.
    pub email: String,
}

impl Person {
    /// As Git writes it: without line breaks and angle brackets, which would end the field.
    fn line(&self, time: i64) -> String {
        let plain = |text: &str| tidy(text).replace(['<', '>'], "");
        format!("{} <{}> {time} +0000", plain(&self.name), plain(&self.email))
    }
}

/// A draft as objects: the commit last.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) commit: ObjectId,
    pub(crate) objects: Vec<(Kind, Vec<u8>)>,
}

/// Why a draft could not become objects.
pub(crate) enum Trouble {
    /// The draft is at fault.
    Refused(GitError),
    /// What it builds on cannot be read.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

/// The new objects that `draft` takes on top of `parent`.
pub(crate) fn build(
    reader: &Reader,
    parent: Option<Revision>,
    draft: &Draft,
    key: Option<&SigningKey>,
) -> Result<Built, Trouble> {
    let bytes: usize = draft.files.values().flatten().map(Vec::len).sum();
    if bytes > BYTES_MAX {
        let limit = BYTES_MAX as u64;
        let place = "a commit to be made".to_owned();
        return Err(Trouble::Refused(GitError::Limit { place, what: "bytes in all files", limit }));
    }
    let mut root = Directory::default();
    for (path, content) in &draft.files {
        root.put(path, content.as_deref()).map_err(Trouble::Refused)?;
    }
    let base = parent.map(|parent| reader.root(parent.id())).transpose()?;
    let mut objects = Objects::default();
    let tree = match root.write(reader, base, &mut objects)? {
        Some(tree) => tree,
        None => objects.add(Kind::Tree, Vec::new())?,
    };
    let mut head = format!("tree {tree}\n");
    if let Some(parent) = parent {
        head.push_str(&format!("parent {parent}\n"));
    }
    head.push_str(&format!("author {}\n", draft.author.line(draft.time)));
    head.push_str(&format!("committer {}\n", draft.committer.line(draft.time)));
    let message = format!("\n{}\n", draft.message.trim_end());
    if let Some(key) = key {
        let signature = key.sign(format!("{head}{message}").as_bytes()).map_err(|reason| {
            Trouble::Refused(GitError::Unwritable { path: "the signature".to_owned(), reason })
        })?;
        // Lines of a header after its first begin with a space.
        head.push_str(&format!("gpgsig {}\n", signature.trim_end().replace('\n', "\n ")));
    }
    let commit = objects.add(Kind::Commit, format!("{head}{message}").into_bytes())?;
    Ok(Built { commit, objects: objects.found.into_values().collect() })
}

/// Objects to be sent, each once.
#[derive(Default)]
struct Objects {
    found: BTreeMap<ObjectId, (Kind, Vec<u8>)>,
}

impl Objects {
    fn add(&mut self, kind: Kind, data: Vec<u8>) -> Result<ObjectId, Fault> {
        let id = gix::objs::compute_hash(HashKind::Sha1, kind, &data)
            .map_err(|error| Fault::Malformed(HashKind::Sha1.null(), crate::error::chain(&error)))?;
        self.found.insert(id, (kind, data));
        Ok(id)
    }
}

/// Edits below one directory.
#[derive(Default)]
struct Directory<'a> {
    files: BTreeMap<&'a str, Option<&'a [u8]>>,
    directories: BTreeMap<&'a str, Directory<'a>>,
}

impl<'a> Directory<'a> {
    fn put(&mut self, path: &'a str, content: Option<&'a [u8]>) -> Result<(), GitError> {
        let refused =
            |reason: &str| GitError::Unwritable { path: path.to_owned(), reason: reason.to_owned() };
        if tree::clean(path).as_deref() != Some(path) || path.is_empty() {
            return Err(refused("expected a plain path from the root of the repository"));
        }
        let mut directory = self;
        let mut rest = path;
        loop {
            let (name, below) =
                rest.split_once('/').map_or((rest, None), |(name, below)| (name, Some(below)));
            if let Some(flaw) = tree::name_flaw(name.as_bytes()) {
                return Err(refused(flaw));
            }
            match below {
                None if directory.directories.contains_key(name) => {
                    return Err(refused("it is a directory of another file"));
                }
                None => {
                    directory.files.insert(name, content);
                    return Ok(());
                }
                Some(_) if directory.files.get(name).is_some_and(Option::is_some) => {
                    return Err(refused("a directory of it is a file"));
                }
                Some(below) => {
                    directory = directory.directories.entry(name).or_default();
                    rest = below;
                }
            }
        }
    }

    /// The tree with the edits made; `None` when nothing is left of it.
    fn write(
        &self,
        reader: &Reader,
        base: Option<ObjectId>,
        objects: &mut Objects,
    ) -> Result<Option<ObjectId>, Fault> {
        let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for entry in base.map(|base| reader.tree(base)).transpose()?.unwrap_or_default() {
            entries.insert(entry.name.clone(), entry);
        }
        for (name, content) in &self.files {
            let name = name.as_bytes().to_vec();
            match content {
                None => drop(entries.remove(&name)),
                Some(content) => {
                    let id = objects.add(Kind::Blob, content.to_vec())?;
                    entries.insert(name.clone(), Entry { name, mode: EntryKind::Blob.into(), id });
                }
            }
        }
        for (name, directory) in &self.directories {
            let name = name.as_bytes().to_vec();
            let below = entries.get(&name).filter(|entry| entry.mode.is_tree()).map(|entry| entry.id);
            match directory.write(reader, below, objects)? {
                None if below.is_some() => drop(entries.remove(&name)),
                None => {}
                Some(id) => {
                    entries.insert(name.clone(), Entry { name, mode: EntryKind::Tree.into(), id });
                }
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        objects.add(Kind::Tree, encode(entries.into_values().collect())).map(Some)
    }
}

/// A tree as Git stores it: directories are sorted as if their names ended in a slash.
fn encode(mut entries: Vec<Entry>) -> Vec<u8> {
    entries.sort_by_cached_key(|entry| {
        let mut key = entry.name.clone();
        if entry.mode.is_tree() {
            key.push(b'/');
        }
        key
    });
    let mut data = Vec::new();
    for entry in entries {
        data.extend_from_slice(format!("{:o} ", entry.mode.value()).as_bytes());
        data.extend_from_slice(&entry.name);
        data.push(0);
        data.extend_from_slice(entry.id.as_slice());
    }
    data
}
