//! What does a strategic merge patch make of an object?

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    PatchError, Schema, Spelling,
    schema::At,
    tree::{Id, Shape, Tree},
};

/// The key by which a patch says what to do with a mapping or list.
pub(super) const DIRECTIVE: &str = "$patch";

/// What became of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// It is still there, patched.
    Kept,
    /// The patch deletes it (`$patch: delete`); it is null now.
    Deleted,
}

/// Merges a patch into an object. Keeping what a patch must not change (name, kind, namespace) is
/// up to the caller.
///
/// # Errors
/// When the patch has another kind of value than the object at the same place, or an unknown
/// `$patch`. The object is then as before.
pub(crate) fn merge(
    schema: &Schema,
    target: &mut Value,
    target_spelling: &mut Spelling,
    patch: &Value,
    patch_spelling: &Spelling,
) -> Result<Merged, PatchError> {
    let mut tree = Tree::default();
    let target_id = tree.insert(target.clone(), target_spelling);
    let patch_id = tree.insert(patch.clone(), patch_spelling);
    let mut merge = Merge { schema, tree, path: Vec::new() };
    let walked = merge.walk(Some(target_id), Some(patch_id), At::Unknown)?;
    let (value, spelling) = match walked {
        Walked::Node(id) => merge.tree.value(id),
        Walked::Gone | Walked::NullKept => (Value::Null, Spelling::Plain),
    };
    let merged = if value.is_null() { Merged::Deleted } else { Merged::Kept };
    *target = value;
    *target_spelling = spelling;
    Ok(merged)
}

/// What is at a place after the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    /// Nothing: the field or element is removed.
    Gone,
    /// The null that the object had and that the patch says nothing about.
    NullKept,
    /// This node.
    Node(Id),
}

pub(super) struct Merge<'s> {
    pub(super) schema: &'s Schema,
    pub(super) tree: Tree,
    /// The keys from the top to here, for messages.
    path: Vec<String>,
}

/// What `$patch` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Merge<'_> {
    /// Merges the patch's node into the target's node and says what stands there then.
    pub(super) fn walk(
        &mut self,
        target: Option<Id>,
        patch: Option<Id>,
        at: At,
    ) -> Result<Walked, PatchError> {
        let at = match at {
            At::Unknown => self.of_kind(target).or_else(|| self.of_kind(patch)).unwrap_or(At::Unknown),
            at => at,
        };
        let present = |id: &Id| !self.tree.is_null(*id);
        let (target_there, patch_there) = (target.filter(present), patch.filter(present));
        let Some(first) = target_there.or(patch_there) else {
            return self.walk_mapping(target, patch, at);
        };
        if let (Some(target), Some(patch)) = (target_there, patch_there)
            && self.tree.kind(target) != self.tree.kind(patch)
        {
            let message = format!(
                "wrong node kind: the patch has {} where the object has {}",
                self.tree.kind(patch),
                self.tree.kind(target)
            );
            return Err(self.fail(message));
        }
        match (self.tree.shape(first), at) {
            (Shape::Mapping(_), _) => self.walk_mapping(target, patch, at),
            (Shape::List(_), At::Merged { .. }) => self.walk_list(target, patch, at),
            // A list without keys, and a scalar: the patch's, if it says anything.
            _ => Ok(patch.or(target).map_or(Walked::Gone, Walked::Node)),
        }
    }

    /// An error at the present place.
    pub(super) fn fail(&self, message: impl std::fmt::Display) -> PatchError {
        if self.path.is_empty() {
            PatchError::new(message.to_string())
        } else {
            PatchError::new(format!("{}: {message}", self.path.join(".")))
        }
    }

    /// An object inside an object of unknown kind is known by its own `apiVersion` and `kind`.
    fn of_kind(&self, id: Option<Id>) -> Option<At> {
        let id = id?;
        let text =
            |key| self.tree.field(id, key).filter(|id| !self.tree.is_null(*id)).map(|id| self.tree.text(id));
        self.schema.object(text("apiVersion")?, text("kind")?)
    }

    fn walk_mapping(&mut self, target: Option<Id>, patch: Option<Id>, at: At) -> Result<Walked, PatchError> {
        let into = match self.choose_mapping(target, patch)? {
            Walked::Node(into) => into,
            other => return Ok(other),
        };
        let mut keys = BTreeSet::new();
        for id in [Some(into), patch].into_iter().flatten() {
            keys.extend(self.tree.entries(id).iter().map(|(key, _)| key.clone()));
        }
        for key in keys {
            let below = self.schema.field(at, &key);
            let target = self.tree.field(into, &key);
            let patch = patch.and_then(|patch| self.tree.field(patch, &key));
            self.path.push(key);
            let walked = self.walk(target, patch, below)?;
            let key = self.path.pop().unwrap_or_default();
            match walked {
                Walked::Node(value) if !self.tree.is_null(value) => self.tree.set_field(into, &key, value),
                Walked::NullKept => {}
                Walked::Gone | Walked::Node(_) => self.tree.remove_field(into, &key),
            }
        }
        Ok(Walked::Node(into))
    }

    /// Which of the two mappings the other's fields are merged into, if any stays.
    fn choose_mapping(&mut self, target: Option<Id>, patch: Option<Id>) -> Result<Walked, PatchError> {
        let Some(target) = target.filter(|target| !self.tree.is_null(*target)) else {
            let Some(patch) = patch else {
                let written = target.is_some_and(|target| !self.tree.text(target).is_empty());
                return Ok(if written { Walked::NullKept } else { Walked::Gone });
            };
            // An unknown directive in what is added is looked at again one step further down.
            return Ok(match self.mapping_directive(patch) {
                Ok(Directive::Delete) => Walked::Gone,
                _ => Walked::Node(patch),
            });
        };
        let Some(patch) = patch else { return Ok(Walked::Node(target)) };
        if self.tree.is_null(patch) {
            return Ok(Walked::Gone);
        }
        Ok(match self.mapping_directive(patch)? {
            Directive::Delete => Walked::Gone,
            Directive::Replace => Walked::Node(patch),
            Directive::Merge => Walked::Node(target),
        })
    }

    /// Reads and removes the `$patch` of a mapping.
    fn mapping_directive(&mut self, patch: Id) -> Result<Directive, PatchError> {
        let Some(value) = self.tree.field(patch, DIRECTIVE) else { return Ok(Directive::Merge) };
        let directive = self.directive(value)?;
        self.tree.remove_field(patch, DIRECTIVE);
        Ok(directive)
    }

    /// What a value of `$patch` means.
    pub(super) fn directive(&self, value: Id) -> Result<Directive, PatchError> {
        match self.tree.text(value) {
            "merge" => Ok(Directive::Merge),
            "replace" => Ok(Directive::Replace),
            "delete" => Ok(Directive::Delete),
            _ => Err(self.fail("unknown patch strategy in $patch; it is merge, replace or delete")),
        }
    }
}
