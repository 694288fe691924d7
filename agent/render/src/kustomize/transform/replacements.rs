//! What is copied from one object into others?

mod places;

use serde_json::Value;

use crate::{
    kustomize::{
        identity::{DEFAULT_NAMESPACE, Gvk, Id},
        kustomization::{FieldOptions, ObjectSelector, Replacement, Source, Target, TargetSelector},
        lookup::{dotted, find, value},
        resmap::ResMap,
        resource::{Resource, note_written, plain, spelling_at, written},
    },
    patch::{Candidate, Selector, SelectorFields, Spelling},
};

/// The field that is meant where none is named.
const DEFAULT_FIELD: &str = "metadata.name";

pub(super) fn run(map: &mut ResMap, replacements: &[Replacement]) -> Result<(), String> {
    for replacement in replacements {
        let (Some(source), Some(targets)) = (&replacement.source, &replacement.targets) else {
            return Err("replacements must specify a source and at least one target".to_owned());
        };
        let copied = copied(map, source)?;
        for target in targets {
            paste(map, target, &copied)?;
        }
    }
    Ok(())
}

/// What an object is and was called, as replacements see it: they do not ask whether a kind lives in
/// a namespace.
fn ids(resource: &Resource) -> Vec<Id> {
    let effective = |namespace: String| {
        if namespace.is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace }
    };
    let now = Id { gvk: resource.gvk(), name: resource.name(), namespace: effective(resource.namespace()) };
    let mut ids = vec![now];
    ids.extend(resource.previous_ids());
    ids
}

fn is_selected(id: &Id, selector: &ObjectSelector) -> bool {
    (selector.name.is_empty() || selector.name == id.name)
        && (selector.namespace.is_empty() || selector.namespace == id.namespace)
        && id.gvk.is_selected(&selector.gvk)
}

fn shown(selector: &ObjectSelector) -> String {
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    format!("{}/{}.{}", selector.gvk, or(&selector.name, "[noName]"), or(&selector.namespace, "[noNs]"))
}

/// What is copied.
struct Copied {
    value: Value,
    /// A scalar's text as it was written: Kustomize copies `.80` and not a number. Nothing for the rest.
    text: String,
}

fn copied(map: &ResMap, source: &Source) -> Result<Copied, String> {
    let mut found =
        map.list.iter().filter(|resource| ids(resource).iter().any(|id| is_selected(id, &source.object)));
    let resource = match (found.next(), found.next()) {
        (Some(resource), None) => resource,
        (Some(_), Some(_)) => return Err(format!("multiple matches for selector {}", shown(&source.object))),
        (None, _) => return Err(format!("nothing selected by {}", shown(&source.object))),
    };
    let path = if source.field_path.is_empty() { DEFAULT_FIELD } else { &source.field_path };
    let found = find(&resource.value, &dotted(path))
        .map_err(|error| format!("error looking up replacement source: {error}"))?;
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let Some((found, way)) = found.filter(|(value, _)| !is_empty(value)) else {
        let object = shown(&source.object);
        return Err(format!("fieldPath `{path}` is missing for replacement source {object}"));
    };
    let text = written(found, spelling_at(&resource.spelling, &way));
    let FieldOptions { delimiter, index, .. } = &source.options;
    if delimiter.is_empty() {
        if !found.is_object() && !found.is_array() {
            return Ok(Copied { value: found.clone(), text });
        }
        let mut object = resource.value.clone();
        resource.spelling.settle(&mut object);
        let value = value(&object, &dotted(path))?.cloned().unwrap_or_default();
        return Ok(Copied { value, text });
    }
    if found.is_object() || found.is_array() {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    }
    let part = usize::try_from(*index).ok().and_then(|index| text.split(delimiter.as_str()).nth(index));
    match part {
        Some(part) => Ok(Copied { value: converted(found, part)?, text: part.to_owned() }),
        None => Err(format!("options.index {index} is out of bounds for the value of {path}")),
    }
}

