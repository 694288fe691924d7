//! Which images does a kustomization name, and how does it name those of another?

use muster_yaml::{Limits, Node, Reading, Value, parts};
use serde_json::json;

use super::edit::Edits;

/// What `images` of a kustomization can say of one, beside its name.
const FIELDS: [&str; 3] = ["newName", "newTag", "digest"];

/// What becomes of one image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ImageChange {
    pub(crate) name: String,
    /// As `NAME:TAG` or `NAME@DIGEST`; empty where it was not named.
    pub(crate) from: String,
    pub(crate) to: String,
}

/// An entry of `images`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image {
    name: String,
    /// As in [`FIELDS`].
    fields: [Option<String>; 3],
}

impl Image {
    fn shown(&self) -> String {
        let [name, tag, digest] = &self.fields;
        let mut text = name.clone().unwrap_or_else(|| self.name.clone());
        if let Some(tag) = tag {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = digest {
            text = format!("{text}@{digest}");
        }
        text
    }

    /// Its fields that say something.
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        FIELDS.iter().zip(&self.fields).filter_map(|(key, value)| Some((*key, value.as_deref()?)))
    }
}

/// The kustomization `to` with the images of `from`, and what changes; only those named, or all.
///
/// # Errors
/// A sentence, with the line where it is about one.
pub(super) fn carry(from: &str, to: &str, only: &[String]) -> Result<(String, Vec<ImageChange>), String> {
    let source = document(from).map_err(|error| format!("in the overlay to take from, {error}"))?;
    let mut wanted: Vec<Image> = images(&source)?.into_iter().map(|(image, _)| image).collect();
    if let Some(missing) = only.iter().find(|name| !wanted.iter().any(|image| image.name == **name)) {
        return Err(format!("the overlay to take from does not name the image {missing}"));
    }
    wanted.retain(|image| only.is_empty() || only.contains(&image.name));
    if wanted.is_empty() {
        return Err("the overlay to take from names no images".to_owned());
    }
    let target = document(to)?;
    let there = images(&target)?;
    let (mut edits, mut changes) = (Edits::of(to), Vec::new());
    let mut expected = target.clone().into_json();
    let mut added: Vec<Vec<(&str, &str)>> = Vec::new();
    for image in &wanted {
        let found = there.iter().position(|(there, _)| there.name == image.name);
        let before = found.map(|at| there[at].0.shown()).unwrap_or_default();
        match found {
            Some(at) if there[at].0 == *image => continue,
            Some(at) => {
                let (old, node) = &there[at];
                change(&mut edits, old, image, node)?;
                let entry = &mut expected["images"][at];
                FIELDS.iter().zip(&image.fields).for_each(|(key, value)| {
                    match (value, entry.as_object_mut()) {
                        (Some(value), _) => entry[*key] = json!(value),
                        (None, Some(fields)) => drop(fields.remove(*key)),
                        (None, None) => {}
                    }
                });
            }
            None => {
                let entries: Vec<(&str, &str)> =
                    std::iter::once(("name", image.name.as_str())).chain(image.given()).collect();
                let entry = entries.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
                match expected["images"].as_array_mut() {
                    Some(list) => list.push(serde_json::Value::Object(entry)),
                    None => expected["images"] = json!([serde_json::Value::Object(entry)]),
                }
                added.push(entries);
            }
        }
        changes.push(ImageChange { name: image.name.clone(), from: before, to: image.shown() });
    }
    match target.get("images") {
        Some(list) if !added.is_empty() => edits.append(list, &added)?,
        None if !added.is_empty() => edits.begin("images", &added),
        _ => {}
    }
    let text = edits.finish();
    // Whatever the file looks like, it says afterwards what it should, or nothing is done.
    match document(&text).map(Node::into_json) {
        Ok(found) if found == expected => Ok((text, changes)),
        _ => Err("the file is written in a way that is not edited; change it by hand".to_owned()),
    }
}

/// Makes an entry say what another does.
fn change(edits: &mut Edits<'_>, old: &Image, new: &Image, node: &Node) -> Result<(), String> {
    let has = |image: &Image, at: usize| image.fields[at].is_some();
    let mut gone: Vec<usize> = (0..FIELDS.len()).filter(|at| has(old, *at) && !has(new, *at)).collect();
    for (at, key) in FIELDS.iter().enumerate() {
        let Some(value) = &new.fields[at] else { continue };
        match node.entry(key) {
            Some(entry) if old.fields[at].as_ref() != Some(value) => edits.set(&entry.value, value)?,
            Some(_) => {}
            // A digest in place of a tag, or a tag of a digest, stays where it was.
            None => match gone.pop().and_then(|other| node.entry(FIELDS[other])) {
                Some(entry) => {
                    edits.rename(entry, key)?;
                    edits.set(&entry.value, value)?;
                }
                None => edits.add(node, key, value)?,
            },
        }
    }
    gone.into_iter().filter_map(|at| node.entry(FIELDS[at])).try_for_each(|entry| edits.remove(entry))
}

fn document(text: &str) -> Result<Node, String> {
    let limits = Limits::default();
    let mut read = Vec::new();
    for part in parts(text.as_bytes(), &limits) {
        let node = part.and_then(|part| part.read(Reading::AsKubectl, &limits));
        read.extend(node.map_err(|error| error.to_string())?);
    }
    match <[Node; 1]>::try_from(read) {
        Ok([node]) => Ok(node),
        Err(read) => Err(format!("expected one document, found {}", read.len())),
    }
}

fn images(kustomization: &Node) -> Result<Vec<(Image, &Node)>, String> {
    let Some(list) = kustomization.get("images") else { return Ok(Vec::new()) };
    let Value::Sequence(items) = &list.value else {
        return Err(format!("{}: images: expected a list, found {}", list.at, list.kind()));
    };
    items.iter().map(|item| Ok((image(item)?, item))).collect()
}

fn image(item: &Node) -> Result<Image, String> {
    let text = |key: &str| match item.get(key) {
        None => Ok(None),
        Some(node) => match node.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => {
                Err(format!("{}: {key}: expected a string, found {}; put it in quotes", node.at, node.kind()))
            }
        },
    };
    let name = text("name")?.ok_or_else(|| format!("{}: an image without a name", item.at))?;
    Ok(Image { name, fields: [text(FIELDS[0])?, text(FIELDS[1])?, text(FIELDS[2])?] })
}

#[cfg(test)]
mod tests;
