//! Which values of Secrets lie in Git for everybody to read?
//!
//! Files are looked at as they are, whether or not an app uses them. A SealedSecret or an ExternalSecret is
//! another kind; a Secret encrypted with SOPS says so under `sops`, and its values begin with `ENC[`.

use muster_yaml::{Limits, Mark, Node, Reading, Value};

use crate::definitions::contains;
use crate::lint::finding::{At, Mistake};
use crate::lint::rule::Rule;
use crate::source::{Files, is_manifest};

/// What SOPS puts before each value that it encrypts.
const ENCRYPTED: &str = "ENC[";
/// A kustomization without an ending.
const KUSTOMIZATION: &str = "Kustomization";
/// So many keys are named in a message.
const KEYS_SHOWN_MAX: usize = 5;
/// Lists inside of each other.
const LIST_DEPTH_MAX: usize = 8;
/// What to do about a value in plain text.
const REMEDY: &str = "whoever reads the repository knows them: change them, and keep them as a SealedSecret, an \
                      ExternalSecret or encrypted with SOPS";

/// Looks at all files. What cannot be read holds no Secret that an agent could apply.
pub(in crate::lint) fn check(files: &Files) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (file, bytes) in files {
        let is_read = is_manifest(file) || file.rsplit('/').next() == Some(KUSTOMIZATION);
        if !is_read || !contains(bytes, "Secret") && !contains(bytes, "secretGenerator") {
            continue;
        }
        let limits = Limits::default();
        for part in muster_yaml::parts(bytes, &limits).into_iter().filter_map(Result::ok) {
            let Ok(Some(root)) = part.read(Reading::AsKubectl, &limits) else { continue };
            let mut add = |mark: Mark, message: String| {
                let at = At { file: file.clone(), line: mark.line, column: mark.column };
                mistakes.push(Mistake { at, rule: Rule::PlainSecret, message });
            };
            objects(&root, 0, &mut add);
            generators(&root, file, files, &mut add);
        }
    }
    mistakes
}

/// Secrets, alone or in lists.
fn objects(node: &Node, depth: usize, add: &mut impl FnMut(Mark, String)) {
    if let Some(Value::Sequence(items)) = node.get("items").map(|items| &items.value)
        && depth < LIST_DEPTH_MAX
    {
        items.iter().for_each(|item| objects(item, depth + 1, add));
    }
    let text = |key: &str| node.get(key).and_then(Node::as_str);
    if text("kind") != Some("Secret") || text("apiVersion") != Some("v1") {
        return;
    }
    let mut first = None;
    let mut keys = Vec::new();
    for field in ["data", "stringData"] {
        let Some(entry) = node.entry(field) else { continue };
        let Value::Mapping(values) = &entry.value.value else { continue };
        for value in values.iter().filter(|value| is_plain(&value.value)) {
            first = first.or(Some(entry.at));
            keys.push(value.key.as_str());
        }
    }
    let Some(mark) = first else { return };
    let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::as_str);
    let (name, keys) = (name.unwrap_or("without a name"), listed(&keys));
    let remedy = match node.get("sops") {
        Some(_) => {
            "it says that SOPS encrypts it, and these values are not: run `sops --encrypt` on it again"
        }
        None => REMEDY,
    };
    add(mark, format!("the Secret `{name}` has values in plain text ({keys}); {remedy}"));
}

/// Whether a value is one that somebody could use: not empty, not encrypted, and not filled in later.
fn is_plain(value: &Node) -> bool {
    match &value.value {
        Value::String(text) => is_plain_text(text),
        Value::Null => false,
        _ => true,
    }
}

fn is_plain_text(text: &str) -> bool {
    let text = text.trim();
    let is_filled_in = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
    !text.is_empty() && !text.starts_with(ENCRYPTED) && !is_filled_in
}

