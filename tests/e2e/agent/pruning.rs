//! What leaves Git goes, unless it should not.

use super::kubectl::Kubectl;
use super::*;

fn annotated(name: &str, annotation: &str) -> String {
    config_map(name, "one")
        .replace(&format!("{{name: {name}}}"), &format!("{{name: {name}, annotations: {{{annotation}}}}}"))
}

/// Most of an app leaves Git at once, by a mistake in one line.
async fn mass_deletion(target: Target, home: &str) {
    let maps = |prefix: &str| -> String {
        (0..6).map(|n| format!("---\n{}", config_map(&format!("{prefix}-{n}"), "one"))).collect()
    };
    let sync = |limit: &str| app("mass", &format!("  sync: {{pruneLimit: {limit}}}\n"));
    let files = [("fleet.yaml", FLEET), ("app.yaml", &sync("50%")), ("apps/mass/maps.yaml", &maps("old"))];
    let mut bench = Bench::start_in(target, home, &files).await;
    bench.until_config("mass", "old-5", Some("one")).await;
    bench.commit(&[("apps/mass/maps.yaml", &maps("new"))]);
    bench.until_config("mass", "new-5", Some("one")).await;
    bench.until_logged("6 of 6 objects left Git. That is more than spec.sync.pruneLimit, 50%").await;
    // With the new ones there, half would go: that was decided before and is not forgotten.
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    let said = || bench.agent.program.log().matches("6 of 6 objects left Git").count();
    wait::until("the same again", DEADLINE, async || (said() == 2).then_some(())).await;
    bench.until_config("mass", "old-0", Some("one")).await;
    bench.commit(&[("app.yaml", &sync("100%"))]);
    bench.until_config("mass", "old-0", None).await;
    bench.until_config("mass", "old-5", None).await;
    bench.until_config("mass", "new-5", Some("one")).await;
}

#[tokio::test]
async fn most_of_an_app_goes_only_when_git_confirms_it() {
    mass_deletion(simulated().await, "home-mass").await;
}

#[tokio::test]
async fn what_should_stay_stays_and_finalizers_are_waited_for() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let home = "home-pruning";
    let kept = [
        annotated("muster", "muster.dev/prune: disabled"),
        annotated("argo", r#"argocd.argoproj.io/sync-options: "Prune=false""#),
        annotated("flux", "kustomize.toolkit.fluxcd.io/prune: disabled"),
        annotated("helm", "helm.sh/resource-policy: keep"),
    ];
    let left_alone = annotated("paused", "muster.dev/reconcile: disabled");
    let once = annotated("once", "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent");
    let files = [
        ("fleet.yaml", FLEET.to_owned()),
        ("app.yaml", app("pruning", "")),
        ("apps/pruning/kept.yaml", kept.join("---\n")),
        ("apps/pruning/a.yaml", config_map("a", "one")),
        ("apps/pruning/b.yaml", config_map("b", "one")),
        ("apps/pruning/once.yaml", once.clone()),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut bench = Bench::start_in(target, home, &files).await;
    bench.until_logged("The app is synced.").await;
    let finalizer = json!({"metadata": {"finalizers": ["example.org/wait"]}});
    patch(&bench.config_maps("pruning"), "a", finalizer).await;
    // Made once, it is anybody's.
    patch(&bench.config_maps("pruning"), "once", json!({"data": {"key": "theirs"}})).await;
    bench.commit(&[
        ("apps/pruning/once.yaml", &once.replace("key: one", "key: two")),
        ("apps/pruning/paused.yaml", &left_alone),
        ("apps/pruning/c.yaml", &config_map("c", "one")),
    ]);
    bench.until_config("pruning", "c", Some("one")).await;
    bench.until_config("pruning", "once", Some("theirs")).await;
    bench.until_config("pruning", "paused", None).await;
    bench.repository.remove(&["apps/pruning/kept.yaml", "apps/pruning/a.yaml"], "Remove").unwrap();
    wait::until("its deletion", DEADLINE, async || {
        bench.config_maps("pruning").get("a").await.ok()?.metadata.deletion_timestamp.map(drop)
    })
    .await;
    // Wanted again while it goes: it goes first, then comes again.
    bench.commit(&[("apps/pruning/a.yaml", &config_map("a", "two"))]);
    patch(&bench.config_maps("pruning"), "a", json!({"metadata": {"finalizers": null}})).await;
    bench.until_config("pruning", "a", Some("two")).await;
    for name in ["muster", "argo", "flux", "helm"] {
        bench.until_config("pruning", name, Some("one")).await;
    }
    // The app goes, and leaves them.
    bench.repository.remove(&["app.yaml"], "Remove the app").unwrap();
    bench.until_config("pruning", "a", None).await;
    let parents = bench.config_maps(home);
    wait::until("the inventory gone", DEADLINE, async || {
        parents.get_opt("muster-app-pruning").await.ok()?.is_none().then_some(())
    })
    .await;
    for name in ["muster", "argo", "flux", "helm"] {
        bench.until_config("pruning", name, Some("one")).await;
    }
}

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: holds.pruning.example.org}
spec:
  group: pruning.example.org
  scope: Namespaced
  names: {kind: Hold, plural: holds}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
";

/// A definition with somebody else's object, and a Namespace that goes with whatever is in it.
#[tokio::test]
async fn what_holds_something_foreign_stays_unless_told() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let Some(kubectl) = Kubectl::new(&target) else { return };
    let namespace = "apiVersion: v1
kind: Namespace
metadata: {name: holding-all, annotations: {muster.dev/prune: with-contents}}
";
    let files = [
        ("fleet.yaml", FLEET),
        ("app.yaml", &app("holding", "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n")),
        ("apps/holding/a.yaml", &config_map("a", "one")),
        ("apps/holding/definition.yaml", DEFINITION),
        ("apps/holding/namespace.yaml", namespace),
    ];
    let mut bench = Bench::start_in(target, "home-holding", &files).await;
    bench.until_logged("The app is synced.").await;
    let hold =
        "apiVersion: pruning.example.org/v1\nkind: Hold\nmetadata: {name: theirs, namespace: default}\n";
    let hold = kubectl.file("hold.yaml", hold);
    wait::until("their object", DEADLINE, async || {
        kubectl.output(&["apply", "-f", &hold]).await.status.success().then_some(())
    })
    .await;
    let foreign = kubectl.file("foreign.yaml", &config_map("foreign", "theirs"));
    kubectl.run(&["-n", "holding-all", "apply", "-f", &foreign]).await;
    let gone = ["apps/holding/definition.yaml", "apps/holding/namespace.yaml"];
    bench.repository.remove(&gone, "Remove").unwrap();
    bench.until_logged("Hold.pruning.example.org/default/theirs would be deleted with it").await;
    let is_gone = async |object: &str| {
        let found = kubectl.run(&["get", object, "-o", "name", "--ignore-not-found"]).await;
        found.trim().is_empty().then_some(())
    };
    wait::until("the Namespace gone", DEADLINE, async || is_gone("namespace/holding-all").await).await;
    assert_eq!(is_gone("crd/holds.pruning.example.org").await, None);
    kubectl.run(&["delete", "-f", &hold]).await;
    wait::until("the definition gone", DEADLINE, async || is_gone("crd/holds.pruning.example.org").await)
        .await;
}
