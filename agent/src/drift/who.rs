//! Who changed it?
use serde_json::Value;

use super::Path;
use crate::FIELD_MANAGER;
use crate::object::{items, text};

/// The field manager that wrote the given fields last, as `managedFields` tell.
///
/// A removed field has no owner any more: then it is whoever wrote the object last, other than by our
/// own apply. Empty when nobody can be named.
pub(crate) fn last_writer(object: &Value, paths: &[Path]) -> String {
    let entries = || {
        items(object, &["metadata", "managedFields"]).iter().filter(|entry| {
            !(text(entry, &["manager"]) == FIELD_MANAGER && text(entry, &["operation"]) == "Apply")
        })
    };
    let owns = |entry: &&Value| {
        entry.get("fieldsV1").is_some_and(|fields| paths.iter().any(|path| contains(fields, path)))
    };
    // Times are RFC 3339 in UTC, so their text sorts as they do.
    entries()
        .filter(owns)
        .max_by_key(|entry| text(entry, &["time"]))
        .or_else(|| entries().max_by_key(|entry| text(entry, &["time"])))
        .map(|entry| text(entry, &["manager"]).to_owned())
        .unwrap_or_default()
}

/// Whether a field set has a field.
pub(super) fn contains(fields: &Value, path: &Path) -> bool {
    path.elements().iter().try_fold(fields, |fields, element| fields.get(element)).is_some()
}
