//! Which directories does a kustomization name that have not been read yet?
//!
//! Whoever reads a repository piece by piece asks this until the answer is nothing: a base may lie
//! anywhere, and only its kustomization says where the next one is.

use std::collections::BTreeSet;

use muster_yaml::{Node, Value};

use super::{
    kustomization::{FILE_NAMES, first_document},
    tree::{is_below, resolve},
};
use crate::{Files, Limits};

/// The fields whose entries may be directories.
const FIELDS: [&str; 6] = ["resources", "bases", "components", "generators", "transformers", "validators"];

/// The kustomizations that were looked at, and those to look at next.
pub(crate) struct Needs<'l> {
    limits: &'l Limits,
    /// Directories whose kustomization is read next.
    open: Vec<String>,
    seen: BTreeSet<String>,
    /// What was read in whole, or is asked for.
    asked: BTreeSet<String>,
}

impl<'l> Needs<'l> {
    /// Begins at a directory that has been read.
    pub(crate) fn of(path: &str, limits: &'l Limits) -> Self {
        let path = path.to_owned();
        Needs { limits, open: vec![path.clone()], seen: BTreeSet::new(), asked: BTreeSet::from([path]) }
    }

    /// The paths to read next; `files` holds all that were asked for before and are there. None when
    /// everything is there.
    pub(crate) fn next(&mut self, files: &Files) -> Vec<String> {
        let mut missing = Vec::new();
        while let Some(root) = self.open.pop() {
            if self.seen.len() >= self.limits.kustomizations_max || !self.seen.insert(root.clone()) {
                continue;
            }
            for entry in named(files, &root, self.limits) {
                // What is wrong with a path, rendering says; a directory around this one is a cycle.
                let Some(full) = resolve(&root, &entry).ok().filter(|full| !is_below(&root, full)) else {
                    continue;
                };
                if self.is_asked(&full) {
                    self.open.push(full);
                } else {
                    self.asked.insert(full.clone());
                    missing.push(full);
                }
            }
        }
        self.open.clone_from(&missing);
        missing
    }

    /// Whether this or a directory around it was asked for.
    fn is_asked(&self, path: &str) -> bool {
        let around = path.match_indices('/').map(|(at, _)| &path[..at]);
        around.chain(["", path]).any(|path| self.asked.contains(path))
    }
}

fn named(files: &Files, root: &str, limits: &Limits) -> Vec<String> {
    let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
    let bytes = FILE_NAMES.iter().find_map(|name| files.get(&format!("{prefix}{name}")));
    let Some(Ok(Some(Node { value: Value::Mapping(entries), .. }))) =
        bytes.map(|bytes| first_document(bytes, limits))
    else {
        return Vec::new();
    };
    let lists = entries
        .into_iter()
        .filter(|entry| FIELDS.iter().any(|field| entry.key.eq_ignore_ascii_case(field)))
        .filter_map(|entry| if let Value::Sequence(items) = entry.value.value { Some(items) } else { None });
    let text = |node: Node| if let Value::String(text) = node.value { Some(text) } else { None };
    // Objects that stand in the kustomization itself have several lines; URLs are refused later.
    lists
        .flatten()
        .filter_map(text)
        .filter(|text| !text.contains('\n') && !text.contains("://") && !text.is_empty())
        .collect()
}
