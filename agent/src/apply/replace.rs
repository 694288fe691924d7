//! The server says that an object cannot become what Git says: may it be deleted and created anew?
//!
//! ```text
//! 422 --immutable--> fields that cannot change --may_replace--> delete, wait, create
//! ```
use crate::api::Cause;
use crate::directives::Replace;
use crate::object::GroupKind;

/// Words by which the API server says that a field is valid, but not as a change. From the validation of
/// Kubernetes' own kinds; definitions with transition rules have words of their own.
const WORDS: &[&str] = &[
    "immutable",
    "may not change",
    "may not be changed",
    "cannot change",
    "cannot be changed",
    "can't be changed",
    "must not be changed",
    "are forbidden",
    "is forbidden after creation",
    "once set",
];

/// The fields that cannot be changed, by the words of the server. Empty when the object is invalid in itself, as
/// far as the words tell.
pub(super) fn immutable(causes: &[Cause]) -> Vec<&str> {
    let is_change = |cause: &&Cause| WORDS.iter().any(|words| cause.message.contains(words));
    named(causes.iter().filter(is_change))
}

/// All fields that are named, each once.
pub(super) fn named<'a>(causes: impl IntoIterator<Item = &'a Cause>) -> Vec<&'a str> {
    let mut fields: Vec<_> = causes.into_iter().map(|cause| cause.field.as_str()).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// What is never replaced, since everything in it would be deleted.
const NEVER: &[(&str, &str)] = &[("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")];

/// What holds data: replaced only where Muster's own annotation says so.
const DATA: &[(&str, &str)] = &[("", "PersistentVolumeClaim"), ("", "PersistentVolume")];

/// Whether an object of this kind may be deleted and created anew.
///
/// # Errors
/// A sentence that names the fields and says what to do instead.
pub(super) fn may_replace(kind: &GroupKind, replace: Replace, fields: &[&str]) -> Result<(), String> {
    let is = |table: &[(&str, &str)]| table.iter().any(|(group, name)| kind.is(group, name));
    let fields = if fields.is_empty() { "What changed".to_owned() } else { fields.join(", ") };
    if is(NEVER) {
        return Err(format!(
            "{fields} cannot be changed in place, and a {} is never deleted to change it, since everything in it would \
             go too. Undo the change in Git.",
            kind.kind
        ));
    }
    match replace {
        Replace::Explicit => Ok(()),
        Replace::Yes if !is(DATA) => Ok(()),
        Replace::Yes => Err(format!(
            "{fields} cannot be changed in place, and deleting this may delete data. If that is meant, annotate it with \
             muster.dev/replace: \"true\" to have it deleted and created anew; otherwise undo the change in Git."
        )),
        Replace::No => Err(format!(
            "{fields} cannot be changed in place. Annotate it with muster.dev/replace: \"true\" to have it deleted and \
             created anew, with what belongs to it; otherwise undo the change in Git."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(field: &str, message: &str) -> Cause {
        Cause { field: field.into(), message: message.into(), reason: "FieldValueInvalid".into() }
    }

    /// Messages as kube-apiserver v1.36 gives them.
    #[test]
    fn the_servers_words_for_what_cannot_change() {
        let cases = [
            ("spec.selector", r#"Invalid value: {"matchLabels":{"app":"b"}}: field is immutable"#, true),
            ("spec.clusterIPs[0]", r#"Invalid value: ["10.0.0.2"]: may not change once set"#, true),
            ("spec.template", "Invalid value: {...}: field is immutable", true),
            (
                "spec",
                "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                 'minReadySeconds' are forbidden",
                true,
            ),
            ("data", "Forbidden: field is immutable when `immutable` is set", true),
            (
                "spec",
                "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
                true,
            ),
            ("roleRef", "Invalid value: {...}: cannot change roleRef", true),
            (
                "spec",
                "Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
                true,
            ),
            ("value", "Invalid value: 5: may not be changed in an update.", true),
            (
                "metadata.name",
                "Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of",
                false,
            ),
            ("spec.template.spec.containers[0].image", "Required value", false),
            ("spec.ports", "Required value", false),
        ];
        for (field, message, is_immutable) in cases {
            let causes = [cause(field, message)];
            let expected: &[&str] = if is_immutable { &[field] } else { &[] };
            assert_eq!(immutable(&causes), expected, "{field}: {message}");
        }
    }

    #[test]
    fn only_what_is_allowed_is_replaced() {
        let cases = [
            ("apps", "Deployment", [false, true, true]),
            ("batch", "Job", [false, true, true]),
            ("", "PersistentVolumeClaim", [false, false, true]),
            ("", "PersistentVolume", [false, false, true]),
            ("", "Namespace", [false, false, false]),
            ("apiextensions.k8s.io", "CustomResourceDefinition", [false, false, false]),
        ];
        for (group, kind, expected) in cases {
            for (replace, may) in [Replace::No, Replace::Yes, Replace::Explicit].into_iter().zip(expected) {
                let verdict = may_replace(&GroupKind::new(group, kind), replace, &["spec.x"]);
                assert_eq!(verdict.is_ok(), may, "{kind} {replace:?}");
                assert!(
                    verdict.err().is_none_or(|error| error.starts_with("spec.x cannot be changed in place"))
                );
            }
        }
    }
}
