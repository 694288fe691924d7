//! Which images get another name, tag or digest?

use regex::Regex;
use serde_json::Value;

use crate::kustomize::{
    kustomization::Image,
    resmap::ResMap,
    resource::text_of,
    specs::FieldSpec,
    visit::{Make, each, kind_of, set_scalar},
};

/// Lists in which images are, wherever in an object.
const LISTS: [&str; 2] = ["containers", "initContainers"];

pub(super) fn run(map: &mut ResMap, image: &Image, specs: &[FieldSpec]) -> Result<(), String> {
    // The name is a pattern to Kustomize, though nobody means one: in `a.b` the point is any character.
    let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = Regex::new(&pattern)
        .map_err(|_| format!("images: the name '{}' is no regular expression", image.name))?;
    let update = |value: &mut Value| update(value, image, &pattern);
    for resource in map.list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        walk(&mut resource.value, &update)
            .map_err(|error| format!("images of {} {}: {error}", resource.kind(), resource.name()))?;
    }
    for resource in map.list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        for spec in specs {
            each(resource, spec, Make::Nothing, &mut { update })?;
        }
    }
    Ok(())
}

fn walk(value: &mut Value, update: &impl Fn(&mut Value) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(value, update)?;
                if LISTS.contains(&key.as_str())
                    && let Value::Array(items) = value
                {
                    for item in items {
                        container(item, update)?;
                    }
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, update)),
        _ => Ok(()),
    }
}

fn container(item: &mut Value, update: &impl Fn(&mut Value) -> Result<(), String>) -> Result<(), String> {
    match item {
        Value::Null => Ok(()),
        Value::Object(fields) => fields.get_mut("image").map_or(Ok(()), update),
        other => Err(format!("wrong node kind: expected MappingNode but got {}", kind_of(other))),
    }
}

fn update(value: &mut Value, image: &Image, pattern: &Regex) -> Result<(), String> {
    if value.is_object() || value.is_array() {
        return Err(format!("wrong node kind: expected ScalarNode but got {}", kind_of(value)));
    }
    let old = text_of(value);
    if !pattern.is_match(&old) {
        return Ok(());
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
    set_scalar(value, Value::String(new))
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
