//! Which objects install the agent in a cluster?
//!
//! The Kustomize base of `deploy/agent`, as it was when this program was built, with an overlay made from
//! the flags, rendered as any app is. So what is printed is what `kubectl kustomize` makes of the base.
//! `muster-agent manifests` and `muster bootstrap` print it.
#![forbid(unsafe_code)]

use clap::Args;
use muster_git::Remote;
use muster_render::{Files, Limits, render};
use muster_spec::{ClusterName, NamespaceName};
use serde_json::{Value, json};

/// Which cluster, and how its agent reaches a hub.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the cluster's Cluster document.
    pub cluster: &'a str,
    /// Host and port of the hub to report to.
    pub hub: Option<&'a str>,
    /// The enrolment token, to be put into the Secret `muster-agent-token`; without it that Secret is for
    /// somebody else to make.
    pub token: Option<&'a str>,
}

/// What can be chosen; the rest is for an overlay of one's own.
#[derive(Clone, Debug, Args)]
pub struct Choices {
    /// Repository to follow
    #[arg(long, value_name = "URL")]
    repo: String,

    /// Branch to follow [default: main]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,

    /// Read credentials for Git from the Secret muster-agent-git: `credentials` for https, `ssh-key` and
    /// `known-hosts` for ssh, `ca.crt` for a server with a certificate of its own, `source-credentials` for other
    /// repositories of apps, `pins-signers` and `commits-signers` for keys that must have signed
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    git_secret: Vec<GitKey>,

    /// Image of the agent
    #[arg(long, value_name = "IMAGE", default_value = concat!("muster-agent:", env!("CARGO_PKG_VERSION")))]
    image: String,

    /// Namespace of the agent
    #[arg(long, value_name = "NAME", default_value = "muster-system")]
    namespace: String,

    /// Let the agent act in these namespaces only, with no right to anything elsewhere
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    namespaces: Vec<String>,

    /// Let the agent only look, and act in the name of the service accounts called muster-deployer that
    /// each App's sync.serviceAccount names
    #[arg(long)]
    impersonation: bool,

    /// Add a Service and a ServiceMonitor for the Prometheus operator
    #[arg(long)]
    monitoring: bool,
}

/// A key of the Secret muster-agent-git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GitKey {
    Credentials,
    SshKey,
    KnownHosts,
    #[value(name = "ca.crt")]
    CaCrt,
    SourceCredentials,
    PinsSigners,
    CommitsSigners,
}

impl GitKey {
    /// The setting, and the file its key becomes.
    fn setting(self) -> (&'static str, &'static str) {
        match self {
            GitKey::Credentials => ("git-credentials-file", "credentials"),
            GitKey::SshKey => ("ssh-key-file", "ssh-key"),
            GitKey::KnownHosts => ("ssh-known-hosts-file", "known-hosts"),
            GitKey::CaCrt => ("git-ca-file", "ca.crt"),
            GitKey::SourceCredentials => ("source-credentials-file", "source-credentials"),
            GitKey::PinsSigners => ("pins-signed-by", "pins-signers"),
            GitKey::CommitsSigners => ("commits-signed-by", "commits-signers"),
        }
    }
}

const VERSION: &str = "kustomize.config.k8s.io/v1beta1";

/// Where the DaemonSet mounts the Secrets.
const SECRETS: &str = "/etc/muster-secrets";

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../deploy/agent/", $name)))),*]
    };
}

/// The files of `deploy/agent`.
const BASE: &[(&str, &str)] = embed![
    "kustomization.yaml",
    "namespace.yaml",
    "account.yaml",
    "apply-rights.yaml",
    "config.yaml",
    "daemonset.yaml",
    "network-policy.yaml",
    "components/impersonation/kustomization.yaml",
    "components/namespaced/kustomization.yaml",
    "namespace-rights/kustomization.yaml",
    "namespace-rights/role.yaml",
    "components/monitoring/kustomization.yaml",
    "components/monitoring/service.yaml",
    "components/monitoring/service-monitor.yaml",
];

/// The objects as one YAML stream.
///
/// # Errors
/// A sentence: a choice makes no sense.
pub fn print(place: &Place<'_>, choices: &Choices) -> Result<String, String> {
    let mut files: Files =
        BASE.iter().map(|(name, text)| (format!("agent/{name}"), text.as_bytes().to_vec())).collect();
    for (folder, kustomization) in overlays(place, choices)? {
        files.insert(format!("{folder}/kustomization.yaml"), kustomization.to_string().into_bytes());
    }
    if let Some(token) = place.token {
        files.insert("agent-home/token.yaml".to_owned(), secret(token).to_string().into_bytes());
    }
    let objects = render(&files, "cluster", &Limits::default())
        .map_err(|errors| format!("The manifests cannot be rendered: {errors}"))?;
    let documents: Vec<String> = objects.iter().map(|object| muster_yaml::to_yaml(&object.value)).collect();
    Ok(documents.join("---\n"))
}

