//! What does the table of built-in shapes say? (`schema/kubernetes.txt`, written by `schema/generate.go`.)
//!
//! ```text
//! kind apps/v1/Deployment apps.v1.Deployment
//! type apps.v1.DeploymentSpec &replicas=1:i ?selector=2:#meta.v1.LabelSelector +template=3:@core.v1.PodTemplateSpec
//! ```
//! A field is `[presence]name=number:shape`, the number being protobuf's (with the numbers of the structures it is
//! embedded in before it). Presence: none, left out when zero; `&`, left out when null; `+`, always
//! written; `?`, always written and possibly null. Shapes: `s` string, `i` integer, `n` number, `b` boolean, `q`
//! quantity, `x` int or string, `t` time, `y` bytes, `*` anything, `@T` structure, `#T` atomic structure, `{E` map,
//! `%E` atomic map, `(E` set, `[]E` atomic list, `[~key]E` atomic list with a merge key, `[a,b=default]E` list map.

use super::{Field, Key, ListKind, Presence, Scalar, Schema, Shape, Structure, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;

const TABLE: &str = include_str!("../../schema/kubernetes.txt");

/// The shapes of all built-in kinds, parsed once and shared by every cluster of the process.
#[derive(Debug)]
pub(crate) struct Builtins {
    structures: Vec<Structure>,
    kinds: BTreeMap<String, TypeId>,
    names: BTreeMap<String, TypeId>,
}

impl Builtins {
    /// Parses the table.
    pub(crate) fn load() -> Arc<Builtins> {
        let types: Vec<&str> = TABLE.lines().filter_map(|line| line.strip_prefix("type ")).collect();
        let names: BTreeMap<String, TypeId> = types
            .iter()
            .enumerate()
            .map(|(index, line)| (first_word(line).to_owned(), TypeId(index)))
            .collect();
        let structures = types.iter().map(|line| structure(line, &names)).collect();
        let kinds = TABLE
            .lines()
            .filter_map(|line| line.strip_prefix("kind ")?.split_once(' '))
            .filter_map(|(kind, of)| Some((kind.to_owned(), *names.get(of)?)))
            .collect();
        Arc::new(Builtins { structures, kinds, names })
    }

    pub(super) fn structures(&self) -> &[Structure] {
        &self.structures
    }

    /// The structure of this name, such as `meta.v1.ObjectMeta`.
    pub(super) fn named(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// The schema of a built-in kind, `group_version` being `v1` or `apps/v1`.
    pub(crate) fn schema(self: &Arc<Self>, group_version: &str, kind: &str) -> Option<Schema> {
        let of = *self.kinds.get(&format!("{group_version}/{kind}"))?;
        Some(Schema::new(self.clone(), Vec::new(), Shape::Struct { of, atomic: false }, false))
    }
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn structure(line: &str, names: &BTreeMap<String, TypeId>) -> Structure {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let fields = words
        .filter_map(|word| {
            let (name, shape) = word.split_once(':')?;
            let (name, number) = name.split_once('=')?;
            let numbers = number.split('.').filter_map(|number| number.parse().ok()).collect();
            let (presence, name) = match name.as_bytes().first()? {
                b'+' => (Presence::Always, &name[1..]),
                b'?' => (Presence::Null, &name[1..]),
                b'&' => (Presence::Pointer, &name[1..]),
                _ => (Presence::Omitted, name),
            };
            let shape = parse_shape(shape, names)?;
            Some((name.to_owned(), Field { shape, presence, default: None, numbers, nullable: true }))
        })
        .collect();
    Structure { name, fields, open: false, required: Vec::new() }
}

fn parse_shape(text: &str, names: &BTreeMap<String, TypeId>) -> Option<Shape> {
    let rest = text.get(1..)?;
    let scalar = |scalar| Some(Shape::Scalar(scalar));
    let inner = |text: &str| parse_shape(text, names).map(Box::new);
    match text.as_bytes().first()? {
        b's' => scalar(Scalar::String),
        b'i' => scalar(Scalar::Integer),
        b'n' => scalar(Scalar::Number),
        b'b' => scalar(Scalar::Boolean),
        b'q' => scalar(Scalar::Quantity),
        b'x' => scalar(Scalar::IntOrString),
        b't' => scalar(Scalar::Time),
        b'y' => scalar(Scalar::Bytes),
        b'*' => Some(Shape::Any),
        b'@' => Some(Shape::Struct { of: *names.get(rest)?, atomic: false }),
        b'#' => Some(Shape::Struct { of: *names.get(rest)?, atomic: true }),
        b'{' => Some(Shape::Map { of: inner(rest)?, atomic: false }),
        b'%' => Some(Shape::Map { of: inner(rest)?, atomic: true }),
        b'(' => Some(Shape::List { of: inner(rest)?, kind: ListKind::Set }),
        b'[' => {
            let (keys, of) = rest.split_once(']')?;
            let kind = match keys.strip_prefix('~') {
                Some(merge) => ListKind::Atomic(Some(merge.to_owned())),
                None if keys.is_empty() => ListKind::Atomic(None),
                None => ListKind::Map(keys.split(',').map(key).collect()),
            };
            Some(Shape::List { of: inner(of)?, kind })
        }
        _ => None,
    }
}

fn key(text: &str) -> Key {
    match text.split_once('=') {
        Some((name, default)) => Key { name: name.to_owned(), default: Some(default.to_owned()) },
        None => Key { name: text.to_owned(), default: None },
    }
}
