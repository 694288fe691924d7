//! What may an app do that the fleet does not trust with everything?
//!
//! ```text
//! Fleet spec.tenants --first whose `apps` fit--> Tenant --may this document? this object?--> Refusal
//! ```
//!
//! The same idea as Argo CD's AppProject. Without tenants every app may do everything; with any, an app
//! that none of them has may do nothing.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    App, AppName, Fleet,
    names::{NameError, checked_text, shown},
    path::{Check, Problems},
};

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 253;
/// So many tenants a fleet may have, and patterns a list.
const TENANTS_MAX: usize = 1000;
const PATTERNS_MAX: usize = 100;

checked_text!(
    /// A text in which `*` stands for any number of any characters: `shop-*`, `*.apps`, `*`.
    Pattern,
    check_pattern,
    { "type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX }
);

fn check_pattern(text: &str) -> Result<(), NameError> {
    let fits = |char: char| !char.is_whitespace() && !char.is_control() && !"?[]{}".contains(char);
    if text.is_empty() || text.len() > PATTERN_BYTES_MAX || !text.chars().all(fits) {
        return Err(NameError(format!(
            "`{}` is not a pattern: expected at most {PATTERN_BYTES_MAX} bytes without blanks, in which `*` stands for \
             any characters",
            shown(text)
        )));
    }
    Ok(())
}

impl Pattern {
    /// Whether the whole of `text` fits. Takes time in proportion to both lengths at worst.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.as_str().split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some(found) = rest.find(piece) else { return false };
            rest = &rest[found + piece.len()..];
        }
        rest.ends_with(last)
    }
}

/// What the apps of one team may do. An app belongs to the first tenant whose `apps` fit its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Tenant {
    /// What messages call it.
    pub name: String,
    /// Names of its apps, as patterns.
    pub apps: Vec<Pattern>,
    /// Namespaces its objects may be in, as patterns.
    pub namespaces: Vec<Pattern>,
    /// Namespaced kinds it may have, as patterns of `Kind.group` (`Deployment.apps`, `Service`, `*.apps`).
    #[serde(default = "everything")]
    pub kinds: Vec<Pattern>,
    /// Cluster-scoped kinds it may have, as patterns of `Kind.group`; none unless listed. A Namespace
    /// must also fit `namespaces`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_kinds: Vec<Pattern>,
    /// Directories its manifests may be in, as patterns of `source.path` filled in for the cluster.
    #[serde(default = "everything")]
    pub paths: Vec<Pattern>,
    /// Other repositories its manifests may come from, as patterns; none unless listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<Pattern>,
    /// Accounts one of which `sync.serviceAccount` must name, as patterns. Without it an app may be
    /// applied with the rights of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<Pattern>,
}

fn everything() -> Vec<Pattern> {
    vec![Pattern::try_from("*".to_owned()).expect("`*` is a pattern")]
}

/// Something an app may not do: the rule that says so, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field of the Fleet document.
    pub field: String,
    /// What is refused, and what is allowed.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.field)
    }
}

/// The rules that hold for one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Position among the Fleet's tenants.
    index: usize,
    tenant: Tenant,
}

impl Fleet {
    /// The rules for an app; `None` when the fleet has no tenants.
    ///
    /// # Errors
    /// There are tenants, and none has this app.
    pub fn bounds(&self, app: &AppName) -> Result<Option<Bounds>, Refusal> {
        let tenants = &self.spec.tenants;
        if tenants.is_empty() {
            return Ok(None);
        }
        let found = tenants.iter().position(|tenant| fits(&tenant.apps, app.as_str()));
        match found {
            Some(index) => Ok(Some(Bounds { index, tenant: tenants[index].clone() })),
            None => Err(Refusal {
                field: "spec.tenants".to_owned(),
                message: format!("No tenant of the fleet has the app {app}, so it may do nothing here"),
            }),
        }
    }
}

