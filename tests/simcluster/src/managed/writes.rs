//! What becomes of an object and its managers when somebody writes it?

use super::entries::{Managed, Operation, Share, Writer};
use crate::fields::{Set, compare, display, merge, named_fields_as_members, owned, remove};
use crate::schema::Schema;
use serde_json::Value;

/// Paths that nobody owns: the server sets them or they name the object.
const UNOWNED: [&[&str]; 11] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// A field that somebody else owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Such as `"kubectl" using apps/v1`.
    pub(crate) manager: String,
    /// Such as `.spec.replicas`.
    pub(crate) field: String,
}

/// The result of an apply.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The object, its managed fields not yet written into it.
    pub(crate) object: Value,
    pub(crate) managed: Managed,
}

/// A write, apart from the objects: who, when, and the trees its endpoint leaves alone (such as `status`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) writer: &'a Writer,
    pub(crate) ignored: &'a [&'a [&'a str]],
    pub(crate) now: &'a str,
}

/// Server-side apply of `config` over `live` (an object of zero values when it is being created).
pub(crate) fn apply(
    write: &Write<'_>,
    live: &Value,
    config: &Value,
    mut managed: Managed,
    force: bool,
) -> Result<Applied, ApplyError> {
    let Write { schema, writer, ignored, now } = *write;
    let root = schema.root();
    let mut set = owned(schema, root, config).map_err(ApplyError::Schema)?;
    for path in ignored {
        set.remove_tree(path);
    }
    let merged = merge(schema, root, live, config);
    let last = managed.get(writer).cloned();
    let share = Share {
        api_version: writer.api_version.clone(),
        time: last.as_ref().and_then(|share| share.time.clone()),
        set,
    };
    managed.put(writer, share);
    let object = match &last {
        Some(last) => prune(schema, &merged, &managed, &last.set),
        None => merged,
    };
    let changed = settle(write, live, &object, &mut managed, force).map_err(ApplyError::Conflicts)?;
    // Only now: while pruning, the name that an apply gives keeps the metadata from being taken away.
    if let Some(share) = managed.get(writer).cloned() {
        let time = if changed { Some(now.to_owned()) } else { share.time };
        managed.put(writer, Share { set: strip(&share.set), time, ..share });
    }
    Ok(Applied { object, managed })
}

/// Why an apply is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ApplyError {
    /// The configuration does not fit the schema.
    Schema(String),
    /// Others own fields it sets to something else.
    Conflicts(Vec<Conflict>),
}

/// Records a create, update or patch: `writer` takes what it changed.
pub(crate) fn track_update(write: &Write<'_>, live: &Value, new: &Value, mut managed: Managed) -> Managed {
    let Write { schema, writer, ignored, now } = *write;
    let mut changes = compare(schema, schema.root(), live, new);
    for path in ignored {
        changes.added.remove_tree(path);
        changes.modified.remove_tree(path);
        changes.removed.remove_tree(path);
    }
    let taken = changes.added.union(&changes.modified);
    managed.change(|_, set| *set = set.difference(&taken).difference(&changes.removed));
    let taken = strip(&taken);
    if !taken.is_empty() {
        let set = match managed.get(writer) {
            Some(before) => before.set.union(&taken),
            None => taken,
        };
        // The API server does not say when a /scale was written.
        let time = (writer.subresource != "scale").then(|| now.to_owned());
        managed.put(writer, Share { api_version: writer.api_version.clone(), time, set });
    }
    managed
}

/// Whether two objects differ in nothing but when managers wrote.
pub(crate) fn same_but_times(one: &Value, other: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
            entries.sort_by_key(Value::to_string);
        }
        object
    };
    without(one) == without(other)
}

fn strip(set: &Set) -> Set {
    let mut unowned = Set::default();
    for path in UNOWNED {
        unowned.insert(path);
    }
    set.difference(&unowned)
}

/// Takes what the writer no longer says away, unless others own it.
fn prune(schema: &Schema, merged: &Value, managed: &Managed, last: &Set) -> Value {
    let root = schema.root();
    let members = |set: &Set| named_fields_as_members(schema, root, set);
    let paths = |value: &Value| members(&owned(schema, root, value).unwrap_or_default());
    let last = members(last);
    let without_last = remove(schema, root, merged, &last);
    // Everything that any manager owns now comes back.
    let all_owned = managed.iter().fold(Set::default(), |all, (_, share)| all.union(&share.set));
    let kept = paths(&without_last).union(&members(&all_owned));
    let with_owned = remove(schema, root, merged, &paths(merged).difference(&kept));
    // What nobody owns and this writer did not own before comes back too.
    let gone = paths(merged).difference(&paths(&with_owned)).intersection(&last);
    remove(schema, root, merged, &gone)
}

/// Takes changed and removed fields from the other managers; refuses if they conflict and it is not forced.
/// Returns whether the object changed.
fn settle(
    write: &Write<'_>,
    live: &Value,
    object: &Value,
    managed: &mut Managed,
    force: bool,
) -> Result<bool, Vec<Conflict>> {
    let Write { schema, writer, ignored, .. } = *write;
    let mut changes = compare(schema, schema.root(), live, object);
    for path in ignored {
        changes.added.remove_tree(path);
        changes.modified.remove_tree(path);
        changes.removed.remove_tree(path);
    }
    let taken = changes.added.union(&changes.modified);
    let others = |who: &Writer| !is_same(who, writer);
    let mut conflicts = Vec::new();
    for (who, share) in managed.iter().filter(|(who, _)| others(who)) {
        for path in share.set.intersection(&taken).paths() {
            conflicts.push(Conflict { manager: describe(who, share), field: display(&path) });
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    managed.change(|who, set| {
        if others(who) {
            *set = set.difference(&taken).difference(&changes.removed);
        }
    });
    Ok(!changes.is_same())
}

fn is_same(one: &Writer, other: &Writer) -> bool {
    one.operation == other.operation
        && one.name == other.name
        && one.subresource == other.subresource
        && (one.operation == Operation::Apply || one.api_version == other.api_version)
}

/// A manager as conflict messages name it.
fn describe(writer: &Writer, share: &Share) -> String {
    let mut text = format!("{:?}", writer.name);
    if !writer.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", writer.subresource));
    }
    if writer.operation == Operation::Update {
        text.push_str(&format!(" using {}", share.api_version));
    }
    text
}
