//! Drift on a real API server: each is put back by exactly one write, what is no drift is left alone, and
//! the API server's own audit log says what the agent has sent.

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::DeleteParams;

use muster_tests::fleet::scale_and_wait;
use muster_tests::kubernetes::{Audit, Cluster, Options};

use super::*;

/// The name the agent has towards the API server.
const USER: &str = "muster-agent";

/// A real cluster with an audit log, and the agent's own access to it.
pub(super) async fn audited() -> Option<(Cluster, Target, Audit)> {
    let options = Options { audit: true, ..Options::default() };
    let cluster = Cluster::start_or_skip("drift", options).await?;
    let access = cluster.user(USER, Some("system:masters")).await.unwrap();
    let mut target = Target::existing("dev", access.kubeconfig()).await.unwrap();
    // Changes by hand are the administrator's, so that the log tells them from the agent's.
    target.client = cluster.client();
    let audit = cluster.audit(USER);
    Some((cluster, target, audit))
}

/// Kinds whose values the server changes when it takes them.
const NORMALISED: &str = "apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {requests.cpu: 1000m, memory: 1024Mi}}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: from-git-0123}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, ingress: [{}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 5
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: drift-reader}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: 0 3 * * *
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a, resources: {limits: {cpu: 0.5}}}]}}}}
";

fn files(more: &str) -> Vec<(String, String)> {
    [
        ("fleet.yaml", FLEET.to_owned()),
        ("web.yaml", app("web", more)),
        ("apps/web/web.yaml", deployment("web", 2, "nginx:1.24")),
        ("apps/web/config.yaml", config_map("settings", "one")),
        ("apps/web/more.yaml", NORMALISED.to_owned()),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into()
}

async fn start(target: Target, more: &str) -> Bench {
    let files = files(more);
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut bench = Bench::start(target, &files).await;
    bench.until_logged("The app is synced.").await;
    bench
}

impl Bench {
    /// Waits until all that came before has been seen and judged: an object committed now is there.
    async fn until_seen(&self, marker: &str) {
        self.commit(&[("apps/marker/a.yaml", &config_map("a", marker)), ("marker.yaml", &app("marker", ""))]);
        self.until_config("marker", "a", Some(marker)).await;
    }
}

/// The writes of the agent to one object since then.
fn since(audit: &Audit, before: &BTreeMap<String, usize>, object: &str) -> usize {
    let count = |writes: &BTreeMap<String, usize>| {
        let of_object = writes.iter().filter(|(write, _)| write.ends_with(object));
        of_object.map(|(_, count)| count).sum::<usize>()
    };
    count(&audit.writes()) - count(before)
}

#[tokio::test]
async fn each_drift_is_put_back_by_one_write_and_nothing_else_is_written() {
    let Some((mut cluster, target, audit)) = audited().await else { return };
    let mut bench = start(target, "").await;
    let client = bench.target.client.clone();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "web");
    let services: Api<Service> = Api::namespaced(client.clone(), "web");
    let roles: Api<ClusterRole> = Api::all(client);
    bench.until_seen("first").await;
    let before = audit.writes();
    assert!(before.values().all(|count| *count == 1), "one write each at first: {before:?}");

    // Scaled, edited, relabelled, extended and deleted, each under a manager of its own.
    scale_and_wait(&bench.deployments("web"), "web", 5, 2).await.unwrap();
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "edited"}})).await;
    bench.until_config("web", "settings", Some("one")).await;
    patch(&secrets, "token", json!({"stringData": {"token": "changed-4567"}})).await;
    bench.until_logged("Secret/web/token was changed by by-hand").await;
    services.delete("web", &DeleteParams::default()).await.unwrap();
    wait::until("the Service again", DEADLINE, async || services.get_opt("web").await.ok()?.map(drop)).await;
    patch(
        &roles,
        "drift-reader",
        json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]}),
    )
    .await;
    bench.until_logged("ClusterRole/drift-reader was changed by by-hand").await;
    // No drift: fields that are not Git's.
    patch(&bench.config_maps("web"), "settings", json!({"metadata": {"annotations": {"note": "kept"}}}))
        .await;
    patch(&bench.deployments("web"), "web", json!({"spec": {"revisionHistoryLimit": 3}})).await;
    bench.until_seen("second").await;

    for object in [
        "deployments/web/web",
        "configmaps/web/settings",
        "secrets/web/token",
        "services/web/web",
        "clusterroles//drift-reader",
    ] {
        assert_eq!(since(&audit, &before, object), 1, "{object}: {:?}", audit.writes());
    }
    let log = bench.agent.program.log();
    assert!(!log.contains("from-git") && !log.contains("changed-4567"), "a Secret's value is in the log");

    // A server that went away and came back: nothing is missed, and nothing written again.
    let before = audit.writes();
    cluster.stop_api_server();
    cluster.start_api_server().await.unwrap();
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "edited"}})).await;
    bench.until_config("web", "settings", Some("one")).await;
    bench.until_seen("third").await;
    let again: Vec<_> =
        audit.writes().into_iter().filter(|(write, count)| before.get(write) != Some(count)).collect();
    let expected = ["patch configmaps/marker/a", "patch configmaps/web/settings"];
    assert_eq!(again.iter().map(|(write, _)| write.as_str()).collect::<Vec<_>>(), expected);
    // Watches bring what is there with them, also after the server has forgotten where they were.
    let lists = audit.requests().into_iter().filter(|request| request.verb == "list" && request.code == 200);
    let lists: Vec<_> = lists.map(|request| request.resource).collect();
    for resource in ["deployments", "services", "secrets", "clusterroles", "cronjobs"] {
        assert!(!lists.iter().any(|listed| listed == resource), "{resource} were listed: {lists:?}");
    }
}

