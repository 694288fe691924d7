//! What may a user do, and where?
//!
//! ```text
//! bindings (user or group -> role, scope) + a user --Policy::grant--> Grant
//! Grant + role + a cluster or app                  --Grant::allows--> yes or no
//! ```
//! What no binding allows is refused. Roles contain each other: a promoter may do what a viewer may.

use std::collections::BTreeMap;

use muster_wire::v1;

use super::user::User;
use crate::pattern::Pattern;

/// What a user may do where the role counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See clusters, apps and events.
    Viewer,
    /// Also move revisions through waves.
    Promoter,
    /// Also let clusters in and take them out.
    Admin,
}

impl Role {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Promoter => "promoter",
            Self::Admin => "admin",
        }
    }
}

/// Whom a binding is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The user of exactly this name.
    User(String),
    /// Every user in this group.
    Group(String),
}

/// Where a role counts. Each empty part takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Names of clusters.
    pub clusters: Vec<Pattern>,
    /// Labels a cluster must have, all of them: the environment, such as `env: prod`.
    pub labels: BTreeMap<String, String>,
    /// Names of apps.
    pub apps: Vec<Pattern>,
    /// Names of waves, for what is decided about tracks in them. What may be seen they do not limit.
    pub waves: Vec<Pattern>,
}

/// A cluster, for a decision.
#[derive(Clone, Copy)]
pub struct ClusterView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub label: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Scope {
    /// Whether it leaves nothing out.
    fn is_whole(&self, role: Role) -> bool {
        let Self { clusters, labels, apps, waves } = self;
        clusters.is_empty()
            && labels.is_empty()
            && apps.is_empty()
            && (waves.is_empty() || role == Role::Viewer)
    }

    fn has_cluster(&self, cluster: ClusterView<'_>) -> bool {
        let named = self.clusters.is_empty() || self.clusters.iter().any(|name| name.matches(cluster.name));
        named && self.labels.iter().all(|(key, value)| (cluster.label)(key) == Some(value))
    }

    fn has_app(&self, app: &str) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|name| name.matches(app))
    }

    fn has_wave(&self, wave: &str) -> bool {
        self.waves.is_empty() || self.waves.iter().any(|name| name.matches(wave))
    }

    /// Whether every cluster whose name matches and that has these labels for the hub is in it, with all apps.
    fn covers(&self, clusters: &Pattern, labels: &BTreeMap<String, String>) -> bool {
        let named = self.clusters.is_empty() || self.clusters.iter().any(|name| name.covers(clusters));
        named && self.apps.is_empty() && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// One rule of the hub's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Who.
    pub subject: Subject,
    /// What.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

/// All rules of the hub's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In the order in which they are written, which does not matter.
    pub bindings: Vec<Binding>,
}

impl Policy {
    /// What a user may do.
    #[must_use]
    pub fn grant(&self, user: &User) -> Grant {
        let is_meant = |subject: &Subject| match subject {
            Subject::User(name) => *name == user.name,
            Subject::Group(name) => user.groups.contains(name),
        };
        let bindings = self.bindings.iter().filter(|binding| is_meant(&binding.subject));
        Grant { roles: bindings.map(|binding| (binding.role, binding.scope.clone())).collect() }
    }
}

/// What one user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    roles: Vec<(Role, Scope)>,
}

impl Grant {
    fn at_least(&self, role: Role) -> impl Iterator<Item = &Scope> {
        self.roles.iter().filter(move |(has, _)| *has >= role).map(|(_, scope)| scope)
    }

    /// Whether the role counts anywhere.
    #[must_use]
    pub fn somewhere(&self, role: Role) -> bool {
        self.at_least(role).next().is_some()
    }

    /// Whether the role counts everywhere.
    #[must_use]
    pub fn everywhere(&self, role: Role) -> bool {
        self.at_least(role).any(|scope| scope.is_whole(role))
    }

    /// Whether the role counts for the cluster. One that counts for some of its apps alone is enough to see the
    /// cluster, and not to do anything to it.
    #[must_use]
    pub fn cluster(&self, role: Role, cluster: ClusterView<'_>) -> bool {
        self.at_least(role)
            .any(|scope| scope.has_cluster(cluster) && (role == Role::Viewer || scope.apps.is_empty()))
    }

    /// Whether the role counts for the app in the cluster.
    #[must_use]
    pub fn app(&self, role: Role, cluster: ClusterView<'_>, app: &str) -> bool {
        self.at_least(role).any(|scope| scope.has_cluster(cluster) && scope.has_app(app))
    }

    /// Whether the user may decide about anything in the wave.
    #[must_use]
    pub fn decides_in(&self, wave: &str) -> bool {
        self.at_least(Role::Promoter).any(|scope| scope.has_wave(wave))
    }

    /// Whether the user may decide about the app in the cluster, which is in this wave.
    #[must_use]
    pub fn promotes(&self, wave: &str, cluster: ClusterView<'_>, app: &str) -> bool {
        let mut scopes = self.at_least(Role::Promoter);
        scopes.any(|scope| scope.has_wave(wave) && scope.has_cluster(cluster) && scope.has_app(app))
    }

    /// Whether the role counts for every cluster that could enrol with a token of this pattern and these labels.
    #[must_use]
    pub fn enrolment(&self, role: Role, clusters: &Pattern, labels: &BTreeMap<String, String>) -> bool {
        self.at_least(role).any(|scope| scope.covers(clusters, labels))
    }

