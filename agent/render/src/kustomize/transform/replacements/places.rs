//! Which places of an object does a path with wildcards and conditions mean?

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::kustomize::{
    lookup::condition,
    resource::text_of,
    shared::{self, Step},
    visit::kind_of,
};

/// The way to one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    steps: Vec<Step>,
    /// Whether the value was made for the replacement, so it has no type yet.
    pub(super) is_new: bool,
}

impl Place {
    fn below(&self, step: Step) -> Place {
        let mut place = self.clone();
        place.steps.push(step);
        place
    }

    /// The way alone.
    pub(super) fn way(&self) -> shared::Place {
        shared::Place(self.steps.clone())
    }

    /// Goes there.
    pub(super) fn reach<'v>(&self, root: &'v mut Value) -> Option<&'v mut Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        })
    }
}

/// Finds the places. `make` is the value that will be put there, if missing fields are to be made.
pub(super) fn find(root: &mut Value, path: &[String], make: Option<&Value>) -> Result<Vec<Place>, String> {
    let mut found = Vec::new();
    walk(root, path, make, &Place::default(), &mut found)?;
    Ok(found)
}

fn walk(
    value: &mut Value,
    path: &[String],
    make: Option<&Value>,
    here: &Place,
    found: &mut Vec<Place>,
) -> Result<(), String> {
    let Some((part, rest)) = path.split_first() else {
        found.push(here.clone());
        return Ok(());
    };
    if let Ok(index) = part.parse::<usize>() {
        return indexed(value, index, rest, make, here, found);
    }
    if let Some(condition) = condition(part) {
        let (name, pattern) = condition?;
        return matching(value, (name, pattern), path, make, here, found);
    }
    if part == "*" {
        for (index, item) in items(value)?.iter_mut().enumerate() {
            walk(item, rest, make, &here.below(Step::Index(index)), found)?;
        }
        return Ok(());
    }
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null if make.is_none() => return Ok(()),
        Value::Null => {
            *value = Value::Object(Map::new());
            return walk(value, path, make, here, found);
        }
        other => return Err(format!("wrong node kind: expected MappingNode but got {}", kind_of(other))),
    };
    let mut place = here.below(Step::Key(part.clone()));
    if let Some(make) = make
        && !fields.contains_key(part)
    {
        fields.insert(part.clone(), new(rest, make));
        place.is_new = true;
    }
    match fields.get_mut(part) {
        Some(next) => walk(next, rest, make, &place, found),
        None => Ok(()),
    }
}

/// What a missing field is made as, so that the rest of the path fits in.
fn new(rest: &[String], make: &Value) -> Value {
    match rest.first() {
        None if make.is_object() => Value::Object(Map::new()),
        None if make.is_array() => Value::Array(Vec::new()),
        None => Value::String(String::new()),
        Some(part) if part.parse::<usize>().is_ok() || condition(part).is_some() => Value::Array(Vec::new()),
        Some(_) => Value::Object(Map::new()),
    }
}

fn items(value: &mut Value) -> Result<&mut Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(format!("wrong node kind: expected SequenceNode but got {}", kind_of(other))),
    }
}

fn indexed(
    value: &mut Value,
    index: usize,
    rest: &[String],
    make: Option<&Value>,
    here: &Place,
    found: &mut Vec<Place>,
) -> Result<(), String> {
    let items = items(value)?;
    let mut place = here.below(Step::Index(index));
    if let Some(make) = make
        && items.len() == index
    {
        items.push(new(rest, make));
        place.is_new = true;
    }
    let count = items.len();
    match items.get_mut(index) {
        Some(item) => walk(item, rest, make, &place, found),
        None => Err(format!("index {index} specified but only {count} elements found")),
    }
}

fn matching(
    value: &mut Value,
    (name, pattern): (&str, &str),
    path: &[String],
    make: Option<&Value>,
    here: &Place,
    found: &mut Vec<Place>,
) -> Result<(), String> {
    let regex = Regex::new(pattern).map_err(|_| format!("'{pattern}' is no regular expression"))?;
    let before = found.len();
    let items = items(value)?;
    for (index, item) in items.iter_mut().enumerate() {
        let place = here.below(Step::Index(index));
        if name.is_empty() {
            if regex.is_match(text_of(item).trim()) {
                found.push(place);
            }
            continue;
        }
        let is_match = item.get(name).is_some_and(|field| regex.is_match(text_of(field).trim()));
        if is_match {
            walk(item, &path[1..], make, &place, found)?;
        }
    }
    if found.len() > before || make.is_none() {
        return Ok(());
    }
    let item = if name.is_empty() { Value::from(pattern) } else { json!({ name: pattern }) };
    items.push(item);
    let index = items.len() - 1;
    let place = Place { is_new: name.is_empty(), ..here.below(Step::Index(index)) };
    if name.is_empty() {
        found.push(place);
        return Ok(());
    }
    walk(&mut items[index], &path[1..], make, &place, found)
}
