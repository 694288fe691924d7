//! What shape does a value of a kind have: which lists are merged and by which keys, what is atomic?
//!
//! Built-in kinds come from the table `schema/kubernetes.txt`, custom kinds from their
//! CustomResourceDefinition. Every walker (`fields`, `patch`, `decode`) is led by these shapes.

mod crd;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use crd::custom;
pub(crate) use table::Builtins;

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The form of one scalar in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Integer,
    Number,
    Boolean,
    /// A quantity such as `500m`; written in its canonical form.
    Quantity,
    /// A port number or name, a count or percentage.
    IntOrString,
    Time,
    /// Base64 of bytes.
    Bytes,
}

/// How the elements of a list are told apart when two writers meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// One value with one owner; the name is the merge key of strategic merge patches, if there is one.
    Atomic(Option<String>),
    /// Scalars, each its own element.
    Set,
    /// Objects told apart by these fields.
    Map(Vec<Key>),
}

/// A field that tells list elements apart, and the value it has when it is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) default: Option<String>,
}

/// Index of a structure in its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeId(usize);

/// The shape of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar(Scalar),
    /// Anything: objects are granular, lists atomic, as the API server deduces where it has no schema.
    Any,
    Struct {
        of: TypeId,
        atomic: bool,
    },
    Map {
        of: Box<Shape>,
        atomic: bool,
    },
    List {
        of: Box<Shape>,
        kind: ListKind,
    },
}

/// Whether a field is written when it has its zero value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Left out when zero, empty or null.
    Omitted,
    /// Left out only when null: zero is a value of its own (`replicas: 0`).
    Pointer,
    /// Always written, with the zero value of its type.
    Always,
    /// Always written, as null when absent.
    Null,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
    /// The default a CustomResourceDefinition gives; built-in kinds are defaulted by code.
    pub(crate) default: Option<Value>,
    /// Where protobuf has the field: its number, after those of the structures it is embedded in.
    pub(crate) numbers: Vec<u64>,
    /// Null is a value here (only custom kinds say so).
    pub(crate) nullable: bool,
}

/// An object with named fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<String, Field>,
    /// Unknown fields are kept, as `x-kubernetes-preserve-unknown-fields` says.
    pub(crate) open: bool,
    /// Fields that must be there (custom kinds; built-in kinds are validated by code).
    pub(crate) required: Vec<String>,
}

/// The shape of one kind, with the structures it refers to.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    builtins: Arc<Builtins>,
    own: Vec<Structure>,
    root: Shape,
    custom: bool,
}

/// What a walker finds at a shape: a leaf, or something to descend into.
pub(crate) enum View<'a> {
    /// Scalars, nulls and atomic values: owned and replaced as one.
    Leaf,
    Struct(&'a Structure),
    Map(&'a Shape),
    List(&'a Shape, &'a ListKind),
}

impl Schema {
    fn new(builtins: Arc<Builtins>, own: Vec<Structure>, root: Shape, custom: bool) -> Self {
        Schema { builtins, own, root, custom }
    }

    pub(crate) fn root(&self) -> &Shape {
        &self.root
    }

    /// Whether this is the schema of a custom kind.
    pub(crate) fn custom(&self) -> bool {
        self.custom
    }

    pub(crate) fn structure(&self, id: TypeId) -> &Structure {
        let builtin = self.builtins.structures();
        builtin.get(id.0).unwrap_or_else(|| &self.own[id.0 - builtin.len()])
    }

    /// What there is to descend into at `shape`, given the values on either side.
    pub(crate) fn view<'a>(&'a self, shape: &'a Shape, values: &[Option<&Value>]) -> View<'a> {
        match shape {
            Shape::Scalar(_) => View::Leaf,
            Shape::Struct { atomic: true, .. } | Shape::Map { atomic: true, .. } => View::Leaf,
            Shape::List { kind: ListKind::Atomic(_), .. } => View::Leaf,
            Shape::Any => {
                let mut known = values.iter().flatten().filter(|value| !value.is_null()).peekable();
                if known.peek().is_some() && known.all(|value| value.is_object()) {
                    View::Map(&Shape::Any)
                } else {
                    View::Leaf
                }
            }
            Shape::Struct { of, .. } => View::Struct(self.structure(*of)),
            Shape::Map { of, .. } => View::Map(of),
            Shape::List { of, kind } => View::List(of, kind),
        }
    }
}

impl Structure {
    /// The shape of the field, or of any field where unknown ones are kept.
    pub(crate) fn shape(&self, name: &str) -> Option<&Shape> {
        match self.fields.get(name) {
            Some(field) => Some(&field.shape),
            None if self.open => Some(&Shape::Any),
            None => None,
        }
    }
}