impl Bounds {
    /// What the document of an app asks for that it may not have; `path` is its `source.path` filled in.
    pub fn refuse_app(&self, app: &App, path: &str) -> Vec<Refusal> {
        let tenant = &self.tenant;
        let mut refused = Vec::new();
        if app.spec.source.repo.is_none() && !fits(&tenant.paths, path) {
            refused.push(self.refusal("paths", &format!("the directory {path}"), &tenant.paths));
        }
        if let Some(repo) = &app.spec.source.repo
            && !fits(&tenant.repos, repo.as_str())
        {
            refused.push(self.refusal("repos", &format!("the repository {repo}"), &tenant.repos));
        }
        if let Some(namespace) = &app.spec.namespace
            && !fits(&tenant.namespaces, namespace.as_str())
        {
            refused.push(self.refusal(
                "namespaces",
                &format!("the namespace {namespace}"),
                &tenant.namespaces,
            ));
        }
        let account = app.spec.sync.service_account.as_ref().map(|account| account.as_str());
        let allowed = match account {
            None => tenant.service_accounts.is_empty(),
            Some(account) => tenant.service_accounts.is_empty() || fits(&tenant.service_accounts, account),
        };
        if !allowed {
            let what = match account {
                Some(account) => format!("the service account {account}"),
                None => "the agent's own rights, so spec.sync.serviceAccount must be given".to_owned(),
            };
            refused.push(self.refusal("serviceAccounts", &what, &tenant.service_accounts));
        }
        refused
    }

