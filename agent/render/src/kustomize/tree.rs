//! Which file or directory does a kustomization name, and may it?

use std::{collections::BTreeMap, ops::Bound};

/// The files of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree<'f> {
    pub(crate) files: &'f BTreeMap<String, Vec<u8>>,
}

impl<'f> Tree<'f> {
    pub(crate) fn is_directory(self, path: &str) -> bool {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let mut below = self.files.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        below.next().is_some_and(|(file, _)| file.starts_with(&prefix))
    }

    /// A file that a kustomization in `root` names. It has to be in or below `root`.
    pub(crate) fn load(self, root: &str, path: &str) -> Result<(&'f str, &'f [u8]), String> {
        refuse_remote(path)?;
        let full = resolve(root, path)?;
        let Some((name, bytes)) = self.files.get_key_value(&full) else {
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
        if self.files.contains_key(&full) {
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
