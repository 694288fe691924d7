//! An app says how it fares, and why.

use super::*;

/// What a person should be told of apps that do not get well, each in a namespace of its name.
const REASONS: &[(&str, &str)] = &[
    ("image", "image is Degraded now, it was Progressing. Deployment/web: Pod web-"),
    ("image", "container web: ImagePullBackOff of missing:1"),
    ("quota", "exceeded quota: none"),
    ("account", "serviceaccount \"nobody\" not found"),
    ("claim", "PersistentVolumeClaim/data: There is no StorageClass fast."),
    ("late", "Service/late: It is not healthy after 5s. The load balancer has no address yet."),
];

const QUOTA: &str = "apiVersion: v1
kind: ResourceQuota
metadata: {name: none}
spec: {hard: {pods: \"0\"}}
";

const CLAIM: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
";

const BALANCER: &str = "apiVersion: v1
kind: Service
metadata: {name: late}
spec: {type: LoadBalancer, ports: [{port: 80}], selector: {app: none}}
";

fn account() -> String {
    deployment("web", 1, "nginx:1")
        .replace("spec:\n      containers", "spec:\n      serviceAccountName: nobody\n      containers")
}

#[tokio::test]
async fn what_is_not_well_says_why() {
    let Some(target) = real().await else { return };
    let files = [
        ("fleet.yaml", FLEET.to_owned()),
        ("image.yaml", app("image", "")),
        ("apps/image/web.yaml", deployment("web", 1, "missing:1")),
        ("quota.yaml", app("quota", "")),
        ("apps/quota/quota.yaml", QUOTA.to_owned()),
        ("apps/quota/web.yaml", deployment("web", 1, "nginx:1")),
        ("account.yaml", app("account", "")),
        ("apps/account/web.yaml", account()),
        ("claim.yaml", app("claim", "")),
        ("apps/claim/data.yaml", CLAIM.to_owned()),
        ("late.yaml", app("late", "  sync: {timeout: 5s}\n")),
        ("apps/late/late.yaml", BALANCER.to_owned()),
        ("rollout.yaml", app("rollout", "")),
        ("apps/rollout/web.yaml", deployment("web", 2, "nginx:1")),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut bench = Bench::start(target, &files).await;
    bench.until_logged("rollout is Healthy now, it was Progressing.").await;
    // Available by its old Pods, while the new ones crash.
    bench.commit(&[("apps/rollout/web.yaml", &deployment("web", 2, "fail:2"))]);
    bench.until_logged("container web: CrashLoopBackOff, it ended with exit code 1, 3 restarts").await;
    bench.until_logged("rollout is Degraded now, it was Progressing. Deployment/web: Pod web-").await;
    // The fix waits for nothing.
    bench.commit(&[("apps/rollout/web.yaml", &deployment("web", 2, "nginx:3"))]);
    wait::until("the second time that it is healthy", DEADLINE, async || {
        let log = bench.agent.program.log();
        (log.matches("rollout is Healthy now").count() == 2).then_some(())
    })
    .await;
    for (name, reason) in REASONS {
        bench.until_logged(reason).await;
        assert!(bench.agent.program.log().contains(&format!("{name} is Degraded")), "{name}");
    }
}

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Database, plural: databases, singular: database}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const RULE: &str = "  health:
  - group: example.org
    kind: Database
    healthy: self.status.phase == 'Running'
    degraded: self.status.phase in ['Failed', 'Lost']
";

const DATABASE: &str = "apiVersion: example.org/v1\nkind: Database\nmetadata: {name: orders}\n";

/// Sets the status of the Database.
async fn set_phase(bench: &Bench, phase: &str) {
    let kind = kube::api::GroupVersionKind::gvk("example.org", "v1", "Database");
    let resource = kube::api::ApiResource::from_gvk(&kind);
    let databases: Api<kube::api::DynamicObject> =
        Api::namespaced_with(bench.target.client.clone(), "data", &resource);
    let status = Patch::Merge(json!({"status": {"phase": phase}}));
    databases.patch_status("orders", &PatchParams::default(), &status).await.unwrap();
}

#[tokio::test]
async fn a_wave_waits_for_what_a_rule_and_what_the_pods_say() {
    let Some(target) = real().await else { return };
    let in_wave = |wave: i32, text: &str| {
        text.replacen(
            "metadata: {",
            &format!("metadata: {{annotations: {{muster.dev/sync-wave: \"{wave}\"}}, "),
            1,
        )
    };
    let files = [
        ("fleet.yaml", FLEET),
        ("data.yaml", &app("data", RULE)),
        ("apps/data/definition.yaml", &in_wave(-1, DEFINITION)),
        ("apps/data/orders.yaml", DATABASE),
        ("apps/data/web.yaml", &in_wave(1, &deployment("web", 1, "missing:1"))),
        ("apps/data/last.yaml", &in_wave(2, &config_map("last", "one"))),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench
        .until_logged(
            "It waits for wave 0 to be healthy: Database.example.org/data/orders (data.yaml:1 spec.health[0]",
        )
        .await;
    assert!(bench.deployments("data").get_opt("web").await.unwrap().is_none());
    set_phase(&bench, "Running").await;
    // The reason is found in its Pods.
    bench.until_logged("It waits for wave 1 to be healthy: Deployment.apps/data/web (Pod web-").await;
    bench.until_logged("ImagePullBackOff of missing:1").await;
    assert!(bench.config_maps("data").get_opt("last").await.unwrap().is_none());
    bench.commit(&[("apps/data/web.yaml", &in_wave(1, &deployment("web", 1, "nginx:1")))]);
    bench.until_config("data", "last", Some("one")).await;
    // A rule that is not true any more holds up the next content only.
    set_phase(&bench, "Lost").await;
    bench.until_logged("data is Degraded now").await;
    patch(&bench.config_maps("data"), "last", json!({"data": {"key": "drift"}})).await;
    bench.until_config("data", "last", Some("one")).await;
}

#[tokio::test]
async fn a_rule_in_git_says_how_a_kind_fares() {
    let Some(target) = real().await else { return };
    let files = [
        ("fleet.yaml", FLEET),
        ("data.yaml", &app("data", RULE)),
        ("apps/data/definition.yaml", DEFINITION),
        ("apps/data/orders.yaml", DATABASE),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench
        .until_logged(
            "Database/orders: data.yaml:1 spec.health[0] is not true of it yet: there is no `status`.",
        )
        .await;
    set_phase(&bench, "Failed").await;
    bench
        .until_logged(
            "data is Degraded now, it was Progressing. Database/orders: data.yaml:1 spec.health[0].degraded",
        )
        .await;
    set_phase(&bench, "Running").await;
    bench.until_logged("data is Healthy now, it was Degraded.").await;
    // Another rule counts at once, for what is there already.
    bench.commit(&[("data.yaml", &app("data", &RULE.replace("'Running'", "1 + 'a'")))]);
    bench.until_logged("data is Unknown now, it was Healthy. Database/orders: data.yaml:1 spec.health[0].healthy cannot be told").await;
    // One that cannot be read is its document's error.
    bench.commit(&[("data.yaml", &app("data", &RULE.replace("== 'Running'", "= 'Running'")))]);
    bench.until_logged("data.yaml:").await;
    bench.until_logged("spec.health[0].healthy: `=` has no meaning here (at character 19)").await;
}
