//! Which ConfigMap or Secret does a generator make?

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    kustomization::{Generator, GeneratorOptions},
    resource::Resource,
    tree::Tree,
    visit::check_key,
};
use crate::patch::Spelling;

/// Kustomize breaks base64 into lines of this length.
const LINE_LENGTH: usize = 70;

/// Puts the options for all generators behind those of one.
pub(crate) fn merge_options(own: &mut GeneratorOptions, all: Option<&GeneratorOptions>) {
    let Some(all) = all else { return };
    for (own, all) in [(&mut own.labels, &all.labels), (&mut own.annotations, &all.annotations)] {
        match (own, all) {
            (Some(own), Some(all)) => {
                for (key, value) in all {
                    own.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            (own @ None, Some(all)) => *own = Some(all.clone()),
            (_, None) => {}
        }
    }
    own.disable_name_suffix_hash |= all.disable_name_suffix_hash;
    own.immutable |= all.immutable;
}

/// Makes the object of a generator in the kustomization of directory `root`.
pub(crate) fn generate(
    generator: &Generator,
    tree: Tree<'_>,
    root: &str,
    file: &str,
    line: usize,
) -> Result<Resource, String> {
    if generator.name.is_empty() {
        return Err("a configmap must have a name".to_owned());
    }
    let data = load(generator, tree, root)?;
    data.keys().try_for_each(|key| check_key(key))?;
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::from(generator.name.as_str()));
    if !generator.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), Value::from(generator.namespace.as_str()));
    }
    let options = &generator.options;
    for (field, texts) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if let Some(texts) = texts.as_ref().filter(|texts| !texts.is_empty()) {
            texts.keys().try_for_each(|key| check_key(key))?;
            let texts = texts.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
            metadata.insert(field.to_owned(), Value::Object(texts));
        }
    }
    let kind = if generator.secret_type.is_some() { "Secret" } else { "ConfigMap" };
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
    match &generator.secret_type {
        Some(kind) => {
            object["type"] = Value::from(if kind.is_empty() { "Opaque" } else { kind.as_str() });
            object["data"] =
                Value::Object(data.into_iter().map(|(key, value)| (key, base64_lines(&value))).collect());
        }
        None => {
            for (key, value) in data {
                let (field, value) = match String::from_utf8(value) {
                    Ok(text) => ("data", Value::String(text)),
                    Err(error) => ("binaryData", base64_lines(error.as_bytes())),
                };
                object[field][key] = value;
            }
        }
    }
    if options.immutable {
        object["immutable"] = Value::Bool(true);
    }
    let spelling = if kind == "ConfigMap" { spelling_of_data(&object) } else { Spelling::Plain };
    let mut resource = Resource::new(object, spelling, file, line);
    resource.behavior = generator.behavior;
    resource.generated = true;
    resource.needs_hash = !options.disable_name_suffix_hash;
    Ok(resource)
}

/// How the texts of a generated ConfigMap are written.
pub(crate) fn spelling_of_data(object: &Value) -> Spelling {
    let data = object.get("data").and_then(Value::as_object).into_iter().flatten();
    Spelling::mapping([("data".to_owned(), Spelling::generated(data))])
}

fn base64_lines(bytes: &[u8]) -> Value {
    let encoded = STANDARD.encode(bytes);
    if encoded.len() < LINE_LENGTH {
        return Value::String(encoded);
    }
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / LINE_LENGTH + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is between characters.
        let (line, behind) = rest.split_at(rest.len().min(LINE_LENGTH));
        lines.push_str(line);
        lines.push('\n');
        rest = behind;
    }
    Value::String(lines)
}

fn load(generator: &Generator, tree: Tree<'_>, root: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    for path in &generator.envs {
        let (name, bytes) = tree.load(root, path).map_err(|error| format!("env source files: {error}"))?;
        env_file(name, bytes, &mut pairs)?;
    }
    for (position, literal) in generator.literals.iter().enumerate() {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            // Without the text, which may be a password.
            return Err(format!("invalid literal source {position}, expected key=value"));
        };
        pairs.push((key.to_owned(), without_quotes(value).as_bytes().to_vec()));
    }
    for source in &generator.files {
        let (key, path) = file_source(source)?;
        let (_, bytes) = tree.load(root, path).map_err(|error| format!("file sources: {error}"))?;
        pairs.push((key.to_owned(), bytes.to_vec()));
    }
    let mut data = BTreeMap::new();
    for (key, value) in pairs {
        if data.contains_key(&key) {
            return Err(format!("configmap {} illegally repeats the key `{key}`", generator.name));
        }
        data.insert(key, value);
    }
    Ok(data)
}

fn without_quotes(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.len() >= 2
            && let Some(inside) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote))
        {
            return inside;
        }
    }
    text
}

/// The key and the path of `files`: `path` or `key=path`.
fn file_source(source: &str) -> Result<(&str, &str), String> {
    match source.split_once('=') {
        None => {
            let trimmed = source.trim_end_matches('/');
            Ok((trimmed.rsplit('/').next().unwrap_or(trimmed), source))
        }
        Some((_, path)) if path.contains('=') => {
            Err(format!("source \"{source}\" key name or file path contains '='"))
        }
        Some(("", _)) => Err(format!("missing key name for file path in source \"{source}\"")),
        Some((_, "")) => Err(format!("missing file path for key name in source \"{source}\"")),
        Some((key, path)) => Ok((key, path)),
    }
}

fn env_file(name: &str, bytes: &[u8], pairs: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let is_end = lines.peek().is_none() && line.is_empty();
        if is_end {
            break;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(format!("{name}:{}: the line is not UTF-8", number + 1));
        };
        let line = if number == 0 { line.strip_prefix('\u{FEFF}').unwrap_or(line) } else { line };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(())
}