fn paste(map: &mut ResMap, target: &Target, copied: &Copied) -> Result<(), String> {
    let Some(select) = &target.select else {
        return Err("target must specify resources to select".to_owned());
    };
    let accepts = meta_selector(select)?;
    let rejects = target
        .reject
        .iter()
        .filter(|reject| !reject.labels.is_empty() || !reject.annotations.is_empty())
        .map(meta_selector)
        .collect::<Result<Vec<_>, _>>()?;
    for resource in &mut map.list {
        let ids = ids(resource);
        if !meta_matches(&accepts, resource) || rejects.iter().any(|reject| meta_matches(reject, resource)) {
            continue;
        }
        let is_rejected = target.reject.iter().any(|reject| {
            reject.object != ObjectSelector::default() && ids.iter().any(|id| is_selected(id, &reject.object))
        });
        if is_rejected || !ids.iter().any(|id| is_selected(id, &select.object)) {
            continue;
        }
        paste_into(resource, target, copied)
            .map_err(|error| format!("{} {}: {error}", resource.kind(), resource.name()))?;
    }
    Ok(())
}

/// The part of a selector that looks at labels and annotations.
fn meta_selector(selector: &TargetSelector) -> Result<Selector, String> {
    let fields = SelectorFields {
        label_selector: selector.labels.clone(),
        annotation_selector: selector.annotations.clone(),
        ..SelectorFields::default()
    };
    Selector::new(&fields).map_err(|error| error.to_string())
}

fn meta_matches(selector: &Selector, resource: &Resource) -> bool {
    let Gvk { group, version, kind } = &resource.gvk();
    let labels = &resource.labels();
    let annotations = &resource.annotations();
    let (names, namespaces) = (["", ""], ["", ""]);
    selector.matches(&Candidate { group, version, kind, names, namespaces, labels, annotations })
}

fn paste_into(resource: &mut Resource, target: &Target, copied: &Copied) -> Result<(), String> {
    let default = [DEFAULT_FIELD.to_owned()];
    let paths = if target.field_paths.is_empty() { &default[..] } else { &target.field_paths };
    for path in paths {
        let make = target.options.create.then_some(&copied.value);
        let verb = if make.is_some() { "find or create" } else { "find" };
        let missing = || format!("unable to {verb} field \"{path}\" in replacement target");
        let found = places::find(&mut resource.value, &dotted(path), make)
            .map_err(|error| format!("{}: {error}", missing()))?;
        if found.is_empty() {
            return Err(missing());
        }
        for place in found {
            let way = place.way();
            let is_untyped = place.is_new || resource.shared.is_untyped(&way);
            let Some(value) = place.reach(&mut resource.value) else { continue };
            let text = pasted(value, spelling_at(&resource.spelling, &way), &target.options, copied)?;
            *value = if value.is_object() || value.is_array() {
                copied.value.clone()
            } else if is_untyped {
                plain(&text)?
            } else {
                converted(value, &text)?
            };
            note_written(&mut resource.spelling, &way, value, &text);
            if place.is_new {
                resource.shared.note_untyped(way);
            }
        }
    }
    Ok(())
}

/// The text to put in a place: what is copied, or the text that is there with one part of it replaced.
fn pasted(
    old: &Value,
    spelling: &Spelling,
    options: &FieldOptions,
    copied: &Copied,
) -> Result<String, String> {
    if options.delimiter.is_empty() {
        return Ok(copied.text.clone());
    }
    if old.is_object() || old.is_array() {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    }
    let text = written(old, spelling);
    let mut parts: Vec<&str> = text.split(options.delimiter.as_str()).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, &copied.text),
        Ok(index) if index >= parts.len() => parts.push(&copied.text),
        Ok(index) => parts[index] = &copied.text,
    }
    Ok(parts.join(&options.delimiter))
}

/// The text as a value of the type that is there: Kustomize puts texts in place of texts.
fn converted(old: &Value, text: &str) -> Result<Value, String> {
    let plain = plain(text)?;
    let fits = match (old, &plain) {
        (Value::String(_), _) => return Ok(Value::from(text)),
        (Value::Null, Value::Null) | (Value::Bool(_), Value::Bool(_)) => true,
        (Value::Number(old), Value::Number(new)) => old.is_f64() || !new.is_f64(),
        _ => false,
    };
    if fits { Ok(plain) } else { Err("the value is of another type than the field it replaces".to_owned()) }
}
