//! What is copied from one object into others?

mod places;

use muster_yaml::{ScalarType, scalar_type};
use serde_json::Value;

use crate::{
    kustomize::{
        identity::{DEFAULT_NAMESPACE, Gvk, Id},
        kustomization::{FieldOptions, ObjectSelector, Replacement, Source, Target, TargetSelector},
        lookup::{dotted, find},
        resmap::ResMap,
        resource::{Resource, note_written, plain, spelling_at, written},
        shared::Place,
    },
    patch::{Candidate, Selector, SelectorFields},
};

/// The field that is meant where none is named.
const DEFAULT_FIELD: &str = "metadata.name";

pub(super) fn run(map: &mut ResMap, replacements: &[Replacement]) -> Result<(), String> {
    for replacement in replacements {
        let (Some(source), Some(targets)) = (&replacement.source, &replacement.targets) else {
            return Err("replacements must specify a source and at least one target".to_owned());
        };
        let mut copied = copied(map, source)?;
        for target in targets {
            paste(map, target, &mut copied)?;
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
    /// The type of a scalar, even if its text would be of another.
    wanted: ScalarType,
    /// The object and the field it is in, for Kustomize copies the field as it is at that moment, which a
    /// target in the same object may have changed. Nothing for a part of a text.
    alias: Option<(usize, Place)>,
}

impl Copied {
    fn read(resource: &Resource, place: &Place) -> Option<Copied> {
        let found = place.find(&resource.value)?;
        let (text, wanted) = (written_at(resource, place, found), type_at(resource, place, found));
        let mut value = found.clone();
        if value.is_object() || value.is_array() {
            spelling_at(&resource.spelling, place).settle(&mut value);
        }
        Some(Copied { value, text, wanted, alias: None })
    }

    /// Reads again what is in the object at this position in the list.
    fn refresh(&mut self, at: usize, resource: &Resource) {
        if let Some((source, place)) = &self.alias
            && *source == at
            && let Some(Copied { value, text, wanted, .. }) = Copied::read(resource, place)
        {
            let alias = self.alias.take();
            *self = Copied { value, text, wanted, alias };
        }
    }
}

fn written_at(resource: &Resource, place: &Place, value: &Value) -> String {
    written(value, spelling_at(&resource.spelling, place))
}

/// The type of a scalar: its own, or that of the field if a replacement put another in.
fn type_at(resource: &Resource, place: &Place, value: &Value) -> ScalarType {
    if let Some(wanted) = resource.shared.wanted_type(place, value) {
        return wanted;
    }
    let spelling = spelling_at(&resource.spelling, place);
    match value {
        Value::String(text) if let Some(marked) = spelling.marked_type() => {
            // Not if another step has put something else there.
            if marked.accepts(scalar_type(text)) { marked } else { ScalarType::Text }
        }
        Value::String(_) => match scalar_type(&written(value, spelling)) {
            ScalarType::Timestamp => ScalarType::Timestamp,
            _ => ScalarType::Text,
        },
        _ => scalar_type(&written(value, spelling)),
    }
}

fn copied(map: &ResMap, source: &Source) -> Result<Copied, String> {
    let is_source = |resource: &Resource| ids(resource).iter().any(|id| is_selected(id, &source.object));
    let mut found = map.list.iter().enumerate().filter(|(_, resource)| is_source(resource));
    let (at, resource) = match (found.next(), found.next()) {
        (Some(found), None) => found,
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
    let missing = || {
        let object = shown(&source.object);
        format!("fieldPath `{path}` is missing for replacement source {object}")
    };
    let (_, place) = found.filter(|(value, _)| !is_empty(value)).ok_or_else(missing)?;
    let whole = Copied::read(resource, &place).ok_or_else(missing)?;
    let FieldOptions { delimiter, index, .. } = &source.options;
    if delimiter.is_empty() {
        return Ok(Copied { alias: Some((at, place)), ..whole });
    }
    if whole.value.is_object() || whole.value.is_array() {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    }
    let part = usize::try_from(*index).ok().and_then(|index| whole.text.split(delimiter.as_str()).nth(index));
    match part {
        Some(part) => {
            let value = typed(whole.wanted, part)?.unwrap_or_else(|| Value::from(part));
            Ok(Copied { value, text: part.to_owned(), wanted: whole.wanted, alias: None })
        }
        None => Err(format!("options.index {index} is out of bounds for the value of {path}")),
    }
}

fn paste(map: &mut ResMap, target: &Target, copied: &mut Copied) -> Result<(), String> {
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
    for (at, resource) in map.list.iter_mut().enumerate() {
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
        paste_into(resource, at, target, copied)
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

fn paste_into(
    resource: &mut Resource,
    at: usize,
    target: &Target,
    copied: &mut Copied,
) -> Result<(), String> {
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
        for found in found {
            copied.refresh(at, resource);
            paste_at(resource, found, &target.options, copied)?;
            copied.refresh(at, resource);
        }
    }
    Ok(())
}

fn paste_at(
    resource: &mut Resource,
    target: places::Target,
    options: &FieldOptions,
    copied: &Copied,
) -> Result<(), String> {
    let places::Target { place, is_new } = target;
    let Some(old) = place.find(&resource.value) else { return Ok(()) };
    let text = pasted(old, &written_at(resource, &place, old), options, copied)?;
    let is_branch = |value: &Value| value.is_object() || value.is_array();
    let wanted = if is_branch(old) { copied.wanted } else { type_at(resource, &place, old) };
    let new = if is_branch(old) && is_branch(&copied.value) {
        Some(copied.value.clone())
    } else if !is_branch(old) && (is_new || resource.shared.is_untyped(&place)) {
        Some(plain(&text)?)
    } else {
        typed(wanted, &text)?
    };
    let is_marked = spelling_at(&resource.spelling, &place).marked_type().is_some();
    if new.is_none() {
        resource.shared.note_mistyped(place.clone(), wanted, &text);
    }
    let new = match new {
        Some(new) if !is_marked || is_branch(&new) => new,
        _ => Value::from(text.as_str()),
    };
    note_written(&mut resource.spelling, &place, &new, &text);
    if let Some(value) = place.find_mut(&mut resource.value) {
        *value = new;
    }
    if is_new {
        resource.shared.note_untyped(place);
    }
    Ok(())
}

/// The text to put in a place: what is copied, or the text that is there with one part of it replaced.
fn pasted(old: &Value, text: &str, options: &FieldOptions, copied: &Copied) -> Result<String, String> {
    if options.delimiter.is_empty() {
        return Ok(copied.text.clone());
    }
    if old.is_object() || old.is_array() {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    }
    let mut parts: Vec<&str> = text.split(options.delimiter.as_str()).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, &copied.text),
        Ok(index) if index >= parts.len() => parts.push(&copied.text),
        Ok(index) => parts[index] = &copied.text,
    }
    Ok(parts.join(&options.delimiter))
}

/// The text as a value of a type; nothing if it is of another.
fn typed(wanted: ScalarType, text: &str) -> Result<Option<Value>, String> {
    if wanted == ScalarType::Text {
        return Ok(Some(Value::from(text)));
    }
    if wanted.accepts(scalar_type(text)) { plain(text).map(Some) } else { Ok(None) }
}