const IGNORE: &str = "  sync:
    ignoreDifferences:
    - {group: apps, kind: Deployment, jsonPointers: [/spec/replicas]}
    - {kind: ConfigMap, name: settings, jqPathExpressions: ['.data.key']}
    - {kind: Secret, managedFieldsManagers: [by-hand]}
";

#[tokio::test]
async fn what_is_ignored_is_neither_drift_nor_overwritten() {
    let Some((_cluster, target, audit)) = audited().await else { return };
    let bench = start(target, IGNORE).await;
    let secrets: Api<Secret> = Api::namespaced(bench.target.client.clone(), "web");
    bench.until_deployed("web", "web", 2, "nginx:1.24").await;
    bench.until_seen("first").await;
    let before = audit.writes();
    patch(&bench.deployments("web"), "web", json!({"spec": {"replicas": 5}})).await;
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "edited", "more": "x"}})).await;
    patch(&secrets, "token", json!({"stringData": {"token": "rotated"}})).await;
    bench.until_seen("second").await;
    for object in ["deployments/web/web", "configmaps/web/settings", "secrets/web/token"] {
        assert_eq!(since(&audit, &before, object), 0, "{object}");
    }
    // Applied again, for another reason: what others made of the ignored fields stays.
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {key: one, new: value}\n";
    bench.commit(&[
        ("apps/web/web.yaml", &deployment("web", 3, "nginx:1.25")),
        ("apps/web/config.yaml", settings),
    ]);
    bench.until_deployed("web", "web", 5, "nginx:1.25").await;
    wait::until("the new key", DEADLINE, async || {
        bench.config_maps("web").get("settings").await.ok()?.data?.get("new").map(drop)
    })
    .await;
    bench.until_config("web", "settings", Some("edited")).await;
    // Other fields of the same objects are healed, with what is ignored kept.
    patch(&bench.deployments("web"), "web", json!({"metadata": {"labels": {"app": "x"}}})).await;
    wait::until("the label again", DEADLINE, async || {
        (bench.deployments("web").get("web").await.ok()?.metadata.labels?.get("app")? == "web").then_some(())
    })
    .await;
    bench.until_deployed("web", "web", 5, "nginx:1.25").await;
    // Ignored no more: Git decides again, where it may take what somebody else holds.
    bench.commit(&[("web.yaml", &app("web", "  sync: {conflicts: Force}\n"))]);
    bench.until_deployed("web", "web", 3, "nginx:1.25").await;
    bench.until_config("web", "settings", Some("one")).await;
}

#[tokio::test]
async fn an_autoscaler_behind_a_drift_is_named() {
    let Some((_cluster, target, _audit)) = audited().await else { return };
    let mut bench = start(target, "").await;
    scale_and_wait(&bench.deployments("web"), "web", 4, 2).await.unwrap();
    bench.until_logged("HorizontalPodAutoscaler web scales Deployment.apps/web/web, and so does Git").await;
}
