//! Which files of a plain directory are manifests?
//!
//! All `.yaml`, `.yml` and `.json` files below it, however deep, as `kubectl apply -R -f` and Argo
//! CD take them, except those that are hidden or in a hidden folder.

use crate::{
    Limits, RenderError,
    kustomize::{self, Tree},
};

/// Endings of manifests; others are ignored.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// The directory in the form in which files are named.
pub(crate) fn normal(path: &str) -> Result<&str, RenderError> {
    let path = path.trim_end_matches('/');
    let path = if path == "." { "" } else { path };
    if path.split('/').any(|part| part == "." || part == "..") || path.starts_with('/') {
        let message = "the path must be relative to the root of the repository, without `.` and `..`";
        return Err(RenderError::at_file(path, message));
    }
    Ok(path)
}

/// Whether a directory is one for Kustomize.
pub(crate) fn is_kustomization(tree: Tree<'_>, path: &str) -> bool {
    !tree.kustomizations(path).is_empty()
}

/// Finds the manifests of a directory, in the order of their names.
pub(crate) fn manifests<'f>(
    tree: Tree<'f>,
    path: &str,
    limits: &Limits,
) -> Result<Vec<(&'f str, &'f [u8])>, Vec<RenderError>> {
    if let Some((file, bytes)) = tree.get(path) {
        return single_file(file, bytes);
    }
    let prefix_bytes = if path.is_empty() { 0 } else { path.len() + 1 };
    let (mut found, mut errors, mut bytes_sum, mut any) = (Vec::new(), Vec::new(), 0_usize, false);
    for (file, bytes) in tree.below(path) {
        any = true;
        let inside = &file[prefix_bytes..];
        if inside.split('/').any(|part| part.starts_with('.')) {
            continue;
        }
        let name = inside.rsplit('/').next().unwrap_or(inside);
        if kustomize::FILE_NAMES.contains(&name) {
            errors.push(refuse_kustomize(file));
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push((file, bytes));
            bytes_sum = bytes_sum.saturating_add(bytes.len());
        }
    }
    if !any {
        let message = "there is no such directory in the repository at this revision; check source.path";
        errors.push(RenderError::at_file(path, message));
    }
    if found.len() > limits.files_max {
        let message =
            format!("{} manifests; at most {} are allowed, split the app", found.len(), limits.files_max);
        errors.push(RenderError::at_file(path, message));
    }
    if bytes_sum > limits.bytes_max {
        let message = format!(
            "{bytes_sum} bytes of manifests; at most {} are allowed, split the app",
            limits.bytes_max
        );
        errors.push(RenderError::at_file(path, message));
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn single_file<'f>(file: &'f str, bytes: &'f [u8]) -> Result<Vec<(&'f str, &'f [u8])>, Vec<RenderError>> {
    if ENDINGS.iter().any(|ending| file.ends_with(ending)) {
        return Ok(vec![(file, bytes)]);
    }
    Err(vec![RenderError::at_file(file, "this is a file, but not a manifest (.yaml, .yml or .json)")])
}

/// Neither kubectl nor Argo CD make anything good of this: to them it is a manifest.
fn refuse_kustomize(file: &str) -> RenderError {
    let message = "a kustomization below a directory of plain manifests: point source.path at the directory of this \
                   file, or add a kustomization that names everything to the one above";
    RenderError::at_file(file, message)
}
