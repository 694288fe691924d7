//! The agent as `muster-agent manifests` installs it: with those rights and no others.

use super::*;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use kube::api::{ListParams, ObjectMeta, PostParams};
use muster_tests::kubernetes::{Cluster, Options};
use muster_tests::process::Launch;
use muster_tests::skip;

const AGENT: &str = "system:serviceaccount:muster-system:muster-agent";

/// Prints the manifests and applies them, with something more.
async fn install(cluster: &Cluster, flags: &[&str], more: &str) -> Option<Target> {
    let kubectl = skip::program("kubectl")?;
    let scratch = Scratch::new("manifests").unwrap();
    let printed = Launch::binary("muster-agent")
        .unwrap()
        .args(["manifests", "--cluster", "dev", "--repo", "https://git.example.com/fleet.git"])
        .args(flags)
        .run(DEADLINE)
        .await
        .unwrap();
    assert_eq!(printed.code(), Some(0), "{}", printed.stderr);
    let file = scratch.path().join("agent.yaml");
    std::fs::write(&file, format!("{}---\n{more}", printed.stdout)).unwrap();
    let applied = Launch::command(kubectl)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(["apply", "--server-side", "-f"])
        .arg(&file)
        .run(DEADLINE)
        .await
        .unwrap();
    assert_eq!(applied.code(), Some(0), "{}{}", applied.stdout, applied.stderr);
    let account = cluster.service_account("muster-system", "muster-agent").await.unwrap();
    let mut target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    target.kubeconfig = account.kubeconfig().to_owned();
    Some(target)
}

/// One line: verb, resource as `plural.group/name`, namespace (`-` for none).
async fn may(cluster: &Cluster, line: &str) -> bool {
    let [verb, resource, namespace] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{line} has not three words");
    };
    let (resource, name) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let given = |text: &str| (!text.is_empty() && text != "-").then(|| text.to_owned());
    let attributes = ResourceAttributes {
        verb: given(verb),
        group: given(group),
        resource: given(resource),
        name: given(name),
        namespace: given(namespace),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        user: Some(AGENT.to_owned()),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

async fn check_access(cluster: &Cluster, allowed: &[&str], refused: &[&str]) {
    for line in allowed {
        assert!(may(cluster, line).await, "may not {line}");
    }
    for line in refused {
        assert!(!may(cluster, line).await, "may {line}");
    }
}

/// What every variant needs for the agent's own affairs.
const OWN: &[&str] = &[
    "create leases.coordination.k8s.io muster-system",
    "update leases.coordination.k8s.io/muster-agent muster-system",
    "patch configmaps/muster-app-web muster-system",
    "create events muster-system",
    "update events muster-system",
    "patch secrets/muster-agent-identity muster-system",
    "watch deployments.apps -",
];

/// What no variant has a use for.
const NEVER: &[&str] = &[
    "impersonate users -",
    "impersonate groups -",
    "update nodes -",
    "deletecollection pods default",
    "update leases.coordination.k8s.io/other muster-system",
    "use podsecuritypolicies.policy -",
];

#[tokio::test]
async fn the_base_may_apply_anything_and_become_nobody_but_service_accounts() {
    let Some(cluster) = Cluster::start_or_skip("dev", Options::default()).await else { return };
    let Some(target) = install(&cluster, &[], "").await else { return };
    let apply = [
        "patch deployments.apps default",
        "create clusterroles.rbac.authorization.k8s.io -",
        "delete secrets default",
        "impersonate serviceaccounts/deployer default",
        "escalate clusterroles.rbac.authorization.k8s.io -",
    ];
    check_access(&cluster, &[OWN, &apply].concat(), NEVER).await;
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web}\nrules:\n\
                - {apiGroups: [''], resources: [nodes], verbs: [update]}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/web.yaml", &deployment("web", 1, "nginx:1.24")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
        ("apps/web/role.yaml", role),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_deployed("web", "web", 1, "nginx:1.24").await;
    bench.until_logged("The app is synced.").await;
    bench.repository.remove(&["web.yaml"], "Remove the app").unwrap();
    bench.until_config("web", "settings", None).await;
    wait::until("the inventory gone", DEADLINE, async || bench.parent("web").await.is_none().then_some(()))
        .await;
}