/// The kustomizations for these choices, by folder: `cluster` has all of it.
fn overlays(place: &Place<'_>, choices: &Choices) -> Result<Vec<(String, Value)>, String> {
    let mut overlays = vec![("agent-home".to_owned(), overlay(place, choices)?)];
    for name in &choices.namespaces {
        name.parse::<NamespaceName>().map_err(|error| format!("--namespaces cannot be used: {error}"))?;
        overlays.push((format!("namespaces/{name}"), rights(choices, name)));
    }
    let folders: Vec<_> = overlays.iter().map(|(folder, _)| format!("../{folder}")).collect();
    let all = json!({"apiVersion": VERSION, "kind": "Kustomization", "resources": folders});
    overlays.push(("cluster".to_owned(), all));
    Ok(overlays)
}

/// The Secret from which the agent enrols.
fn secret(token: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "muster-agent-token"}, "stringData": {"token": token},
    })
}

/// The rights in one namespace.
fn rights(choices: &Choices, namespace: &str) -> Value {
    let subject = json!([{"op": "replace", "path": "/subjects/0/namespace", "value": choices.namespace}]);
    let components =
        if choices.impersonation { vec!["../../agent/components/impersonation"] } else { Vec::new() };
    json!({
        "apiVersion": VERSION, "kind": "Kustomization", "namespace": namespace,
        "resources": ["../../agent/namespace-rights"], "components": components,
        "patches": [{"target": {"kind": "RoleBinding"}, "patch": subject.to_string()}],
    })
}

/// The agent itself.
fn overlay(place: &Place<'_>, choices: &Choices) -> Result<Value, String> {
    let wrong = |flag: &str, error: &dyn std::fmt::Display| format!("--{flag} cannot be used: {error}");
    place
        .cluster
        .parse::<ClusterName>()
        .map_err(|error| format!("the name of the cluster cannot be used: {error}"))?;
    choices.namespace.parse::<NamespaceName>().map_err(|error| wrong("namespace", &error))?;
    Remote::new(&choices.repo).map_err(|error| wrong("repo", &error))?;
    let (name, tag, digest) = image(&choices.image);
    let mut components = Vec::new();
    if choices.impersonation {
        components.push("../agent/components/impersonation");
    }
    if !choices.namespaces.is_empty() {
        components.push("../agent/components/namespaced");
    }
    if choices.monitoring {
        components.push("../agent/components/monitoring");
    }
    let config = json!([{"op": "replace", "path": "/data/config.yaml", "value": muster_yaml::to_yaml(&settings(place, choices))}]);
    let ports = ports(place, choices);
    let policy: Vec<Value> = ports
        .iter()
        .map(|port| json!({"op": "add", "path": "/spec/egress/0/ports/-", "value": {"port": port, "protocol": "TCP"}}))
        .collect();
    let mut patches =
        vec![json!({"target": {"kind": "ConfigMap", "name": "muster-agent"}, "patch": config.to_string()})];
    if !policy.is_empty() {
        let patch = Value::Array(policy).to_string();
        patches.push(json!({"target": {"kind": "NetworkPolicy", "name": "muster-agent"}, "patch": patch}));
    }
    let mut image = json!({"name": "muster-agent", "newName": name});
    for (field, value) in [("newTag", tag), ("digest", digest)] {
        if let Some(value) = value {
            image[field] = value.into();
        }
    }
    let token = place.token.map(|_| "token.yaml");
    let resources: Vec<_> = std::iter::once("../agent").chain(token).collect();
    Ok(json!({
        "apiVersion": VERSION, "kind": "Kustomization",
        "namespace": choices.namespace,
        "resources": resources, "components": components, "images": [image], "patches": patches,
    }))
}

/// The agent's configuration file.
fn settings(place: &Place<'_>, choices: &Choices) -> Value {
    let mut settings = json!({
        "cluster": place.cluster, "repo": choices.repo, "listen": ":8080", "log-format": "json",
    });
    let given = [
        ("branch", choices.branch.clone()),
        ("hub", place.hub.map(str::to_owned)),
        ("token-file", place.hub.map(|_| format!("{SECRETS}/token"))),
    ];
    for (setting, value) in given {
        if let Some(value) = value {
            settings[setting] = value.into();
        }
    }
    if !choices.namespaces.is_empty() {
        settings["namespaces"] = choices.namespaces.clone().into();
    }
    for key in &choices.git_secret {
        let (setting, file) = key.setting();
        settings[setting] = format!("{SECRETS}/{file}").into();
    }
    settings
}

/// The name, tag and digest of an image reference. A colon before the last slash is a registry's port.
fn image(reference: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag), digest),
        _ => (rest, None, digest),
    }
}