/// The `secretGenerator` of a kustomization.
fn generators(node: &Node, file: &str, files: &Files, add: &mut impl FnMut(Mark, String)) {
    let Some(Value::Sequence(generators)) = node.get("secretGenerator").map(|list| &list.value) else {
        return;
    };
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    for generator in generators {
        let texts = |key: &str| match generator.get(key).map(|list| &list.value) {
            Some(Value::Sequence(items)) => items.iter().filter_map(Node::as_str).collect(),
            Some(Value::String(text)) => vec![text.as_str()],
            _ => Vec::new(),
        };
        let literals = texts("literals");
        let mut keys: Vec<&str> = literals
            .iter()
            .filter_map(|literal| literal.split_once('='))
            .filter(|(_, value)| is_plain_text(value.trim_matches(['"', '\''])))
            .map(|(key, _)| key)
            .collect();
        let sources = texts("files").into_iter().chain(texts("envs")).chain(texts("env"));
        for source in sources {
            let path = source.split_once('=').map_or(source, |(_, path)| path);
            if files.get(&join(folder, path)).is_none_or(|bytes| !is_encrypted(bytes)) {
                keys.push(source);
            }
        }
        if !keys.is_empty() {
            let name = generator.get("name").and_then(Node::as_str).unwrap_or("without a name");
            let keys = listed(&keys);
            add(
                generator.at,
                format!("secretGenerator makes the Secret `{name}` of plain text ({keys}); {REMEDY}"),
            );
        }
    }
}

/// A file that SOPS has encrypted: in any of its formats it keeps what it needs under `sops`.
fn is_encrypted(bytes: &[u8]) -> bool {
    contains(bytes, "sops") && contains(bytes, ENCRYPTED)
}

/// A path from a folder, as files are named.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn listed(keys: &[&str]) -> String {
    let shown = keys.get(..KEYS_SHOWN_MAX.min(keys.len())).unwrap_or_default().join(", ");
    match keys.len().saturating_sub(KEYS_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let mut files = Files::from([("app/a.yaml".to_owned(), text.as_bytes().to_vec())]);
        files.insert("app/README.md".to_owned(), b"apiVersion: v1\nkind: Secret\ndata: {a: b}\n".to_vec());
        files.insert("app/plain.env".to_owned(), b"password=hunter2".to_vec());
        files
            .insert("app/sealed.env".to_owned(), b"password=ENC[AES256_GCM,data:x]\nsops_version=3".to_vec());
        let mistakes = check(&files).into_iter();
        mistakes.map(|mistake| (mistake.at.line, mistake.message)).collect()
    }

    #[test]
    fn values_in_plain_text_are_found_and_not_repeated() {
        for text in [
            "apiVersion: v1\nkind: Secret\ndata:\n  password: aHVudGVyMg==\n",
            "apiVersion: v1\nkind: Secret\nstringData: {password: hunter2}\n",
            "apiVersion: v1\nkind: Secret\nstringData: {password: hunter2}\nsops: {version: 3}\n",
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, stringData: {password: hunter2}}]\n",
            "secretGenerator:\n- name: a\n  literals: [password=hunter2]\n",
        ] {
            let found = found(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].1.contains("password") && !found[0].1.contains("hunter2"), "{found:?}");
        }
        assert_eq!(found("secretGenerator:\n- envs: [plain.env]\n  files: [b=gone]\n").len(), 1);
    }

    #[test]
    fn what_gives_nothing_away_is_fine() {
        for text in [
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
            "apiVersion: v1\nkind: Secret\ndata: {filled: '', later: null}\nstringData: {b: '${PASSWORD}'}\n",
            "apiVersion: v1\nkind: Secret\nstringData: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {version: 3}\n",
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {encryptedData: {a: AgB}}\n",
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\ndata: {a: b}\n",
            "apiVersion: v1\nkind: Secret\nstringData: {{ toYaml .Values }}\n",
            "secretGenerator:\n- envs: [sealed.env]\n  literals: ['a=', 'b=${B}']\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn paths_are_joined_as_kustomize_does() {
        assert_eq!(join("a/b", "../c/./d"), "a/c/d");
        assert_eq!(join("", "d"), "d");
    }
}
