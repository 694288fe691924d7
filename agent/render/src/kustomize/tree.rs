//! Which file or directory does a kustomization name, and may it?

use super::kustomization::FILE_NAMES;
use crate::{
    Files,
    cache::{Read, Session, below},
};

/// The files of a repository. All that is read of them is read here, so that a cache knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree<'f> {
    files: &'f Files,
    session: Option<&'f Session<'f>>,
}

impl<'f> Tree<'f> {
    pub(crate) fn new(files: &'f Files) -> Tree<'f> {
        Tree { files, session: None }
    }

    /// Files rendered with a cache.
    pub(crate) fn cached(files: &'f Files, session: &'f Session<'f>) -> Tree<'f> {
        Tree { files, session: Some(session) }
    }

    /// The cache, if there is one.
    pub(crate) fn session(self) -> Option<&'f Session<'f>> {
        self.session
    }

    fn note(self, read: impl FnOnce() -> Read) {
        if let Some(session) = self.session {
            session.note(read());
        }
    }

    /// A file by its whole path.
    pub(crate) fn get(self, path: &str) -> Option<(&'f str, &'f [u8])> {
        self.note(|| Read::File(path.to_owned()));
        self.files.get_key_value(path).map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// All files below a directory, in the order of their names.
    pub(crate) fn below(self, path: &str) -> impl Iterator<Item = (&'f str, &'f [u8])> + use<'f> {
        self.note(|| Read::Below(path.to_owned()));
        below(self.files, path)
    }

    pub(crate) fn is_directory(self, path: &str) -> bool {
        self.note(|| Read::Directory(path.to_owned()));
        below(self.files, path).next().is_some()
    }

    /// The kustomizations that a directory has; it should be one.
    pub(crate) fn kustomizations(self, root: &str) -> Vec<(&'f str, &'f [u8])> {
        let path = |name: &str| if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") };
        FILE_NAMES.iter().filter_map(|name| self.get(&path(name))).collect()
    }

    /// A file that a kustomization in `root` names. It has to be in or below `root`.
    pub(crate) fn load(self, root: &str, path: &str) -> Result<(&'f str, &'f [u8]), String> {
        refuse_remote(path)?;
        let full = resolve(root, path)?;
        let Some((name, bytes)) = self.get(&full) else {
            return Err(if self.is_directory(&full) {
                format!("'{path}' must resolve to a file; {} is a directory", shown(&full))
            } else {
                format!("'{path}': no such file: {full}")
            });
        };
        if !is_below(&full, root) {
            return Err(format!("security; file '{full}' is not in or below '{}'", shown(root)));
        }
        Ok((name, bytes))
    }

    /// A directory that a kustomization in `root` names.
    pub(crate) fn directory(self, root: &str, path: &str) -> Result<String, String> {
        refuse_remote(path)?;
        if path.is_empty() {
            return Err("a path is empty".to_owned());
        }
        let full = resolve(root, path)?;
        if self.get(&full).is_some() {
            return Err(format!("'{path}' is a file, not a directory"));
        }
        if !self.is_directory(&full) {
            return Err(format!("'{path}': no such file or directory: {full}"));
        }
        Ok(full)
    }
}

/// A directory for messages.
pub(crate) fn shown(directory: &str) -> &str {
    if directory.is_empty() { "." } else { directory }
}

/// Whether a path is this directory or in it, at any depth.
pub(crate) fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path == directory
        || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn refuse_remote(path: &str) -> Result<(), String> {
    let is_remote = path.contains("://")
        || ["git@", "git::", "gh:", "github.com/", "github.com:"].iter().any(|start| path.starts_with(start))
        || path.contains("?ref=");
    if is_remote {
        return Err(format!(
            "'{path}' is remote; nothing is fetched while rendering: copy it into the repository and name it by \
             its path"
        ));
    }
    Ok(())
}

/// The path relative to the repository, without `.` and `..`.
pub(crate) fn resolve(root: &str, path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        return Err(format!("'{path}' is absolute; paths are relative to the kustomization"));
    }
    let mut parts: Vec<&str> = root.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => {
                return Err(format!("'{path}' leaves the repository"));
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
