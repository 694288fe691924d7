//! Which repository does a path on the command line belong to?

use std::path::{Component, Path, PathBuf};

use super::SourceError;

/// A directory or file, and the work tree it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The work tree of Git around it; without Git the current directory when it is around it, else the
    /// directory itself. Absolute, without links.
    pub(crate) root: PathBuf,
    /// From the root to what is meant, with `/` between parts; empty for the root itself.
    pub(crate) inside: String,
    /// Whether the root is a work tree of Git.
    pub(crate) is_git: bool,
}

/// Finds the repository of `path`, which must exist.
///
/// # Errors
/// When there is nothing at `path`, or its name is not UTF-8.
pub(crate) fn find(path: &Path, current: &Path) -> Result<Place, SourceError> {
    let full = current.join(path);
    let full = full
        .canonicalize()
        .map_err(|error| SourceError::Failed(format!("{} cannot be read: {error}", path.display())))?;
    let directory = if full.is_dir() { full.as_path() } else { full.parent().unwrap_or(&full) };
    let git = directory.ancestors().find(|ancestor| ancestor.join(".git").exists());
    let current = current.canonicalize().unwrap_or_else(|_| current.to_owned());
    let root = match git {
        Some(root) => root,
        None if full.starts_with(&current) => current.as_path(),
        None => directory,
    };
    let inside = full.strip_prefix(root).unwrap_or(Path::new(""));
    let inside = inside
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| SourceError::Failed(format!("the name of {} is not UTF-8", path.display())))?
        .join("/");
    Ok(Place { root: root.to_owned(), inside, is_git: git.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_tree_of_git_comes_first_then_the_current_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        for folder in ["git/.git", "git/deploy/fleet", "plain/overlay"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        let place = find(Path::new("git/deploy/fleet"), &base).unwrap();
        assert_eq!(place, Place { root: base.join("git"), inside: "deploy/fleet".to_owned(), is_git: true });
        let place = find(Path::new("plain/overlay"), &base).unwrap();
        assert_eq!(place, Place { root: base.clone(), inside: "plain/overlay".to_owned(), is_git: false });
        let place = find(&base.join("plain/overlay"), &base.join("git")).unwrap();
        assert_eq!((place.root, place.inside.as_str()), (base.join("plain/overlay"), ""));
        assert!(find(Path::new("nowhere"), &base).is_err());
    }
}
