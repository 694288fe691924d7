//! What does the configuration file say?
use std::path::Path;

use clap::Args;
use muster_yaml::{Limits, Reading, Value, parts};

use super::{ConfigError, Settings};

/// Largest file read, in bytes: far more than all settings together.
const LIMITS: Limits =
    Limits { bytes_max: 64 << 10, documents_max: 1, depth_max: 4, alias_bytes_max: 4 << 10 };

/// Likeness, from 0 to 1, from which on a known key is offered for an unknown one.
const LIKENESS_MIN: f64 = 0.75;

/// Reads the settings in a file.
///
/// # Errors
/// When it cannot be read, is not a mapping, or has a key that is not a setting.
pub(super) fn read(file: &Path) -> Result<Settings, ConfigError> {
    let wrong = |message: String| ConfigError::File { file: file.to_owned(), message };
    let bytes = std::fs::read(file).map_err(|error| wrong(format!("the file cannot be read: {error}")))?;
    parse(&bytes).map_err(wrong)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Settings, String> {
    let Some(part) = parts(bytes, &LIMITS).into_iter().next() else { return Ok(Settings::default()) };
    let root =
        part.and_then(|part| part.read(Reading::Strict, &LIMITS)).map_err(|error| error.to_string())?;
    let Some(root) = root else { return Ok(Settings::default()) };
    let Value::Mapping(entries) = &root.value else {
        return Err(format!("{}: expected a mapping of settings, found {}", root.at, root.kind()));
    };
    let known = known();
    if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.key)) {
        return Err(format!("{}: unknown setting `{}`{}", entry.at, entry.key, hint(&entry.key, &known)));
    }
    serde_json::from_value(root.into_json()).map_err(|error| error.to_string())
}

/// The settings by name: those of the flags, without the file itself.
fn known() -> Vec<String> {
    let command = Settings::augment_args(clap::Command::new("run"));
    let names = command.get_arguments().filter_map(|argument| argument.get_long());
    names.filter(|name| *name != "config").map(str::to_owned).collect()
}

fn hint(key: &str, known: &[String]) -> String {
    let likeness = |name: &str| strsim::jaro_winkler(key, name);
    let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match nearest.filter(|name| likeness(name) >= LIKENESS_MIN) {
        Some(nearest) => format!(", did you mean `{nearest}`?"),
        None => format!("; known are {}", known.join(", ")),
    }
}
