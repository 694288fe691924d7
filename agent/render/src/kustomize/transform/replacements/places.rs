//! Which places of an object does a path with wildcards and conditions mean?

use serde_json::{Map, Value, json};

use crate::{
    kustomize::{
        lookup::condition,
        resource::text_of,
        shared::{Place, Step},
        visit::kind_of,
    },
    pattern,
};

/// One value that is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Whether the value was made for the replacement, so it has no type yet.
    pub(super) is_new: bool,
}

impl Target {
    fn below(&self, step: Step) -> Target {
        let mut place = self.place.clone();
        place.0.push(step);
        Target { place, is_new: self.is_new }
    }
}

/// Finds what a path means. `make` is the value that will be put there, if missing fields are to be made.
pub(super) fn find(root: &mut Value, path: &[String], make: Option<&Value>) -> Result<Vec<Target>, String> {
    let mut found = Vec::new();
    walk(root, path, make, &Target::default(), &mut found)?;
    Ok(found)
}

fn walk(
    value: &mut Value,
    path: &[String],
    make: Option<&Value>,
    here: &Target,
    found: &mut Vec<Target>,
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
    let mut target = here.below(Step::Key(part.clone()));
    if let Some(make) = make
        && !fields.contains_key(part)
    {
        fields.insert(part.clone(), new(rest, make));
        target.is_new = true;
    }
    match fields.get_mut(part) {
        Some(next) => walk(next, rest, make, &target, found),
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
    here: &Target,
    found: &mut Vec<Target>,
) -> Result<(), String> {
    let items = items(value)?;
    let mut target = here.below(Step::Index(index));
    if let Some(make) = make
        && items.len() == index
    {
        items.push(new(rest, make));
        target.is_new = true;
    }
    let count = items.len();
    match items.get_mut(index) {
        Some(item) => walk(item, rest, make, &target, found),
        None => Err(format!("index {index} specified but only {count} elements found")),
    }
}

fn matching(
    value: &mut Value,
    (name, pattern): (&str, &str),
    path: &[String],
    make: Option<&Value>,
    here: &Target,
    found: &mut Vec<Target>,
) -> Result<(), String> {
    let regex = pattern::compile(pattern).map_err(|_| format!("'{pattern}' is no regular expression"))?;
    let before = found.len();
    let items = items(value)?;
    for (index, item) in items.iter_mut().enumerate() {
        let target = here.below(Step::Index(index));
        if name.is_empty() {
            if regex.is_match(text_of(item).trim()) {
                found.push(target);
            }
            continue;
        }
        let is_match = item.get(name).is_some_and(|field| regex.is_match(text_of(field).trim()));
        if is_match {
            walk(item, &path[1..], make, &target, found)?;
        }
    }
    if found.len() > before || make.is_none() {
        return Ok(());
    }
    let item = if name.is_empty() { Value::from(pattern) } else { json!({ name: pattern }) };
    items.push(item);
    let index = items.len() - 1;
    let target = Target { is_new: name.is_empty(), ..here.below(Step::Index(index)) };
    if name.is_empty() {
        found.push(target);
        return Ok(());
    }
    walk(&mut items[index], &path[1..], make, &target, found)
}
