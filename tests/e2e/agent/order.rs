//! New content comes in the order it asks for, and a new cluster comes up whole.

use k8s_openapi::api::batch::v1::Job;
use muster_tests::process::{Launch, Output};

use super::*;

fn job(name: &str, image: &str, annotations: &str) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {{name: run, image: \"{image}\"}}
"
    )
}

fn in_wave(wave: i32, manifest: &str) -> String {
    manifest.replacen(
        "metadata: {",
        &format!("metadata: {{annotations: {{argocd.argoproj.io/sync-wave: \"{wave}\"}}, "),
        1,
    )
}

const BEFORE: &str = "argocd.argoproj.io/hook: PreSync";
const AFTER: &str = "muster.dev/hook: post-sync";

impl Bench {
    fn jobs(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.target.client.clone(), namespace)
    }

    /// Waits until everything of an app that is applied in order is in.
    async fn until_complete(&self, app: &str) {
        wait::until(&format!("{app} complete"), DEADLINE, async || {
            let sync = self.parent(app).await?.get("muster.dev/sync")?.clone();
            sync.contains("\"complete\":true").then_some(())
        })
        .await;
    }

    async fn uid(&self, name: &str) -> Option<String> {
        self.jobs("web").get_opt(name).await.unwrap()?.metadata.uid
    }
}

/// Hooks, waves, and each once for a change.
async fn in_order(target: Target) {
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/before.yaml", &job("before", "migrate:1", BEFORE)),
        ("apps/web/web.yaml", &in_wave(1, &deployment("web", 1, "nginx:1.24"))),
        ("apps/web/last.yaml", &in_wave(2, &config_map("last", "one"))),
        ("apps/web/after.yaml", &job("after", "smoke:1", AFTER)),
    ];
    let mut bench = Bench::start(target, &files).await;
    // The later is never there before the earlier is done.
    wait::until("the last ConfigMap, after all before it", DEADLINE, async || {
        let last = bench.config_maps("web").get_opt("last").await.ok()?;
        let web = bench.deployments("web").get_opt("web").await.ok()?;
        let before = bench.jobs("web").get_opt("before").await.ok()?;
        if last.is_some() {
            let ready = web.as_ref().and_then(|web| web.status.as_ref()?.available_replicas);
            assert_eq!(ready, Some(1), "the first wave is healthy before the second");
        }
        if web.is_some() {
            let succeeded = before.and_then(|job| job.status?.succeeded);
            assert_eq!(succeeded, Some(1), "the pre-sync hook is done before the first wave");
        }
        last.map(drop)
    })
    .await;
    bench.until_complete("web").await;
    let first = (bench.uid("before").await, bench.uid("after").await);
    assert!(first.0.is_some() && first.1.is_some());
    // Neither drift nor a restart runs them again.
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    patch(&bench.deployments("web"), "web", json!({"spec": {"replicas": 3}})).await;
    bench.until_deployed("web", "web", 1, "nginx:1.24").await;
    assert_eq!((bench.uid("before").await, bench.uid("after").await), first);
    // A commit does: and what is broken does not hold up the fix.
    bench.commit(&[
        ("apps/web/before.yaml", &job("before", "fail:2", BEFORE)),
        ("apps/web/last.yaml", &in_wave(2, &config_map("last", "two"))),
    ]);
    bench.until_logged("The hook pre-sync Job.batch/web/before has failed").await;
    bench.until_config("web", "last", Some("one")).await;
    bench.commit(&[("apps/web/before.yaml", &job("before", "migrate:3", BEFORE))]);
    bench.until_config("web", "last", Some("two")).await;
    bench.until_complete("web").await;
    assert_ne!(bench.uid("after").await, first.1);
}

#[tokio::test]
async fn hooks_and_waves_on_a_simulated_cluster() {
    in_order(simulated().await).await;
}

#[tokio::test]
async fn hooks_and_waves_on_a_real_cluster() {
    let Some(target) = real().await else { return };
    in_order(target).await;
}

const WIDGET: &str = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 1}\n";

const ACCESS: &str = "apiVersion: v1
kind: ServiceAccount
metadata: {name: operator}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: widget-operator}
rules:
- {apiGroups: [example.org], resources: [widgets], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: widget-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: widget-operator}
subjects:
- {kind: ServiceAccount, name: operator, namespace: operator}
";

