//! Where in a document is a field, and what rules go beyond the type of one field?

use std::fmt;

use muster_yaml::{Mark, Node, Value};

/// One step from a document to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Index(index)
    }
}

/// The way from a document to a field, shown as `spec.waves[1].soak`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.contains(['.', '/', ' ']) || key.is_empty() => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

impl Path {
    /// The place of the field, or of the nearest one above it that is there.
    pub(crate) fn locate(&self, root: &Node) -> Mark {
        let (mut node, mut mark) = (root, root.at);
        for step in &self.0 {
            let next = match (step, &node.value) {
                (Step::Key(key), _) => node.get(key),
                (Step::Index(index), Value::Sequence(items)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            (node, mark) = (next, next.at);
        }
        mark
    }
}

/// Rules of a document that no single field can check by itself.
pub(crate) trait Check {
    /// Reports what breaks the rules.
    fn check(&self, problems: &mut Problems);
}

/// Collects broken rules with the way to each field.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    prefix: Vec<Step>,
    pub(crate) found: Vec<(Path, String)>,
}

impl Problems {
    /// Reports a problem of the field behind `steps`.
    pub(crate) fn at(&mut self, steps: &[Step], message: impl Into<String>) {
        let path = Path(self.prefix.iter().chain(steps).cloned().collect());
        self.found.push((path, message.into()));
    }

    /// Checks a part of the document that stands behind `steps`.
    pub(crate) fn inside(&mut self, steps: &[Step], part: &impl Check) {
        let outer = self.prefix.len();
        self.prefix.extend_from_slice(steps);
        part.check(self);
        self.prefix.truncate(outer);
    }
}
