//! Which images get another name, tag or digest?

use regex::Regex;
use serde_json::Value;

use crate::{
    kustomize::{
        kustomization::Image,
        resmap::ResMap,
        resource::text_of,
        shared::{Place, Step},
        specs::FieldSpec,
        visit::{Make, each, kind_of},
    },
    pattern,
};

/// Lists in which images are, wherever in an object.
const LISTS: [&str; 2] = ["containers", "initContainers"];

pub(super) fn run(map: &mut ResMap, image: &Image, specs: &[FieldSpec]) -> Result<(), String> {
    // The name is a pattern to Kustomize, though nobody means one: in `a.b` the point is any character.
    let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = pattern::compile(&pattern)
        .map_err(|_| format!("images: the name '{}' is no regular expression", image.name))?;
    let update = |value: &mut Value| update(value, image, &pattern);
    for resource in map.list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        let changed = walk(&mut resource.value, &update)
            .map_err(|error| format!("images of {} {}: {error}", resource.kind(), resource.name()))?;
        // Kustomize puts a scalar without a type there.
        for mut way in changed {
            way.reverse();
            resource.shared.note_untyped(Place(way));
        }
    }
    for resource in map.list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        for spec in specs {
            each(resource, spec, Make::Nothing, &mut |value| update(value).map(|_| ()))?;
        }
    }
    Ok(())
}

/// The way to an image, from its end.
type Back = Vec<Step>;

/// Goes through all of a value, and gives the ways to the images that were changed.
fn walk(
    value: &mut Value,
    update: &impl Fn(&mut Value) -> Result<bool, String>,
) -> Result<Vec<Back>, String> {
    let mut changed = Vec::new();
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let mut below = walk(value, update)?;
                if LISTS.contains(&key.as_str()) {
                    below.extend(containers(value, update)?);
                }
                add_below(&mut changed, below, || Step::Key(key.clone()));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                add_below(&mut changed, walk(item, update)?, || Step::Index(index));
            }
        }
        _ => {}
    }
    Ok(changed)
}

fn containers(
    value: &mut Value,
    update: &impl Fn(&mut Value) -> Result<bool, String>,
) -> Result<Vec<Back>, String> {
    let mut changed = Vec::new();
    for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
        match item {
            Value::Null => {}
            Value::Object(fields) => {
                if let Some(image) = fields.get_mut("image")
                    && update(image)?
                {
                    changed.push(vec![Step::Key("image".to_owned()), Step::Index(index)]);
                }
            }
            other => return Err(format!("wrong node kind: expected MappingNode but got {}", kind_of(other))),
        }
    }
    Ok(changed)
}

/// Most of what is walked through has no image, so a step is made only for those.
fn add_below(changed: &mut Vec<Back>, below: Vec<Back>, step: impl Fn() -> Step) {
    changed.extend(below.into_iter().map(|mut way| {
        way.push(step());
        way
    }));
}

/// Changes an image, if it is one of those meant. Says whether it is.
fn update(value: &mut Value, image: &Image, pattern: &Regex) -> Result<bool, String> {
    if value.is_object() || value.is_array() {
        return Err(format!("wrong node kind: expected ScalarNode but got {}", kind_of(value)));
    }
    let old = text_of(value);
    if !pattern.is_match(&old) {
        return Ok(false);
    }
    let (name, tag, digest) = split(&old);
    let name = if image.new_name.is_empty() { name } else { &image.new_name };
    let (tag, digest) = match (image.new_tag.as_str(), image.digest.as_str(), image.tag_suffix.as_str()) {
        ("", "", "") => (tag.to_owned(), digest),
        ("", "", suffix) => (format!("{tag}{suffix}"), ""),
        (tag, digest, _) => (tag.to_owned(), digest),
    };
    let mut new = name.to_owned();
    if !tag.is_empty() {
        new.push(':');
        new.push_str(&tag);
    }
    if !digest.is_empty() {
        new.push('@');
        new.push_str(digest);
    }
    *value = Value::String(new);
    Ok(true)
}

/// Name, tag and digest. A colon in the part before the first slash is a port.
fn split(image: &str) -> (&str, &str, &str) {
    let behind_host = match image.find('/') {
        Some(slash) if slash > 0 => slash,
        _ => 0,
    };
    let (rest, digest) = match image[behind_host..].find('@') {
        Some(at) => (&image[..behind_host + at], &image[behind_host + at + 1..]),
        None => (image, ""),
    };
    match rest[behind_host..].find(':') {
        Some(colon) => (&rest[..behind_host + colon], &rest[behind_host + colon + 1..], digest),
        None => (rest, "", digest),
    }
}
