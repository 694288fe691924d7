//! Which fields does a writer own? A set of paths, in the form managedFields use (`FieldsV1`).
//!
//! A path element is the text that FieldsV1 has as a key: `f:name` a field, `k:{"name":"web"}` an element of a
//! list map, `v:"x"` an element of a set.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Deeper field sets are refused.
const DEPTH_MAX: usize = 100;

/// A set of paths, as a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    nodes: BTreeMap<String, Node>,
}

/// One path element: whether the path ending here is in the set, and what lies below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) member: bool,
    pub(crate) below: Set,
}

impl Set {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter()
    }

    pub(crate) fn node(&self, element: &str) -> Option<&Node> {
        self.nodes.get(element)
    }

    /// Sets what is at the element; an empty node is not kept.
    pub(crate) fn put(&mut self, element: &str, node: Node) {
        if node.member || !node.below.is_empty() {
            self.nodes.insert(element.to_owned(), node);
        }
    }

    /// Adds the path, and no prefix of it.
    pub(crate) fn insert(&mut self, path: &[&str]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.nodes.entry((*first).to_owned()).or_default();
            match rest.is_empty() {
                true => node.member = true,
                false => node.below.insert(rest),
            }
        }
    }

    /// Removes the path and everything below it.
    pub(crate) fn remove_tree(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [last] => {
                self.nodes.remove(*last);
            }
            [first, rest @ ..] => {
                if let Some(node) = self.nodes.get_mut(*first) {
                    node.below.remove_tree(rest);
                    if !node.member && node.below.is_empty() {
                        self.nodes.remove(*first);
                    }
                }
            }
        }
    }

    /// Paths in either.
    pub(crate) fn union(&self, other: &Set) -> Set {
        let mut nodes = self.nodes.clone();
        for (element, theirs) in &other.nodes {
            let node = nodes.entry(element.clone()).or_default();
            node.member |= theirs.member;
            node.below = node.below.union(&theirs.below);
        }
        Set { nodes }
    }

    /// Paths in both.
    pub(crate) fn intersection(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && theirs, |_| Set::default())
    }

    /// Paths in this but not in the other.
    pub(crate) fn difference(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && !theirs, Set::clone)
    }

    fn combine(&self, other: &Set, keep: fn(bool, bool) -> bool, alone: fn(&Set) -> Set) -> Set {
        let mut result = Set::default();
        for (element, mine) in &self.nodes {
            let theirs = other.nodes.get(element);
            let member = keep(mine.member, theirs.is_some_and(|node| node.member));
            let below = match theirs {
                Some(theirs) => mine.below.combine(&theirs.below, keep, alone),
                None => alone(&mine.below),
            };
            result.put(element, Node { member, below });
        }
        result
    }

    /// All paths, each before what lies below it.
    pub(crate) fn paths(&self) -> Vec<Vec<&str>> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect<'a>(&'a self, prefix: &mut Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) {
        // The API server lists the members of a level first, then what is below.
        for (element, node) in &self.nodes {
            if node.member {
                found.push([prefix.as_slice(), &[element.as_str()]].concat());
            }
        }
        for (element, node) in &self.nodes {
            prefix.push(element);
            node.below.collect(prefix, found);
            prefix.pop();
        }
    }

    /// The FieldsV1 form.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.nodes {
            let mut below = node.below.to_json();
            if let (true, Value::Object(fields)) = (node.member && !node.below.is_empty(), &mut below) {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.clone(), below);
        }
        Value::Object(map)
    }

    /// Reads the FieldsV1 form; `None` when it is malformed.
    pub(crate) fn from_json(value: &Value) -> Option<Set> {
        Self::read(value, 0)
    }

    fn read(value: &Value, depth: usize) -> Option<Set> {
        let mut set = Set::default();
        if depth > DEPTH_MAX {
            return None;
        }
        for (element, below) in value.as_object()? {
            if element == "." {
                continue;
            }
            let known = ["f:", "k:{", "v:", "i:"].iter().any(|prefix| element.starts_with(prefix));
            let fields = below.as_object()?;
            if !known {
                return None;
            }
            let member = fields.is_empty() || fields.contains_key(".");
            set.put(element, Node { member, below: Self::read(below, depth + 1)? });
        }
        Some(set)
    }
}

/// A path as error messages print it: `.spec.template.spec.containers[name="web"].image`.
pub(crate) fn display(path: &[&str]) -> String {
    path.iter().map(|element| display_element(element)).collect()
}

fn display_element(element: &str) -> String {
    match element.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some(("v:", value)) => format!("[={value}]"),
        Some(("i:", index)) => format!("[{index}]"),
        _ => element.to_owned(),
    }
}