    /// As it is told to the user.
    #[must_use]
    pub fn to_proto(&self) -> Vec<v1::Role> {
        let texts = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect();
        let told = |(role, scope): &(Role, Scope)| v1::Role {
            role: role.word().to_owned(),
            clusters: texts(&scope.clusters),
            labels: scope.labels.clone(),
            apps: texts(&scope.apps),
            waves: texts(&scope.waves),
        };
        self.roles.iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::user::Proof;

    fn user(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        User {
            name: name.into(),
            groups,
            proof: Proof::Certificate { issued_at: jiff::Timestamp::UNIX_EPOCH },
            expires_at: None,
        }
    }

    fn scope(clusters: &[&str], env: Option<&str>, apps: &[&str]) -> Scope {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let labels = env.map(|env| ("env".to_owned(), env.to_owned())).into_iter().collect();
        Scope { clusters: patterns(clusters), labels, apps: patterns(apps), waves: Vec::new() }
    }

    fn policy() -> Policy {
        let binding = |subject, role, scope| Binding { subject, role, scope };
        let user = |name: &str| Subject::User(name.to_owned());
        let group = |name: &str| Subject::Group(name.to_owned());
        Policy {
            bindings: vec![
                binding(user("root"), Role::Admin, Scope::default()),
                binding(user("ada"), Role::Promoter, scope(&[], Some("dev"), &[])),
                binding(user("ada"), Role::Viewer, scope(&[], None, &["shop-*"])),
                binding(group("edge"), Role::Admin, scope(&["edge-*"], Some("edge"), &[])),
            ],
        }
    }

    /// A cluster called `name` whose label `env` has this value.
    fn with_cluster<T>(name: &str, env: &str, then: impl Fn(ClusterView<'_>) -> T) -> T {
        let label = |key: &str| (key == "env").then_some(env);
        then(ClusterView { name, label: &label })
    }

    #[test]
    fn roles_count_where_they_are_given_and_nowhere_else() {
        use Role::{Admin, Promoter, Viewer};
        let policy = policy();
        for (who, role, cluster, env, app, expected) in [
            ("root", Admin, "any", "prod", "web", true),
            ("ada", Promoter, "a", "dev", "web", true),
            ("ada", Admin, "a", "dev", "web", false),
            ("ada", Promoter, "a", "prod", "shop-cart", false),
            ("ada", Viewer, "a", "prod", "shop-cart", true),
            ("ada", Viewer, "a", "prod", "web", false),
            ("ada", Viewer, "a", "dev", "web", true),
            ("nobody", Viewer, "a", "dev", "web", false),
            ("Root", Viewer, "a", "dev", "web", false),
        ] {
            let grant = policy.grant(&user(who, &[]));
            let allowed = with_cluster(cluster, env, |cluster| grant.app(role, cluster, app));
            assert_eq!(allowed, expected, "{who} {role:?} {cluster} {env} {app}");
        }
    }

    #[test]
    fn a_role_for_some_apps_shows_the_cluster_and_changes_nothing_of_it() {
        let grant = Grant { roles: vec![(Role::Admin, scope(&[], None, &["shop-*"]))] };
        assert!(with_cluster("a", "dev", |cluster| grant.cluster(Role::Viewer, cluster)));
        assert!(!with_cluster("a", "dev", |cluster| grant.cluster(Role::Admin, cluster)));
        assert!(!grant.enrolment(Role::Admin, &"a".parse().unwrap(), &BTreeMap::new()));
    }

    #[test]
    fn a_promoter_of_some_waves_sees_all_and_decides_about_those() {
        let waves = vec!["dev".parse().unwrap(), "prod-*".parse().unwrap()];
        let grant = Grant { roles: vec![(Role::Promoter, Scope { waves, ..Scope::default() })] };
        for (wave, expected) in [("dev", true), ("prod-canary", true), ("prod", false), ("staging", false)] {
            let may = with_cluster("a", "dev", |cluster| grant.promotes(wave, cluster, "web"));
            assert_eq!(may, expected, "{wave}");
        }
        assert!(with_cluster("a", "dev", |cluster| grant.app(Role::Viewer, cluster, "web")));
        assert!(grant.everywhere(Role::Viewer) && !grant.everywhere(Role::Promoter));
    }

    #[test]
    fn groups_count_and_a_user_called_like_a_group_does_not() {
        let policy = policy();
        let edge = policy.grant(&user("eve", &["edge"]));
        assert!(with_cluster("edge-1", "edge", |cluster| edge.cluster(Role::Admin, cluster)));
        assert!(!with_cluster("edge-1", "prod", |cluster| edge.cluster(Role::Admin, cluster)));
        assert!(!with_cluster("core", "edge", |cluster| edge.cluster(Role::Admin, cluster)));
        assert!(!policy.grant(&user("edge", &[])).somewhere(Role::Viewer));
        assert!(edge.somewhere(Role::Admin) && !edge.everywhere(Role::Viewer));
        assert!(policy.grant(&user("root", &[])).everywhere(Role::Admin));
    }

    #[test]
    fn who_administers_a_part_lets_in_only_what_is_bound_to_it() {
        let grant = policy().grant(&user("eve", &["edge"]));
        let labels = |env: &str| BTreeMap::from([("env".to_owned(), env.to_owned())]);
        let may = |clusters: &str, labels| grant.enrolment(Role::Admin, &clusters.parse().unwrap(), &labels);
        assert!(may("edge-1", labels("edge")) && may("edge-eu-*", labels("edge")));
        assert!(!may("edge-1", labels("prod")) && !may("edge-1", BTreeMap::new()));
        assert!(!may("core", labels("edge")) && !may("*", labels("edge")) && !may("edge*", labels("edge")));
    }
}
