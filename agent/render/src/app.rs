//! What is an app for one cluster?
//!
//! The agent, which reads a commit, and the command line, which reads a working directory, ask this
//! in the same words, so both get the same objects:
//!
//! ```text
//! gather (the caller reads, this says what) -> Files -> render_app -> objects, or why not
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    Files, Limits, Object, RenderError, RenderErrors, Substitutions, directory,
    kustomize::{Needs, Tree},
    render_tree,
    substitute::substitute,
    unique,
};

/// What of a repository an app is made from, for one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The directory or file, relative to the root of the repository, as [`crate::render`] takes it.
    pub path: String,
    /// What is put in place of `${name}` in its objects; `None` leaves them as they are.
    pub substitutions: Option<Substitutions>,
}

impl Source {
    /// A directory or file as it is, without substitutions.
    pub fn at(path: impl Into<String>) -> Source {
        Source { path: path.into(), substitutions: None }
    }
}

/// Reads all files that the app at `path` may need: those below it and, for a kustomization, those
/// of all that it names elsewhere in the repository, and that they name.
///
/// `below` gives the files below a path by their full names, the file itself when the path is one,
/// or `None` when there is nothing. It is called once for each path that is named, never for one
/// inside a directory that it gave before.
///
/// # Errors
/// The first error of `below`. What is named and not there is no error here; rendering says so,
/// with the place where it is named.
pub fn gather<E>(
    path: &str,
    limits: &Limits,
    mut below: impl FnMut(&str) -> Result<Option<Files>, E>,
) -> Result<Files, E> {
    // Rendering says what is wrong with the path.
    let Ok(path) = directory::normal(path) else { return Ok(Files::new()) };
    let mut files = below(path)?.unwrap_or_default();
    let mut needs = Needs::of(path, limits);
    loop {
        let named = needs.next(&files);
        if named.is_empty() {
            return Ok(files);
        }
        for path in named {
            files.extend(below(&path)?.unwrap_or_default());
        }
    }
}

/// Renders an app as it is applied: [`crate::render`], then the substitutions. An app that comes to no object
/// at all is an error, since it is far more often a mistake than the wish to delete everything. So is
/// a failure of the renderer itself, which must not end a program that looks after other apps too.
///
/// # Errors
/// Everything that is wrong. Nothing of the app should be applied then, and nothing pruned for it.
pub fn render_app(files: &Files, source: &Source, limits: &Limits) -> Result<Vec<Object>, RenderErrors> {
    catch_unwind(AssertUnwindSafe(|| objects(Tree::new(files), source, limits)))
        .unwrap_or_else(|_| Err(panicked(source)))
}

/// What is said of an app on which the renderer panicked.
pub(crate) fn panicked(source: &Source) -> RenderErrors {
    one_error(
        source,
        "the renderer failed on these manifests, which is a mistake in it; please report it. Objects applied before \
         stay as they are",
    )
}

/// The objects of an app.
pub(crate) fn objects(tree: Tree<'_>, source: &Source, limits: &Limits) -> Result<Vec<Object>, RenderErrors> {
    let mut objects = render_tree(tree, &source.path, limits)?;
    if objects.is_empty() {
        return Err(one_error(
            source,
            "there is no manifest in this directory. Objects applied before stay as they are; to delete them all, \
             remove the App document",
        ));
    }
    if let Some(values) = &source.substitutions {
        let mut errors = Vec::new();
        match substitute(&mut objects, values, tree, limits) {
            // Names may have become the same.
            Ok(()) => unique::check(&objects, &mut errors),
            Err(found) => errors = found,
        }
        if !errors.is_empty() {
            return Err(RenderErrors(errors));
        }
    }
    Ok(objects)
}

fn one_error(source: &Source, message: &str) -> RenderErrors {
    RenderErrors(vec![RenderError::at_file(&source.path, message)])
}
