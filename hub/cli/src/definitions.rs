//! Which kinds does the repository itself define?

use muster_yaml::{Limits, Reading};
use serde_json::Value;

use crate::source::Files;

/// What files hold before they are worth reading.
const KIND: &str = "CustomResourceDefinition";

/// A kind that a CustomResourceDefinition brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    /// API group.
    pub(crate) group: String,
    /// Kind.
    pub(crate) kind: String,
    /// Whether its objects live in a namespace.
    pub(crate) is_namespaced: bool,
    /// Each served version with its schema (OpenAPI v3), null where it has none.
    pub(crate) versions: Vec<(String, Value)>,
}

/// The kinds that these files define. What cannot be read defines nothing: rendering says what is wrong.
pub(crate) fn find(files: &Files) -> Vec<Definition> {
    let mut found = Vec::new();
    for bytes in files.values().filter(|bytes| contains(bytes, KIND)) {
        for object in objects(bytes) {
            let items = object.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            found.extend(items.iter().chain([&object]).filter_map(definition));
        }
    }
    found
}

/// Whether a text is somewhere in a file.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The documents of a file that can be read.
pub(crate) fn objects(bytes: &[u8]) -> Vec<Value> {
    let limits = Limits::default();
    let parts = muster_yaml::parts(bytes, &limits);
    let nodes = parts.into_iter().filter_map(|part| part.ok()?.read(Reading::AsKubectl, &limits).ok()?);
    nodes.map(muster_yaml::Node::into_json).collect()
}

fn definition(object: &Value) -> Option<Definition> {
    if object.get("kind")?.as_str()? != KIND {
        return None;
    }
    let spec = object.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let versions = spec.get("versions").and_then(Value::as_array)?;
    Some(Definition {
        group: text("/group")?,
        kind: text("/names/kind")?,
        is_namespaced: text("/scope")? == "Namespaced",
        versions: versions
            .iter()
            .filter(|version| version.get("served").and_then(Value::as_bool) != Some(false))
            .filter_map(|version| {
                let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or(Value::Null);
                Some((version.get("name")?.as_str()?.to_owned(), schema))
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_alone_and_in_lists() {
        let one = |kind: &str, scope: &str| {
            format!(
                "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {{group: example.com, \
                 scope: {scope}, names: {{kind: {kind}}}, versions: [{{name: v1, served: true, schema: \
                 {{openAPIV3Schema: {{type: object}}}}}}, {{name: v0, served: false}}]}}}}"
            )
        };
        let text = format!(
            "{}\n---\nkind: List\nitems: [{}]\n---\n- broken: {{\n",
            one("Zone", "Cluster"),
            one("Shop", "Namespaced")
        );
        let files = Files::from([("a.yaml".to_owned(), text.into_bytes())]);
        let found = find(&files);
        let names: Vec<_> = found.iter().map(|found| (found.kind.as_str(), found.is_namespaced)).collect();
        assert_eq!(names, [("Zone", false), ("Shop", true)]);
        assert_eq!(found[0].versions, [("v1".to_owned(), serde_json::json!({"type": "object"}))]);
    }
}
