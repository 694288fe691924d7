//! In which wave of its app's sync is an object applied?
//!
//! Waves go from the lowest number to the highest; each waits until the one before is healthy. Without
//! an annotation it is wave 0. Argo CD's annotation means the same, and Helm's weight of a hook too.
use serde_json::{Map, Value};

/// Position among an app's waves.
pub(crate) type Wave = i32;

const ANNOTATIONS: &[&str] = &["muster.dev/sync-wave", "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"];

/// Reads the wave from an object's annotations.
///
/// # Errors
/// A value that is no whole number, as a sentence that names the annotation.
pub(crate) fn read(annotations: Option<&Map<String, Value>>) -> Result<Wave, String> {
    let found = ANNOTATIONS.iter().find_map(|name| Some((name, annotations?.get(*name)?)));
    let Some((name, value)) = found else { return Ok(0) };
    let text = value.as_str().unwrap_or_default();
    text.trim().parse().map_err(|_| {
        format!("The annotation {name} is not a whole number in quotes, such as \"-1\", but {value}.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn waves_are_whole_numbers_in_any_of_the_spellings() {
        let cases = [
            (json!({}), Ok(0)),
            (json!({"argocd.argoproj.io/sync-wave": "5"}), Ok(5)),
            (json!({"muster.dev/sync-wave": "-3", "argocd.argoproj.io/sync-wave": "5"}), Ok(-3)),
            (json!({"helm.sh/hook-weight": "10"}), Ok(10)),
        ];
        for (annotations, wave) in cases {
            assert_eq!(read(annotations.as_object()), wave, "{annotations}");
        }
        assert_eq!(read(None), Ok(0));
        for wrong in [json!("first"), json!("1.5"), json!(""), json!("99999999999"), json!(2)] {
            let annotations = json!({"muster.dev/sync-wave": wrong});
            assert!(read(annotations.as_object()).unwrap_err().contains("muster.dev/sync-wave"), "{wrong}");
        }
    }
}
