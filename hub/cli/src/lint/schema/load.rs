//! What does a file given with `--schema` say?

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Schemas;
use crate::definitions;
use crate::failure::Failure;
use crate::source::{Files, Reader as _, WorkTree};

/// Bytes of one file; the whole OpenAPI document of a cluster with many definitions has about 10 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads a file, or all files below a directory: OpenAPI documents as `kubectl get --raw /openapi/v2` prints
/// them (or one of `/openapi/v3/...`), and CustomResourceDefinitions.
///
/// # Errors
/// When it cannot be read, or says nothing of any kind.
pub(crate) fn load(path: &Path, schemas: &mut Schemas) -> Result<(), Failure> {
    let unusable = |message: String| Failure::Schema { path: path.to_owned(), message };
    let files = if path.is_dir() {
        let root = path.canonicalize().map_err(|error| unusable(error.to_string()))?;
        WorkTree::new(&root).manifests().map_err(|error| unusable(error.to_string()))?
    } else {
        let size = fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(unusable(format!("it has {size} bytes; {FILE_BYTES_MAX} are allowed")));
        }
        let bytes = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        Files::from([(path.to_string_lossy().into_owned(), bytes)])
    };
    let before = schemas.kinds.len();
    let mut others = Files::new();
    for (name, bytes) in files {
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(document) if open_api(&document, schemas) => {}
            _ => {
                others.insert(name, bytes);
            }
        }
    }
    schemas.define(definitions::find(&others));
    if schemas.kinds.len() == before {
        return Err(unusable(
            "it holds no OpenAPI document (`kubectl get --raw /openapi/v2`) and no CustomResourceDefinition"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Takes an OpenAPI document in; false when it is none.
fn open_api(document: &Value, schemas: &mut Schemas) -> bool {
    let types = document.get("definitions").or_else(|| document.pointer("/components/schemas"));
    let Some(types) = types.and_then(Value::as_object) else { return false };
    for (name, schema) in types {
        for (api_version, kind) in kinds(schema) {
            // What is no object of a cluster, such as the options of a request, has no metadata.
            if schema.pointer("/properties/metadata").is_some() {
                schemas.kinds.insert((api_version, kind), schema.clone());
            }
        }
        schemas.types.insert(name.clone(), schema.clone());
    }
    scopes(document, schemas);
    schemas.is_whole = true;
    true
}

fn kinds(of: &Value) -> Vec<(String, String)> {
    let kinds = match of.get("x-kubernetes-group-version-kind") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    let text = |kind: &Value, key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    kinds
        .iter()
        .map(|kind| {
            let (group, version) = (text(kind, "group"), text(kind, "version"));
            let api_version = if group.is_empty() { version } else { format!("{group}/{version}") };
            (api_version, text(kind, "kind"))
        })
        .collect()
}

/// An object's own address tells whether it is in a namespace.
fn scopes(document: &Value, schemas: &mut Schemas) {
    for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        // Namespaces themselves have the name of a namespace in theirs.
        let is_object =
            path.ends_with("/{name}") && !path.contains("/watch/") && path.matches("{name}").count() == 1;
        let Some(put) = methods.get("put").filter(|_| is_object) else { continue };
        for (api_version, kind) in kinds(put) {
            let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
            schemas.scopes.push((group, kind, path.contains("/namespaces/{namespace}/")));
        }
    }
}
