//! What the name of an object in these tests says of it.
use serde_json::{Value, json};

/// The name of an object says when it is applied: hooks are `pre-`, `mid-`, `post-` or `oops-`something, and a
/// digit at the end is the wave. With `-gone` in it, it is deleted when it has succeeded.
pub(super) fn annotations(name: &str) -> Value {
    let mut annotations = serde_json::Map::new();
    let phases = [("pre-", "pre-sync"), ("mid-", "sync"), ("post-", "post-sync"), ("oops-", "on-failure")];
    if let Some((_, phase)) = phases.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        annotations.insert("muster.dev/hook".to_owned(), json!(phase));
    }
    if name.contains("-gone") {
        annotations.insert("muster.dev/hook-delete-policy".to_owned(), json!("hook-succeeded"));
    }
    if let Some(wave) = name.chars().last().filter(char::is_ascii_digit) {
        annotations.insert("muster.dev/sync-wave".to_owned(), json!(wave.to_string()));
    }
    annotations.into()
}

/// Hooks and what is in a wave take a while.
pub(super) fn is_slow(name: &str) -> bool {
    annotations(name).as_object().is_some_and(|annotations| !annotations.is_empty())
}