/// The agent has rights in one namespace only, which is there before it.
#[tokio::test]
async fn an_agent_of_single_namespaces_acts_there_and_nowhere_else() {
    let Some(cluster) = Cluster::start_or_skip("dev", Options::default()).await else { return };
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    for name in ["web", "api", "other"] {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    let Some(target) = install(&cluster, &["--namespaces", "web,api"], "").await else { return };
    let apply = [
        "patch deployments.apps web",
        "watch secrets api",
        "escalate roles.rbac.authorization.k8s.io web",
        "impersonate serviceaccounts/deployer web",
    ];
    let elsewhere = [
        "watch deployments.apps -",
        "get configmaps other",
        "list secrets kube-system",
        "patch deployments.apps muster-system",
        "get namespaces/web -",
        "create clusterroles.rbac.authorization.k8s.io -",
        "impersonate serviceaccounts/deployer other",
    ];
    let own: Vec<&str> = OWN.iter().copied().filter(|line| !line.ends_with(" -")).collect();
    check_access(&cluster, &[own.as_slice(), &apply].concat(), &[NEVER, &elsewhere].concat()).await;
    let away = config_map("away", "one").replace("name: away", "name: away, namespace: other");
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/web.yaml", &deployment("web", 1, "nginx:1.24")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
        ("api.yaml", &app("api", "")),
        ("apps/api/config.yaml", &config_map("settings", "one")),
        ("apps/api/old.yaml", &config_map("old", "one")),
        ("other.yaml", &app("other", "")),
        ("apps/other/config.yaml", &config_map("settings", "one")),
    ];
    let mut bench = Bench::start_with(target, &files, &["--namespaces", "web,api"]).await;
    bench.until_deployed("web", "web", 1, "nginx:1.24").await;
    bench.until_config("api", "old", Some("one")).await;
    bench.until_logged("ConfigMap/other/settings is in another namespace").await;
    // Drift is seen in each of the namespaces; what left Git goes.
    for namespace in ["web", "api"] {
        patch(&bench.config_maps(namespace), "settings", json!({"data": {"key": "drift"}})).await;
        bench.until_config(namespace, "settings", Some("one")).await;
    }
    bench.repository.remove(&["apps/api/old.yaml"], "Remove old").unwrap();
    bench.until_config("api", "old", None).await;
    // What is out of reach holds its app, and is said; it is not even tried.
    let role =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web}\nrules: []\n";
    bench.commit(&[("apps/web/away.yaml", &away), ("apps/web/role.yaml", role)]);
    bench.until_logged("ConfigMap/other/away is in another namespace, and this agent acts only in").await;
    bench.until_logged("ClusterRole.rbac.authorization.k8s.io/web is in no namespace").await;
    assert!(bench.config_maps("other").get_opt("settings").await.unwrap().is_none());
    assert!(!bench.agent.program.log().contains("cannot be listed"), "{}", bench.agent.program.log());
    bench.repository.remove(&["apps/web/away.yaml", "apps/web/role.yaml", "web.yaml"], "Remove").unwrap();
    bench.until_config("web", "settings", None).await;
    wait::until("the inventory gone", DEADLINE, async || bench.parent("web").await.is_none().then_some(()))
        .await;
}

/// A namespace with an account that may edit ConfigMaps and Deployments in it.
fn team(namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: muster-deployer, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer, namespace: {namespace}}}
rules:
- {{apiGroups: ['', apps], resources: [configmaps, deployments], verbs: [create, patch, delete]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: muster-deployer, namespace: {namespace}}}]
"
    )
}

const TENANTS: &str = "apiVersion: muster.dev/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  tenants:
  - {name: shop, apps: [shop, shop-*], namespaces: [shop], kinds: [ConfigMap, Secret, '*.apps']}
";