    /// Whether an app may have an object. `namespace` is empty for cluster-scoped kinds, `group` for the
    /// core group.
    ///
    /// # Errors
    /// It may not.
    pub fn allow_object(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Result<(), Refusal> {
        let tenant = &self.tenant;
        let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let (field, kinds) = match namespace {
            "" => ("clusterKinds", &tenant.cluster_kinds),
            _ => ("kinds", &tenant.kinds),
        };
        if !fits(kinds, &full) {
            return Err(self.refusal(field, &format!("the kind {full}"), kinds));
        }
        let place = match (group, kind, namespace) {
            ("", "Namespace", "") => name,
            (_, _, namespace) => namespace,
        };
        if !place.is_empty() && !fits(&tenant.namespaces, place) {
            return Err(self.refusal("namespaces", &format!("the namespace {place}"), &tenant.namespaces));
        }
        Ok(())
    }

    fn refusal(&self, field: &str, what: &str, allowed: &[Pattern]) -> Refusal {
        let allowed: Vec<&str> = allowed.iter().map(Pattern::as_str).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        Refusal {
            field: format!("spec.tenants[{}].{field}", self.index),
            message: format!("The tenant {} may not use {what}; allowed: {allowed}", self.tenant.name),
        }
    }
}

fn fits(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Reports what is wrong with the tenants of a fleet.
pub(crate) fn check_tenants(tenants: &[Tenant], problems: &mut Problems) {
    if tenants.len() > TENANTS_MAX {
        let message = format!("a fleet has at most {TENANTS_MAX} tenants");
        problems.at(&["spec".into(), "tenants".into()], message);
    }
    for (index, tenant) in tenants.iter().enumerate() {
        let steps = ["spec".into(), "tenants".into(), index.into()];
        problems.inside(&steps, tenant);
        if let Some(first) = tenants[..index].iter().position(|other| other.name == tenant.name) {
            let [spec, list, index] = steps;
            let message =
                format!("the tenant `{}` is already spec.tenants[{first}]; names are unique", tenant.name);
            problems.at(&[spec, list, index, "name".into()], message);
        }
    }
}

impl Check for Tenant {
    fn check(&self, problems: &mut Problems) {
        if self.name.trim().is_empty() || self.name.len() > PATTERN_BYTES_MAX {
            problems.at(&["name".into()], format!("expected 1 to {PATTERN_BYTES_MAX} bytes"));
        }
        let lists = [
            ("apps", &self.apps, true),
            ("namespaces", &self.namespaces, false),
            ("kinds", &self.kinds, false),
            ("clusterKinds", &self.cluster_kinds, false),
            ("paths", &self.paths, true),
            ("repos", &self.repos, false),
            ("serviceAccounts", &self.service_accounts, false),
        ];
        for (field, list, needed) in lists {
            if needed && list.is_empty() {
                problems.at(&[field.into()], "expected at least one pattern; `*` is all");
            }
            if list.len() > PATTERNS_MAX {
                problems.at(&[field.into()], format!("at most {PATTERNS_MAX} patterns"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).expect("a pattern")
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (text, fitting, other) in [
            ("shop", "shop", "shop-1"),
            ("shop-*", "shop-", "shop"),
            ("*.apps", "Deployment.apps", "Deployment.apps.example.org"),
            ("*", "", "\0never"),
            ("a*b*c", "a-b-b-c", "a-c-b"),
            ("a*a", "aa", "a"),
            ("**", "x", "\0never"),
        ] {
            assert!(pattern(text).matches(fitting), "{text} {fitting}");
            assert!(other.starts_with('\0') || !pattern(text).matches(other), "{text} {other}");
        }
    }

    /// The plain definition: a star is nothing, or one character and a star.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) if model(rest, text) => true,
            ([b'*', ..], [_, tail @ ..]) => model(pattern, tail),
            ([one, rest @ ..], [first, tail @ ..]) if one == first => model(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_are_as_defined(text in "[ab]{0,8}", wanted in "[ab*]{1,6}") {
            prop_assert_eq!(pattern(&wanted).matches(&text), model(wanted.as_bytes(), text.as_bytes()));
        }
    }

    fn fleet(tenants: &str) -> Fleet {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  tenants:\n{tenants}"
        );
        let catalog = crate::Catalog::load([("muster.yaml", text.as_bytes())]);
        assert_eq!(catalog.errors, []);
        catalog.fleet.expect("a fleet").value
    }

    fn app(name: &str, more: &str) -> App {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  clusters: {{}}\n{more}"
        );
        let catalog = crate::Catalog::load([("app.yaml", text.as_bytes())]);
        assert_eq!(catalog.errors, []);
        catalog.apps.into_values().next().expect("an app").value
    }

    const SHOP: &str = "  - {name: shop, apps: [shop-*], namespaces: [shop-*], kinds: ['*.apps', Service], \
                        clusterKinds: [Namespace], paths: [teams/shop/*], serviceAccounts: [deployer]}\n";

    #[test]
    fn without_tenants_all_is_allowed_and_with_any_nothing_is_by_default() {
        let name: AppName = "other".parse().expect("a name");
        assert_eq!(Fleet { spec: crate::FleetSpec::default(), ..fleet(SHOP) }.bounds(&name), Ok(None));
        let refusal = fleet(SHOP).bounds(&name).expect_err("no tenant has it");
        assert_eq!(refusal.field, "spec.tenants");
    }

    #[test]
    fn objects_are_judged_by_kind_scope_and_namespace() {
        let fleet = fleet(SHOP);
        let bounds = fleet.bounds(&"shop-web".parse().expect("a name")).expect("a tenant").expect("bounds");
        for (group, kind, namespace, name, refused_by) in [
            ("apps", "Deployment", "shop-a", "x", None),
            ("", "Service", "shop-a", "x", None),
            ("", "Secret", "shop-a", "x", Some("spec.tenants[0].kinds")),
            ("apps", "Deployment", "kube-system", "x", Some("spec.tenants[0].namespaces")),
            ("", "Namespace", "", "shop-b", None),
            ("", "Namespace", "", "kube-system", Some("spec.tenants[0].namespaces")),
            ("rbac.authorization.k8s.io", "ClusterRole", "", "x", Some("spec.tenants[0].clusterKinds")),
        ] {
            let refused =
                bounds.allow_object(group, kind, namespace, name).err().map(|refusal| refusal.field);
            assert_eq!(refused.as_deref(), refused_by, "{kind} {namespace} {name}");
        }
    }

    #[test]
    fn documents_are_judged_by_directory_repository_namespace_and_account() {
        let fleet = fleet(SHOP);
        let bounds = fleet.bounds(&"shop-web".parse().expect("a name")).expect("a tenant").expect("bounds");
        let fields = |app: &App, path: &str| -> Vec<String> {
            bounds.refuse_app(app, path).into_iter().map(|refusal| refusal.field).collect()
        };
        let good = app(
            "shop-web",
            "  source: {path: teams/shop/web}\n  namespace: shop-a\n  sync: {serviceAccount: deployer}\n",
        );
        assert_eq!(fields(&good, "teams/shop/web"), [""; 0]);
        assert_eq!(fields(&good, "teams/other"), ["spec.tenants[0].paths"]);
        let bare = app(
            "shop-web",
            "  source: {path: a, repo: 'https://git.example.com/x.git'}\n  namespace: kube-system\n",
        );
        let all = ["spec.tenants[0].repos", "spec.tenants[0].namespaces", "spec.tenants[0].serviceAccounts"];
        assert_eq!(fields(&bare, "a"), all);
    }
}
