//! What do an object's own annotations ask for?
//!
//! One table, from annotation and value to meaning: Muster's spelling, and those of Argo CD, Flux and Helm, so
//! that manifests may move between them. Keeping and pruning are read from the live object, which is all there
//! is once it has left Git; everything else is read from Git.
//!
//! Sources: Argo CD, user-guide/sync-options and compare-options; Flux, components/kustomize/kustomizations
//! ("Controlling the apply behavior of resources"); Helm, howto/charts_tips_and_tricks.
use serde_json::Value;

use crate::object::at;
use crate::source::Conflicts;

/// What is asked for; the default is nothing out of the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) prune: Prune,
    pub(crate) reconcile: Reconcile,
    pub(crate) replace: Replace,
    /// Whether fields that kubectl and other tools applied, and Git does not name, stay at adoption.
    pub(crate) merge: bool,
    /// Left over in the cluster, it does not make its app OutOfSync.
    pub(crate) unlisted: bool,
    /// Overrides the app's own `spec.sync.conflicts`.
    pub(crate) conflicts: Option<Conflicts>,
}

/// What happens when the object leaves Git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Prune {
    /// It is deleted, unless something foreign would go with it.
    #[default]
    Delete,
    /// It stays.
    Keep,
    /// It is deleted, with whatever is in it.
    WithContents,
}

/// Whether the object is brought to what Git says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reconcile {
    #[default]
    Always,
    /// It is created and then left alone.
    IfAbsent,
    Never,
}

/// Whether the object may be deleted and created anew when a change is not possible in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replace {
    #[default]
    No,
    /// By another tool's annotation, which was not written with Muster in mind: not what holds data.
    Yes,
    /// By Muster's own annotation.
    Explicit,
}

/// One meaning.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Prune(Prune),
    Reconcile(Reconcile),
    Replace(Replace),
    Merge,
    Unlisted,
    Conflicts(Conflicts),
    /// The tool's default.
    Nothing,
}

/// Muster's annotations take the listed values only; anything else is a mistake that must not go unnoticed.
const OURS: &str = "muster.dev/";

const TABLE: &[(&str, &str, Ask)] = &[
    ("muster.dev/prune", "enabled", Ask::Nothing),
    ("muster.dev/prune", "disabled", Ask::Prune(Prune::Keep)),
    ("muster.dev/prune", "with-contents", Ask::Prune(Prune::WithContents)),
    ("argocd.argoproj.io/sync-options", "Prune=false", Ask::Prune(Prune::Keep)),
    ("argocd.argoproj.io/sync-options", "Prune=confirm", Ask::Prune(Prune::Keep)),
    ("argocd.argoproj.io/sync-options", "Delete=false", Ask::Prune(Prune::Keep)),
    ("argocd.argoproj.io/sync-options", "Delete=confirm", Ask::Prune(Prune::Keep)),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled", Ask::Prune(Prune::Keep)),
    ("helm.sh/resource-policy", "keep", Ask::Prune(Prune::Keep)),
    ("muster.dev/reconcile", "enabled", Ask::Nothing),
    ("muster.dev/reconcile", "disabled", Ask::Reconcile(Reconcile::Never)),
    ("muster.dev/reconcile", "if-absent", Ask::Reconcile(Reconcile::IfAbsent)),
    ("kustomize.toolkit.fluxcd.io/reconcile", "disabled", Ask::Reconcile(Reconcile::Never)),
    ("kustomize.toolkit.fluxcd.io/ssa", "Ignore", Ask::Reconcile(Reconcile::Never)),
    ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent", Ask::Reconcile(Reconcile::IfAbsent)),
    ("kustomize.toolkit.fluxcd.io/ssa", "Merge", Ask::Merge),
    ("muster.dev/replace", "true", Ask::Replace(Replace::Explicit)),
    ("muster.dev/replace", "false", Ask::Nothing),
    // Argo CD deletes and creates with `Force=true`; `Replace=true` alone is an update, which the API server
    // refuses for the same reason as ours.
    ("argocd.argoproj.io/sync-options", "Force=true", Ask::Replace(Replace::Yes)),
    ("kustomize.toolkit.fluxcd.io/force", "enabled", Ask::Replace(Replace::Yes)),
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous", Ask::Unlisted),
    ("muster.dev/conflicts", "Known", Ask::Conflicts(Conflicts::Known)),
    ("muster.dev/conflicts", "Force", Ask::Conflicts(Conflicts::Force)),
    ("muster.dev/conflicts", "Refuse", Ask::Conflicts(Conflicts::Refuse)),
];

impl Directives {
    /// Reads an object's metadata. A value that means nothing asks for nothing.
    pub(crate) fn of(object: &Value) -> Directives {
        let mut directives = Directives::default();
        for (name, value, ask) in TABLE {
            if values(object, name).any(|given| given.eq_ignore_ascii_case(value)) {
                directives.take(*ask);
            }
        }
        directives
    }

