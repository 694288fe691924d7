//! Which directories does a kustomization name that have not been read yet?
//!
//! Whoever reads a repository piece by piece asks this until the answer is nothing: a base may lie
//! anywhere, and only its kustomization says where the next one is.

use std::collections::{BTreeMap, BTreeSet};

use muster_yaml::{Node, Value};

use super::{
    kustomization::{FILE_NAMES, first_document},
    tree::{Tree, resolve},
};
use crate::Limits;

/// The fields whose entries may be directories.
const FIELDS: [&str; 6] = ["resources", "bases", "components", "generators", "transformers", "validators"];

/// The directories that are named in what is there and are not there themselves.
pub(crate) fn missing(files: &BTreeMap<String, Vec<u8>>, path: &str, limits: &Limits) -> BTreeSet<String> {
    let tree = Tree { files };
    let (mut missing, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![path.to_owned()];
    while let Some(root) = open.pop() {
        if !seen.insert(root.clone()) || seen.len() > limits.kustomizations_max {
            continue;
        }
        for entry in named(files, &root, limits) {
            match resolve(&root, &entry) {
                Ok(full) if files.contains_key(&full) => {}
                Ok(full) if tree.is_directory(&full) => open.push(full),
                Ok(full) => {
                    missing.insert(full);
                }
                // What it is and why not, rendering says.
                Err(_) => {}
            }
        }
    }
    missing
}

fn named(files: &BTreeMap<String, Vec<u8>>, root: &str, limits: &Limits) -> Vec<String> {
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
