//! Which images get another name, tag or digest?

use regex::Regex;
use serde_json::Value;

use crate::kustomize::{
    kustomization::Image,
    resmap::ResMap,
    resource::text_of,
    shared::{Place, Step},
    specs::FieldSpec,
    visit::{Make, each, kind_of},
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
        let mut walk = Walk { update: &update, way: Vec::new(), changed: Vec::new() };
        walk.down(&mut resource.value)
            .map_err(|error| format!("images of {} {}: {error}", resource.kind(), resource.name()))?;
        // Kustomize puts a scalar without a type there.
        walk.changed.into_iter().for_each(|place| resource.shared.note_untyped(place));
    }
    for resource in map.list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        for spec in specs {
            each(resource, spec, Make::Nothing, &mut |value| update(value).map(|_| ()))?;
        }
    }
    Ok(())
}

/// A way through all of an object.
struct Walk<'u> {
    update: &'u dyn Fn(&mut Value) -> Result<bool, String>,
    way: Vec<Step>,
    /// The images that were changed.
    changed: Vec<Place>,
}

impl Walk<'_> {
    fn down(&mut self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.way.push(Step::Key(key.clone()));
                    self.down(value)?;
                    if LISTS.contains(&key.as_str()) {
                        self.containers(value)?;
                    }
                    self.way.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.way.push(Step::Index(index));
                    self.down(item)?;
                    self.way.pop();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn containers(&mut self, value: &mut Value) -> Result<(), String> {
        for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
            match item {
                Value::Null => {}
                Value::Object(fields) => {
                    let Some(image) = fields.get_mut("image") else { continue };
                    if (self.update)(image)? {
                        let last = [Step::Index(index), Step::Key("image".to_owned())];
                        self.changed.push(Place(self.way.iter().cloned().chain(last).collect()));
                    }
                }
                other => {
                    return Err(format!("wrong node kind: expected MappingNode but got {}", kind_of(other)));
                }
            }
        }
        Ok(())
    }
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