    /// Reads an object as Git has it.
    ///
    /// # Errors
    /// A sentence about an annotation of Muster's whose value means nothing.
    pub(crate) fn parse(object: &Value) -> Result<Directives, String> {
        for (name, _, _) in TABLE.iter().filter(|(name, _, _)| name.starts_with(OURS)) {
            let known: Vec<_> =
                TABLE.iter().filter(|(of, _, _)| of == name).map(|(_, value, _)| *value).collect();
            let wrong = values(object, name)
                .find(|given| !known.iter().any(|value| given.eq_ignore_ascii_case(value)));
            if let Some(wrong) = wrong {
                return Err(format!(
                    "The annotation {name} is `{}`; expected one of `{}`.",
                    crate::shorten::shorten(wrong.to_owned(), 80),
                    known.join("`, `")
                ));
            }
        }
        Ok(Directives::of(object))
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            // Where tools disagree, what deletes less counts.
            Ask::Prune(prune) if self.prune != Prune::Keep => self.prune = prune,
            Ask::Reconcile(reconcile) if self.reconcile != Reconcile::Never => self.reconcile = reconcile,
            Ask::Replace(replace) if self.replace != Replace::Explicit => self.replace = replace,
            Ask::Merge => self.merge = true,
            Ask::Unlisted => self.unlisted = true,
            Ask::Conflicts(conflicts) => self.conflicts = Some(conflicts),
            Ask::Prune(_) | Ask::Reconcile(_) | Ask::Replace(_) | Ask::Nothing => {}
        }
    }
}

/// The values an object gives by that name. Flux takes labels too, Argo CD a list with commas.
fn values<'a>(object: &'a Value, name: &'a str) -> impl Iterator<Item = &'a str> {
    let labels = name.starts_with("kustomize.toolkit.fluxcd.io/");
    let list = name.starts_with("argocd.argoproj.io/");
    ["annotations", "labels"]
        .into_iter()
        .filter(move |place| labels || *place == "annotations")
        .filter_map(move |place| at(object, &["metadata", place, name])?.as_str())
        .flat_map(move |text| text.split(move |c| list && c == ',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn annotated(name: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {name: value}}})
    }

    #[test]
    fn each_tools_spelling_is_understood() {
        let none = Directives::default();
        let keep = Directives { prune: Prune::Keep, ..none };
        let never = Directives { reconcile: Reconcile::Never, ..none };
        let once = Directives { reconcile: Reconcile::IfAbsent, ..none };
        let replace = Directives { replace: Replace::Yes, ..none };
        let cases = [
            ("muster.dev/prune", "disabled", keep),
            ("muster.dev/prune", "with-contents", Directives { prune: Prune::WithContents, ..none }),
            ("argocd.argoproj.io/sync-options", "Prune=false", keep),
            ("argocd.argoproj.io/sync-options", "ServerSideApply=true, Prune=false", keep),
            ("argocd.argoproj.io/sync-options", "Delete=false", keep),
            ("argocd.argoproj.io/sync-options", "Prune=true", none),
            ("kustomize.toolkit.fluxcd.io/prune", "Disabled", keep),
            ("helm.sh/resource-policy", "keep", keep),
            ("muster.dev/reconcile", "disabled", never),
            ("muster.dev/reconcile", "if-absent", once),
            ("kustomize.toolkit.fluxcd.io/reconcile", "disabled", never),
            ("kustomize.toolkit.fluxcd.io/ssa", "Ignore", never),
            ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent", once),
            ("kustomize.toolkit.fluxcd.io/ssa", "Merge", Directives { merge: true, ..none }),
            ("kustomize.toolkit.fluxcd.io/ssa", "Override", none),
            ("muster.dev/replace", "true", Directives { replace: Replace::Explicit, ..none }),
            ("argocd.argoproj.io/sync-options", "Replace=true,Force=true", replace),
            ("argocd.argoproj.io/sync-options", "Replace=true", none),
            ("kustomize.toolkit.fluxcd.io/force", "enabled", replace),
            ("argocd.argoproj.io/compare-options", "IgnoreExtraneous", Directives { unlisted: true, ..none }),
            ("muster.dev/conflicts", "Force", Directives { conflicts: Some(Conflicts::Force), ..none }),
            ("example.org/prune", "disabled", none),
        ];
        for (name, value, expected) in cases {
            assert_eq!(Directives::of(&annotated(name, value)), expected, "{name}: {value}");
        }
    }

    #[test]
    fn flux_is_also_heard_in_labels_and_nobody_else() {
        let labelled = |name: &str| json!({"metadata": {"labels": {name: "disabled"}}});
        assert_eq!(Directives::of(&labelled("kustomize.toolkit.fluxcd.io/prune")).prune, Prune::Keep);
        assert_eq!(Directives::of(&labelled("muster.dev/prune")).prune, Prune::Delete);
    }

    #[test]
    fn where_two_disagree_the_one_that_does_less_counts() {
        let object = json!({"metadata": {"annotations": {
            "muster.dev/prune": "with-contents", "helm.sh/resource-policy": "keep",
            "muster.dev/reconcile": "if-absent", "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
        }}});
        let directives = Directives::of(&object);
        assert_eq!((directives.prune, directives.reconcile), (Prune::Keep, Reconcile::Never));
    }

    #[test]
    fn a_mistyped_value_of_ours_is_an_error_and_of_others_is_not() {
        let error = Directives::parse(&annotated("muster.dev/prune", "disabeld")).unwrap_err();
        assert_eq!(
            error,
            "The annotation muster.dev/prune is `disabeld`; expected one of `enabled`, `disabled`, `with-contents`."
        );
        assert!(Directives::parse(&annotated("helm.sh/resource-policy", "Keep it")).is_ok());
        assert!(Directives::parse(&json!({"metadata": {}})).is_ok());
    }
}
