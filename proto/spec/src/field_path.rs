//! Which places of an object does a path mean: a JSON pointer, or a path as jq writes it?
//!
//! Of jq the part is read that names places and nothing else, so that a path always ends and costs no
//! more than the object is large:
//!
//! ```text
//! .spec.replicas    .metadata.annotations["a.b/c"]    .webhooks[]?.clientConfig.caBundle
//! .spec.containers[] | select(.name == "proxy") | .image    .spec.args[0]
//! select(PATH == VALUE)  != | startswith("x") | endswith("x") | contains("x")   and  or  not  ( )
//! ```
//!
//! Pointers are those of RFC 6901, the jq notation is that of jq 1.7's manual.
use std::fmt;

use serde_json::Value;

mod read;

/// Most places one path may mean in one object; further ones are left out.
const PLACES_MAX: usize = 10_000;

/// The places of an object that a pointer or path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

/// One step from an object to a place in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceStep {
    /// A field of a map.
    Field(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// A concrete place in an object.
pub type FieldPlace = Vec<PlaceStep>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A field by its name.
    Field(String),
    /// A part of a pointer: a field of a map, or an item of a list where it is a number.
    Either(String),
    /// An item by its number; from the end when negative.
    Item(i64),
    /// Every item of a list, every value of a map.
    Each,
    /// Only where the condition holds.
    Select(Condition),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Compare(Vec<Segment>, Comparison),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Comparison {
    Equal(Value),
    Differs(Value),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    /// Neither null nor false.
    Holds,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPathError(String);

impl fmt::Display for FieldPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FieldPathError {}

impl FieldPath {
    /// Reads a JSON pointer (RFC 6901). Any text is one; what `~` stands for is put in its place.
    pub fn of_pointer(pointer: &str) -> FieldPath {
        let parts = pointer.split('/').skip(1);
        FieldPath(parts.map(|part| Segment::Either(part.replace("~1", "/").replace("~0", "~"))).collect())
    }

    /// Reads a path in jq's notation.
    ///
    /// # Errors
    /// It is none, or uses what this part of jq does not have; the text says which and where.
    pub fn of_jq(text: &str) -> Result<FieldPath, FieldPathError> {
        read::path(text).map(FieldPath)
    }

    /// The places in `object` that are there.
    pub fn places(&self, object: &Value) -> Vec<FieldPlace> {
        let mut places = Vec::new();
        walk(&self.0, object, &mut Vec::new(), &mut places);
        places
    }
}

/// The value at a place.
pub fn at_place<'a>(object: &'a Value, place: &[PlaceStep]) -> Option<&'a Value> {
    place.iter().try_fold(object, |value, step| match step {
        PlaceStep::Field(name) => value.get(name),
        PlaceStep::Item(index) => value.get(*index),
    })
}

/// Takes places out of an object. Items are taken from the end of their list, so that all places stay true.
pub fn take_out(object: &mut Value, mut places: Vec<FieldPlace>) {
    places.sort();
    places.dedup();
    for place in places.iter().rev() {
        let Some((last, parents)) = place.split_last() else { continue };
        let parent = parents.iter().try_fold(&mut *object, |value, step| match step {
            PlaceStep::Field(name) => value.get_mut(name),
            PlaceStep::Item(index) => value.get_mut(*index),
        });
        match (parent, last) {
            (Some(Value::Object(map)), PlaceStep::Field(name)) => drop(map.remove(name)),
            (Some(Value::Array(list)), PlaceStep::Item(index)) if *index < list.len() => {
                list.remove(*index);
            }
            _ => {}
        }
    }
}

fn walk(segments: &[Segment], value: &Value, place: &mut FieldPlace, places: &mut Vec<FieldPlace>) {
    if places.len() == PLACES_MAX {
        return;
    }
    let Some((segment, rest)) = segments.split_first() else {
        places.push(place.clone());
        return;
    };
    let mut go = |step: PlaceStep, value: &Value| {
        place.push(step);
        walk(rest, value, place, places);
        place.pop();
    };
    match (segment, value) {
        (Segment::Field(name) | Segment::Either(name), Value::Object(map)) => {
            if let Some(value) = map.get(name) {
                go(PlaceStep::Field(name.clone()), value);
            }
        }
        (Segment::Either(number), Value::Array(list)) => {
            if let Some((index, value)) =
                number.parse().ok().and_then(|index| Some((index, list.get(index)?)))
            {
                go(PlaceStep::Item(index), value);
            }
        }
        (Segment::Item(number), Value::Array(list)) => {
            let from_end = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            let index = if *number < 0 { list.len().checked_sub(from_end) } else { Some(from_end) };
            if let Some((index, value)) = index.and_then(|index| Some((index, list.get(index)?))) {
                go(PlaceStep::Item(index), value);
            }
        }
        (Segment::Each, Value::Array(list)) => {
            for (index, value) in list.iter().enumerate() {
                go(PlaceStep::Item(index), value);
            }
        }
        (Segment::Each, Value::Object(map)) => {
            for (name, value) in map {
                go(PlaceStep::Field(name.clone()), value);
            }
        }
        (Segment::Select(condition), value) if condition.holds(value) => walk(rest, value, place, places),
        _ => {}
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Condition::Not(inner) => !inner.holds(value),
            Condition::And(left, right) => left.holds(value) && right.holds(value),
            Condition::Or(left, right) => left.holds(value) || right.holds(value),
            Condition::Compare(path, comparison) => {
                let mut places = Vec::new();
                walk(path, value, &mut Vec::new(), &mut places);
                let found = places.iter().filter_map(|place| at_place(value, place));
                match places.is_empty() {
                    // What is not there is null to jq.
                    true => comparison.fits(&Value::Null),
                    false => found.into_iter().any(|found| comparison.fits(found)),
                }
            }
        }
    }
}

impl Comparison {
    fn fits(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Comparison::Equal(wanted) => value == wanted,
            Comparison::Differs(wanted) => value != wanted,
            Comparison::StartsWith(part) => text.is_some_and(|text| text.starts_with(part)),
            Comparison::EndsWith(part) => text.is_some_and(|text| text.ends_with(part)),
            Comparison::Contains(part) => text.is_some_and(|text| text.contains(part)),
            Comparison::Holds => !matches!(value, Value::Null | Value::Bool(false)),
        }
    }
}

#[cfg(test)]
mod tests;