/// A webhook that nobody answers for Widgets: were it there before them, none could be made.
const WEBHOOK: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: widgets.example.org}
webhooks:
- name: widgets.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {url: \"https://127.0.0.1:1/\"}
  rules:
  - {apiGroups: [example.org], apiVersions: [v1], operations: [CREATE], resources: [widgets]}
";

/// A new, empty cluster, and a repository with everything in one commit: definitions and their objects in one app and
/// in another, namespaces, rights, webhooks, and apps that need one another.
#[tokio::test]
async fn an_empty_cluster_comes_up_whole() {
    let Some(target) = real().await else { return };
    let retry = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let depends = |name: &str| format!("  dependsOn: [{name}]\n");
    let own_namespace = in_wave(-1, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shared}\n");
    let files = [
        ("fleet.yaml", FLEET),
        // Named so that what needs comes before what is needed.
        ("apps/a.yaml", &app("a-shop", &depends("operator"))),
        ("apps/b.yaml", &app("b-widgets", retry)),
        ("apps/operator.yaml", &app("operator", "")),
        ("apps/a-shop/widget.yaml", WIDGET),
        ("apps/a-shop/web.yaml", &deployment("web", 1, "nginx")),
        ("apps/b-widgets/widget.yaml", WIDGET),
        ("apps/b-widgets/namespace.yaml", &own_namespace),
        (
            "apps/b-widgets/shared.yaml",
            &config_map("a", "one").replace("{name: a}", "{name: a, namespace: shared}"),
        ),
        ("apps/operator/a-webhook.yaml", WEBHOOK),
        ("apps/operator/a-widget.yaml", WIDGET),
        ("apps/operator/access.yaml", ACCESS),
        ("apps/operator/definition.yaml", &widgets("")),
        ("apps/operator/operator.yaml", &in_wave(1, &deployment("operator", 2, "operator:1"))),
        ("apps/operator/migrate.yaml", &job("migrate", "migrate:1", BEFORE)),
    ];
    // The webhook would refuse all Widgets that come after it: those of the other apps are let through.
    let webhook = WEBHOOK.replace(
        "rules:",
        "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: operator}}\n  rules:",
    );
    let files =
        files.map(|(path, text)| if text == WEBHOOK { (path, webhook.as_str()) } else { (path, text) });
    let bench = Bench::start(target, &files).await;
    bench.until_complete("operator").await;
    bench.until_complete("a-shop").await;
    bench.until_complete("b-widgets").await;
    bench.until_deployed("operator", "operator", 2, "operator:1").await;
    bench.until_deployed("a-shop", "web", 1, "nginx").await;
    bench.until_config("shared", "a", Some("one")).await;
    let kind = kube::api::GroupVersionKind::gvk("example.org", "v1", "Widget");
    let kind = kube::api::ApiResource::from_gvk(&kind);
    for namespace in ["operator", "a-shop", "b-widgets"] {
        let widgets: Api<kube::api::DynamicObject> =
            Api::namespaced_with(bench.target.client.clone(), namespace, &kind);
        wait::until(&format!("the Widget in {namespace}"), DEADLINE, async || {
            widgets.get_opt("one").await.ok()?
        })
        .await;
    }
}

pub(super) async fn plan(bench: &Bench, more: &[&str]) -> Output {
    let launch = Launch::binary("muster-agent").unwrap().args(["plan", "--cluster", "dev", "--repo"]);
    let launch = launch.arg(bench.git.url("fleet")).arg("--kubeconfig").arg(&bench.target.kubeconfig);
    launch.args(more).run(DEADLINE).await.unwrap()
}

/// What `muster-agent plan` says before, between and after.
async fn planned(target: Target) {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: hunter2-first}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/before.yaml", &job("before", "migrate:1", BEFORE)),
        ("apps/web/web.yaml", &deployment("web", 1, "nginx:1.24")),
        ("apps/web/key.yaml", secret),
        ("apps/web/a.yaml", &config_map("a", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_complete("web").await;
    wait::until("nothing left to do", DEADLINE, async || {
        (plan(&bench, &[]).await.code() == Some(0)).then_some(())
    })
    .await;
    bench.agent.program.kill();
    let secret = secret.replace("hunter2-first", "hunter2-second");
    bench.commit(&[
        ("apps/web/web.yaml", &deployment("web", 2, "nginx:1.24")),
        ("apps/web/key.yaml", &secret),
        ("apps/web/b.yaml", &config_map("b", "one")),
    ]);
    bench.repository.remove(&["apps/web/a.yaml"], "Remove a").unwrap();
    let versions = async || {
        let all: Api<ConfigMap> = Api::all(bench.target.client.clone());
        let list = all.list(&kube::api::ListParams::default()).await.unwrap();
        list.items.iter().map(|map| map.metadata.resource_version.clone()).collect::<Vec<_>>()
    };
    let before = versions().await;
    let output = plan(&bench, &["--diff"]).await;
    assert_eq!(output.code(), Some(1), "{}{}", output.stdout, output.stderr);
    for line in [
        "  delete Job.batch/web/before\n",
        "  wait for an earlier run to be gone: Job.batch/web/before\n",
        "  run pre-sync Job.batch/web/before (apps/web/before.yaml:1)\n",
        "  create ConfigMap/web/b (apps/web/b.yaml:1)\n",
        "  change Secret/web/key (apps/web/key.yaml:1)\n      .data.password: \"***\" -> \"***\"\n",
        "  change Deployment.apps/web/web (apps/web/web.yaml:1)\n      .spec.replicas: 1 -> 2\n",
        "  delete ConfigMap/web/a\n",
    ] {
        assert!(output.stdout.contains(line), "no {line} in {}", output.stdout);
    }
    assert_eq!(versions().await, before, "nothing is written");
    let json = plan(&bench, &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["apps"][0]["app"], "web");
    // While a window is closed only what was changed in the cluster would be put back.
    let freeze = "  sync: {windows: [{kind: deny, schedule: '* * * * *', duration: 2h, reason: Trade}]}\n";
    bench.commit(&[("web.yaml", &app("web", freeze))]);
    let output = plan(&bench, &[]).await;
    assert!(
        output.stdout.contains("Changes from Git wait: a window that denies changes"),
        "{}",
        output.stdout
    );
    for verb in ["create ", "change ", "delete ", "run "] {
        assert!(!output.stdout.contains(&format!("  {verb}")), "{}", output.stdout);
    }
    bench.commit(&[("web.yaml", &app("web", "  prun: true\n"))]);
    let output = plan(&bench, &[]).await;
    assert_eq!(output.code(), Some(2), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("error web.yaml:"), "{}", output.stdout);
}

#[tokio::test]
async fn a_plan_is_shown_of_a_simulated_cluster() {
    planned(simulated().await).await;
}

#[tokio::test]
async fn a_plan_is_shown_of_a_real_cluster() {
    let Some(target) = real().await else { return };
    planned(target).await;
}