/// Ports of the repository and the hub that the base does not let out.
fn ports(place: &Place<'_>, choices: &Choices) -> Vec<u16> {
    const ALLOWED: [u16; 4] = [443, 6443, 22, 8443];
    let authority = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        rest.split('/').next().map(str::to_owned)
    };
    let port = |host: &str| host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let repo = authority(&choices.repo)
        .and_then(|host| port(&host).or_else(|| choices.repo.starts_with("http://").then_some(80)));
    let hub = place.hub.and_then(port);
    let mut ports: Vec<u16> = repo.into_iter().chain(hub).filter(|port| !ALLOWED.contains(port)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        choices: Choices,
    }

    fn choices(more: &[&str]) -> Choices {
        let least = ["manifests", "--repo", "https://git.example.com/fleet.git"];
        Cli::try_parse_from(least.iter().chain(more)).unwrap().choices
    }

    const PLACE: Place<'_> = Place { cluster: "prod-1", hub: None, token: None };

    fn objects(more: &[&str]) -> Vec<Value> {
        objects_at(&PLACE, more)
    }

    fn objects_at(place: &Place<'_>, more: &[&str]) -> Vec<Value> {
        let text = print(place, &choices(more)).unwrap();
        let limits = muster_yaml::Limits { documents_max: 50, ..muster_yaml::Limits::default() };
        let parts = muster_yaml::parts(text.as_bytes(), &limits);
        let read =
            |part: muster_yaml::Part<'_>| part.read(muster_yaml::Reading::Strict, &limits).unwrap().unwrap();
        parts.into_iter().map(|part| read(part.unwrap()).into_json()).collect()
    }

    fn of<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
        objects.iter().find(|object| object["kind"] == kind).unwrap_or(&Value::Null)
    }

    #[test]
    fn the_choices_are_filled_in() {
        let place = Place { hub: Some("hub.example.com:9443"), token: Some("mt.secret"), ..PLACE };
        let objects = objects_at(
            &place,
            &[
                "--namespace",
                "gitops",
                "--image",
                "registry:5000/muster/agent:1.2",
                "--git-secret",
                "credentials,ca.crt",
                "--monitoring",
            ],
        );
        let token = of(&objects, "Secret");
        assert_eq!(token["stringData"]["token"], "mt.secret");
        assert_eq!(token["metadata"], json!({"name": "muster-agent-token", "namespace": "gitops"}));
        let config = of(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
        for line in [
            "cluster: prod-1",
            "hub: \"hub.example.com:9443\"",
            "token-file: /etc/muster-secrets/token",
            "git-ca-file: /etc/muster-secrets/ca.crt",
        ] {
            assert!(config.contains(line), "{config}");
        }
        let container = &of(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry:5000/muster/agent:1.2");
        assert_eq!(of(&objects, "Namespace")["metadata"]["name"], "gitops");
        assert_eq!(of(&objects, "RoleBinding")["subjects"][0]["namespace"], "gitops");
        assert_eq!(of(&objects, "ServiceMonitor")["metadata"]["namespace"], "gitops");
        let ports = of(&objects, "NetworkPolicy")["spec"]["egress"][0]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|port| port["port"] == 9443), "{ports:?}");
    }

    #[test]
    fn the_least_gives_the_base_and_impersonation_takes_the_right_to_write() {
        let base = objects(&[]);
        assert_eq!((of(&base, "ServiceMonitor"), of(&base, "Secret")), (&Value::Null, &Value::Null));
        assert_eq!(of(&base, "ClusterRole")["rules"].as_array().unwrap().len(), 3);
        let narrow = objects(&["--impersonation"]);
        let verbs = &of(&narrow, "ClusterRole")["rules"][0]["verbs"];
        assert_eq!(*verbs, json!(["get", "list", "watch"]));
    }

    #[test]
    fn for_single_namespaces_there_is_a_role_in_each_and_none_for_the_cluster() {
        for (flag, rules) in [(None, 3), (Some("--impersonation"), 2)] {
            let flags = ["--namespace", "gitops", "--namespaces", "web,api"].into_iter().chain(flag);
            let objects = objects(&flags.collect::<Vec<_>>());
            assert_eq!(of(&objects, "ClusterRole"), &Value::Null);
            assert_eq!(of(&objects, "ClusterRoleBinding"), &Value::Null);
            let named = |kind: &str, namespace: &str| {
                let named = |object: &&Value| {
                    object["kind"] == kind
                        && object["metadata"]["namespace"] == namespace
                        && object["metadata"]["name"] == "muster-agent-apply"
                };
                objects.iter().find(named).unwrap_or(&Value::Null)
            };
            for namespace in ["web", "api"] {
                assert_eq!(named("Role", namespace)["rules"].as_array().unwrap().len(), rules);
                assert_eq!(named("RoleBinding", namespace)["subjects"][0]["namespace"], "gitops");
            }
            let config = of(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
            assert!(config.contains("namespaces:\n- web\n- api"), "{config}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let error = |choices: Choices| print(&PLACE, &choices).unwrap_err();
        let nobody = Place { cluster: "No One", ..PLACE };
        assert!(print(&nobody, &choices(&[])).unwrap_err().starts_with("the name of the cluster"));
        let wrong = Choices { namespaces: vec!["No_One".to_owned()], ..choices(&[]) };
        assert!(error(wrong).starts_with("--namespaces"));
        assert!(error(Choices { repo: "nowhere".to_owned(), ..choices(&[]) }).starts_with("--repo"));
        assert_eq!(image("a/b@sha256:0"), ("a/b", None, Some("sha256:0")));
        assert_eq!(image("host:5000/a"), ("host:5000/a", None, None));
    }
}
