//! Which documents of Muster are in this file, and what is wrong with them?
//!
//! A fleet repository also holds manifests, charts and templates. Only what claims to be a
//! document of `muster.dev` is judged here; everything else is skipped, parsable or not.

use muster_yaml::{Limits, Mark, Node, Part, Reading};
use serde::Deserialize;

use crate::{
    API_VERSION, Document, GROUP, Kind, Located, SpecError,
    decode::decode,
    path::{Check, Path, Problems, Step},
};

/// Limits for one file of documents.
const LIMITS: Limits =
    Limits { bytes_max: 4 << 20, documents_max: 10_000, depth_max: 64, alias_bytes_max: 1 << 20 };

/// What a file holds of Muster's documents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The documents that are right, in order.
    pub documents: Vec<Located<Document>>,
    /// What is wrong with the others.
    pub errors: Vec<SpecError>,
    /// Where each document's `spec.dependsOn` names its apps, for errors found only later.
    pub(crate) dependencies: Vec<Vec<Mark>>,
}

/// Reads the documents of one file, YAML or JSON. `file` is its path for messages.
///
/// A document of another group is skipped, also when it does not parse. A broken document yields
/// errors and does not keep the others of the file from being read.
pub fn parse_file(file: &str, bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    // Most files of a repository are manifests; this finds out without reading them.
    if !contains(bytes, GROUP.as_bytes()) && !is_utf16(bytes) {
        return parsed;
    }
    for part in muster_yaml::parts(bytes, &LIMITS) {
        match part {
            Ok(part) => parse_part(file, &part, &mut parsed),
            Err(error) => {
                let text = String::from_utf8_lossy(bytes);
                if claims_group(&text) {
                    parsed.errors.push(spec_error(file, error.at, String::new(), error.message, None));
                }
            }
        }
    }
    parsed
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xFF, 0xFE])
}

/// Whether a text that does not parse says at its top level that it is a document of Muster.
fn claims_group(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches(['{', '"', '\'']);
        line.strip_prefix("apiVersion").is_some_and(|rest| rest.contains(GROUP))
    })
}

fn parse_part(file: &str, part: &Part<'_>, parsed: &mut Parsed) {
    if !part.text.contains(GROUP) {
        return;
    }
    let root = match part.read(Reading::Strict, &LIMITS) {
        Ok(Some(root)) => root,
        Ok(None) => return,
        Err(error) => {
            // A key given twice elsewhere is not ours to judge; ask again the lenient way.
            let identity = match part.read(Reading::AsKubectl, &LIMITS) {
                Ok(Some(root)) if group_of(&root) => identity(&root),
                Ok(_) => return,
                Err(_) if claims_group(&part.text) => guess_identity(&part.text),
                Err(_) => return,
            };
            parsed.errors.push(spec_error(file, error.at, String::new(), error.message, identity));
            return;
        }
    };
    if !group_of(&root) {
        return;
    }
    match parse_root(&root) {
        Ok(document) => {
            let (line, column) = (root.at.line, root.at.column);
            parsed.documents.push(Located { value: document, file: file.to_owned(), line, column });
            parsed.dependencies.push(dependency_marks(&root));
        }
        Err(problems) => {
            let identity = identity(&root);
            parsed.errors.extend(
                problems
                    .into_iter()
                    .map(|(path, at, message)| spec_error(file, at, path, message, identity.clone())),
            );
        }
    }
}

fn group_of(root: &Node) -> bool {
    let api_version = root.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
    api_version.split('/').next() == Some(GROUP)
}

fn identity(root: &Node) -> Option<(String, String)> {
    let kind = root.get("kind").and_then(Node::as_str)?;
    let name = root.get("metadata")?.get("name").and_then(Node::as_str)?;
    Some((kind.to_owned(), name.to_owned()))
}

/// Kind and name of a text that does not parse, from lines that look like them.
fn guess_identity(text: &str) -> Option<(String, String)> {
    let value = |line: &str| {
        let value = line.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    let kind = text.lines().find_map(|line| line.strip_prefix("kind:").and_then(value))?;
    let mut lines = text.lines().skip_while(|line| !line.starts_with("metadata:"));
    let inline = lines.next()?.strip_prefix("metadata:")?.trim();
    let name = match inline.strip_prefix('{') {
        Some(fields) => fields
            .trim_end_matches('}')
            .split(',')
            .find_map(|field| field.trim().strip_prefix("name:").and_then(value)),
        None => lines
            .take_while(|line| line.starts_with(' ') || line.trim().is_empty())
            .find_map(|line| line.trim_start().strip_prefix("name:").and_then(value)),
    }?;
    Some((kind, name))
}

type Problem = (String, Mark, String);

fn parse_root(root: &Node) -> Result<Document, Vec<Problem>> {
    let at = |key: &str| root.get(key).map_or(root.at, |node| node.at);
    let api_version = root.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
    if api_version != API_VERSION {
        let shown = crate::names::shown(api_version);
        let message =
            format!("`{shown}` is not supported by this version of Muster, expected `{API_VERSION}`");
        return Err(vec![("apiVersion".to_owned(), at("apiVersion"), message)]);
    }
    let kind = match root.get("kind") {
        None => Err("this field is required".to_owned()),
        Some(node) => match node.as_str() {
            Some(text) => text.parse::<Kind>().map_err(|error| error.to_string()),
            None => Err(format!("expected a string, found {}", node.kind())),
        },
    };
    match kind.map_err(|message| vec![("kind".to_owned(), at("kind"), message)])? {
        Kind::Fleet => checked(root).map(Document::Fleet),
        Kind::Cluster => checked(root).map(Document::Cluster),
        Kind::App => checked(root).map(Document::App),
        Kind::WavePin => checked(root).map(Document::WavePin),
    }
}

fn checked<T: for<'n> Deserialize<'n> + Check>(root: &Node) -> Result<T, Vec<Problem>> {
    let mut body = root.clone();
    if let muster_yaml::Value::Mapping(entries) = &mut body.value {
        entries.retain(|entry| entry.key != "apiVersion" && entry.key != "kind");
    }
    let value: T = decode(&body).map_err(|failures| {
        failures
            .into_iter()
            .map(|failure| (failure.path.to_string(), failure.at, failure.message))
            .collect::<Vec<_>>()
    })?;
    let mut problems = Problems::default();
    value.check(&mut problems);
    if problems.found.is_empty() {
        return Ok(value);
    }
    Err(problems
        .found
        .into_iter()
        .map(|(path, message)| (path.to_string(), path.locate(root), message))
        .collect())
}

fn spec_error(
    file: &str,
    at: Mark,
    field: String,
    message: String,
    document: Option<(String, String)>,
) -> SpecError {
    SpecError { file: file.to_owned(), line: at.line, column: at.column, field, message, document }
}

fn dependency_marks(root: &Node) -> Vec<Mark> {
    match root.get("spec").and_then(|spec| spec.get("dependsOn")).map(|node| &node.value) {
        Some(muster_yaml::Value::Sequence(items)) => items.iter().map(|item| item.at).collect(),
        _ => Vec::new(),
    }
}

/// The way to `spec.dependsOn[index]`, for errors found only when all documents are known.
pub(crate) fn depends_on(index: usize) -> String {
    Path(vec![Step::from("spec"), Step::from("dependsOn"), Step::from(index)]).to_string()
}