#[tokio::test]
async fn what_an_app_may_do_is_what_its_account_and_its_tenant_may_do() {
    let Some(cluster) = Cluster::start_or_skip("dev", Options::default()).await else { return };
    let Some(target) = install(&cluster, &["--impersonation"], &team("shop")).await else { return };
    let apply = [
        "patch deployments.apps shop",
        "delete secrets shop",
        "create clusterroles.rbac.authorization.k8s.io -",
        "impersonate serviceaccounts/other shop",
        "escalate clusterroles.rbac.authorization.k8s.io -",
    ];
    check_access(
        &cluster,
        &[OWN, &["impersonate serviceaccounts/muster-deployer shop"]].concat(),
        &[NEVER, &apply].concat(),
    )
    .await;
    let account =
        "  sync: {serviceAccount: muster-deployer, retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {key: hunter2}\n";
    let away = config_map("away", "one").replace("name: away", "name: away, namespace: kube-system");
    let files = [
        ("fleet.yaml", FLEET),
        ("muster.yaml", TENANTS),
        ("shop.yaml", &app("shop", account)),
        ("apps/shop/config.yaml", &config_map("settings", "one")),
        ("apps/shop/old.yaml", &config_map("old", "one")),
        ("other.yaml", &app("other", "")),
        ("apps/other/config.yaml", &config_map("settings", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("shop", "settings", Some("one")).await;
    bench.until_logged("No tenant of the fleet has the app other").await;
    // What the tenant may not have is not even tried; what the account may not do the server refuses.
    bench.commit(&[("apps/shop/away.yaml", &away), ("apps/shop/secret.yaml", secret)]);
    bench.until_logged("ConfigMap/kube-system/away is not applied: The tenant shop may not use").await;
    bench.until_logged("muster.yaml:1").await;
    bench.until_logged("\"system:serviceaccount:shop:muster-deployer\" cannot").await;
    let secrets: Api<Secret> = Api::namespaced(bench.target.client.clone(), "shop");
    assert!(secrets.get_opt("key").await.unwrap().is_none());
    assert!(!bench.agent.program.log().contains("hunter2"));
    bench
        .repository
        .remove(&["apps/shop/away.yaml", "apps/shop/secret.yaml", "apps/shop/old.yaml"], "Undo")
        .unwrap();
    bench.until_config("shop", "old", None).await;
    patch(&bench.config_maps("shop"), "settings", json!({"data": {"key": "drift"}})).await;
    bench.until_config("shop", "settings", Some("one")).await;
    // A plan is asked for in the name of the account: the agent itself may only look.
    bench.agent.program.kill();
    bench.commit(&[
        ("apps/shop/config.yaml", &config_map("settings", "two")),
        ("apps/shop/secret.yaml", secret),
    ]);
    let plan = super::order::plan(&bench, &["--diff"]).await;
    assert_eq!(plan.code(), Some(2), "{}{}", plan.stdout, plan.stderr);
    let change =
        "change ConfigMap/shop/settings (apps/shop/config.yaml:1)\n      .data.key: \"one\" -> \"two\"";
    assert!(plan.stdout.contains(change), "{}", plan.stdout);
    assert!(plan.stdout.contains("refused Secret/shop/key"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("hunter2"));
    bench.repository.remove(&["apps/shop/secret.yaml"], "Undo").unwrap();
    bench.agent.program.restart().unwrap();
    bench.until_config("shop", "settings", Some("two")).await;
    // The account is known from the parent when the document that names it has left Git.
    bench.agent.program.kill();
    bench.repository.remove(&["shop.yaml"], "Remove the app").unwrap();
    bench.agent.program.restart().unwrap();
    bench.until_config("shop", "settings", None).await;
    assert!(bench.config_maps("other").get_opt("settings").await.unwrap().is_none());
}

#[tokio::test]
async fn suspended_apps_and_closed_windows_keep_changes_out_and_say_so() {
    let Some(cluster) = Cluster::start_or_skip("dev", Options::default()).await else { return };
    let Some(target) = install(&cluster, &[], "").await else { return };
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/b.yaml", &config_map("b", "one")),
        ("probe.yaml", &app("probe", "")),
        ("apps/probe/a.yaml", &config_map("a", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "b", Some("one")).await;
    bench.until_config("probe", "a", Some("one")).await;
    // A freeze: what is new waits, what was there is healed.
    let freeze = "  sync: {windows: [{kind: deny, schedule: '* * * * *', duration: 2h, reason: Trade}]}\n";
    bench.commit(&[
        ("web.yaml", &app("web", freeze)),
        ("apps/web/a.yaml", &config_map("a", "two")),
        ("apps/probe/a.yaml", &config_map("a", "two")),
    ]);
    bench.until_config("probe", "a", Some("two")).await;
    bench.until_logged("Changes from Git wait: a window that denies changes is active").await;
    patch(&bench.config_maps("web"), "b", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "b", Some("one")).await;
    bench.until_config("web", "a", Some("one")).await;
    // Suspended: nothing at all, and since when is kept where a new leader finds it.
    let suspend = "  sync: {suspend: {by: alice, reason: migration}}\n";
    bench.commit(&[("web.yaml", &app("web", suspend))]);
    wait::until("the suspension on the parent", DEADLINE, async || {
        bench.parent("web").await?.contains_key("muster.dev/suspended-since").then_some(())
    })
    .await;
    patch(&bench.config_maps("web"), "b", json!({"data": {"key": "drift"}})).await;
    bench.commit(&[("apps/probe/a.yaml", &config_map("a", "three"))]);
    bench.until_config("probe", "a", Some("three")).await;
    bench.until_config("web", "b", Some("drift")).await;
    bench.commit(&[("web.yaml", &app("web", ""))]);
    bench.until_config("web", "a", Some("two")).await;
    bench.until_config("web", "b", Some("one")).await;
    wait::until("no suspension on the parent", DEADLINE, async || {
        (!bench.parent("web").await?.contains_key("muster.dev/suspended-since")).then_some(())
    })
    .await;
    // The story, as `kubectl describe configmap muster-app-web` tells it.
    let parent = bench.config_maps("muster-system").get("muster-app-web").await.unwrap();
    let events: Api<Event> = Api::namespaced(bench.target.client.clone(), "muster-system");
    let about = format!("involvedObject.uid={}", parent.metadata.uid.unwrap());
    wait::until("the events of the story", DEADLINE, async || {
        let found =
            events.list(&ListParams::default().fields(&about)).await.map_err(|error| error.to_string())?;
        let reasons: Vec<_> = found.items.iter().filter_map(|event| event.reason.clone()).collect();
        let all = ["Synced", "DriftDetected", "DriftCorrected", "Suspended", "Healthy"];
        if all.iter().all(|reason| reasons.iter().any(|found| found == reason)) {
            Ok(())
        } else {
            Err(reasons.join(" "))
        }
    })
    .await;
}
