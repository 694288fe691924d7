//! Which fields of an object does Kustomize keep as one?
//!
//! A label that Kustomize adds in several places of an object (its metadata, its selector, its
//! template) is one node there, put into each. Whoever changes one of them later, an overlay with
//! another value or a patch of the metadata alone, changes all of them; places that had the label
//! before are not among them. `kubectl kustomize` prints what comes of it, so it is done here too.

use std::fmt;

use muster_yaml::ScalarType;
use serde_json::Value;

use super::resource::{spelling_at, written};
use crate::patch::Spelling;

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Below this key.
    Key(String),
    /// To this item.
    Index(usize),
}

/// The way from the top of an object to a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place(pub(crate) Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
struct Group {
    value: Value,
    places: Vec<Place>,
}

/// The fields of one object that are one, and those that have no type yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Shared {
    groups: Vec<Group>,
    /// Fields that a replacement made: their value is what their text stands for, until a var or a
    /// patch settles it.
    untyped: Vec<Place>,
    /// Fields that a replacement gave a text that does not fit their type.
    mistyped: Vec<Mistyped>,
}

/// A field with a text that its type does not allow. Kustomize minds only when it reads what it has
/// printed, so a later step may still put it right.
#[derive(Debug, Clone, PartialEq)]
struct Mistyped {
    place: Place,
    wanted: ScalarType,
    text: Value,
}

impl Shared {
    /// Notes that the value was put into all these places.
    pub(crate) fn note(&mut self, value: Value, places: Vec<Place>) {
        if places.len() > 1 {
            self.groups.push(Group { value, places });
        }
    }

    /// The object was written and read again: every field is its own.
    pub(crate) fn forget(&mut self) {
        self.groups.clear();
        self.untyped.clear();
        self.mistyped.clear();
    }

    /// Notes that a field of the `wanted` type has this text.
    pub(crate) fn note_mistyped(&mut self, place: Place, wanted: ScalarType, text: &str) {
        self.mistyped.retain(|known| known.place != place);
        self.mistyped.push(Mistyped { place, wanted, text: text.into() });
    }

    /// The type that a field has though its text is of another.
    pub(crate) fn wanted_type(&self, place: &Place, value: &Value) -> Option<ScalarType> {
        let is_it = |known: &&Mistyped| known.place == *place && known.text == *value;
        self.mistyped.iter().find(is_it).map(|known| known.wanted)
    }

    /// Fails if a text does not fit the type of its field.
    pub(crate) fn check_types(&self, object: &Value) -> Result<(), String> {
        let is_wrong = |known: &&Mistyped| known.place.find(object) == Some(&known.text);
        match self.mistyped.iter().find(is_wrong) {
            None => Ok(()),
            Some(known) => Err(format!(
                "a replacement put a value into {} that is no {}, which the value it replaces is; put that one in \
                 quotes, so that it is a text",
                known.place, known.wanted
            )),
        }
    }

    /// Notes that a field was made without a type.
    pub(crate) fn note_untyped(&mut self, place: Place) {
        if !self.is_untyped(&place) {
            self.untyped.push(place);
        }
    }

    /// Whether a field has no type yet.
    pub(crate) fn is_untyped(&self, place: &Place) -> bool {
        self.untyped.contains(place)
    }

    /// The fields that have no type yet.
    pub(crate) fn untyped(&self) -> &[Place] {
        &self.untyped
    }

    /// Makes texts, as they were written, of the fields without a type at a path or right below it.
    pub(crate) fn make_texts(&self, object: &mut Value, spelling: &Spelling, path: &[String]) {
        let keys = || path.iter().map(|key| key.strip_suffix("[]").unwrap_or(key));
        for place in &self.untyped {
            let way: Vec<&str> = place.0.iter().filter_map(Step::key).collect();
            let below = way.len().checked_sub(path.len()).is_some_and(|below| below <= 1);
            if below
                && keys().eq(way.iter().take(path.len()).copied())
                && let Some(value) = place.find_mut(object)
                && (value.is_number() || value.is_boolean() || value.is_null())
            {
                *value = Value::String(written(value, spelling_at(spelling, place)));
            }
        }
    }

    /// Gives a change of one field to the others it is one with.
    pub(crate) fn settle(&mut self, object: &mut Value) {
        for group in &mut self.groups {
            let mut changed = None;
            group.places.retain(|place| match place.find(object) {
                Some(found) if !found.is_object() && !found.is_array() => {
                    if *found != group.value && changed.is_none() {
                        changed = Some(found.clone());
                    }
                    true
                }
                _ => false,
            });
            if let Some(changed) = changed {
                for place in &group.places {
                    if let Some(found) = place.find_mut(object) {
                        found.clone_from(&changed);
                    }
                }
                group.value = changed;
            }
        }
        self.groups.retain(|group| group.places.len() > 1);
    }
}

impl Step {
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        }
    }
}

impl Place {
    /// The value there.
    pub(crate) fn find<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }

    /// The value there, to be changed.
    pub(crate) fn find_mut<'v>(&self, object: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The places of `key` in the mappings that a path of a field means, as far as they are there.
pub(crate) fn places(object: &Value, path: &[String], key: &str) -> Vec<Place> {
    let mut found = Vec::new();
    walk(object, path, key, &mut Vec::new(), &mut found);
    found
}

fn walk(value: &Value, path: &[String], key: &str, way: &mut Vec<Step>, found: &mut Vec<Place>) {
    match (path.split_first(), value) {
        (_, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                way.push(Step::Index(index));
                walk(item, path, key, way, found);
                way.pop();
            }
        }
        (None, Value::Object(fields)) if fields.contains_key(key) => {
            way.push(Step::Key(key.to_owned()));
            found.push(Place(way.clone()));
            way.pop();
        }
        (Some((name, rest)), Value::Object(fields)) => {
            let name = name.strip_suffix("[]").unwrap_or(name);
            if let Some(next) = fields.get(name) {
                way.push(Step::Key(name.to_owned()));
                walk(next, rest, key, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_one_is_a_change_of_all() {
        let mut object = json!({"a": {"l": "1"}, "b": [{"c": {"l": "1"}}], "d": {"l": "1"}});
        let mut shared = Shared::default();
        let mut all = places(&object, &["a".to_owned()], "l");
        all.extend(places(&object, &["b[]".to_owned(), "c".to_owned()], "l"));
        shared.note(json!("1"), all);
        object["b"][0]["c"]["l"] = json!("2");
        shared.settle(&mut object);
        assert_eq!(object, json!({"a": {"l": "2"}, "b": [{"c": {"l": "2"}}], "d": {"l": "1"}}));
        object["a"] = json!({});
        shared.settle(&mut object);
        assert_eq!(shared, Shared::default());
    }
}
