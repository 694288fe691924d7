//! What is wrong with one thing stays with that thing, is said, and is over once it is put right.

use super::*;

const BROKEN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken\n";

#[tokio::test]
async fn broken_yaml_holds_its_app_alone() {
    let files = [
        ("fleet.yaml", FLEET),
        ("one.yaml", &app("one", "")),
        ("two.yaml", &app("two", "")),
        ("apps/one/a.yaml", &config_map("a", "one")),
        ("apps/one/b.yaml", &config_map("b", "one")),
        ("apps/two/a.yaml", &config_map("a", "one")),
    ];
    let mut bench = Bench::start(simulated().await, &files).await;
    bench.until_config("one", "b", Some("one")).await;
    // The manifests of one app: nothing of it is applied or pruned, the other goes on.
    bench.repository.remove(&["apps/one/b.yaml"], "Remove b").unwrap();
    bench.until_config("one", "b", None).await;
    bench.commit(&[
        ("apps/one/b.yaml", BROKEN),
        ("apps/one/a.yaml", &config_map("a", "two")),
        ("apps/two/a.yaml", &config_map("a", "two")),
    ]);
    bench.until_config("two", "a", Some("two")).await;
    bench.until_logged("apps/one/b.yaml:").await;
    bench.until_config("one", "a", Some("one")).await;
    // What was good before is still healed.
    patch(&bench.config_maps("one"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("one", "a", Some("one")).await;
    bench.commit(&[("apps/one/b.yaml", &config_map("b", "two"))]);
    bench.until_config("one", "b", Some("two")).await;
    bench.until_config("one", "a", Some("two")).await;
    // The document of one app.
    bench.commit(&[
        ("one.yaml", &app("one", "  prun: true\n")),
        ("apps/two/a.yaml", &config_map("a", "three")),
    ]);
    bench.until_config("two", "a", Some("three")).await;
    bench.until_logged("one.yaml:").await;
    bench.until_config("one", "a", Some("two")).await;
    bench.commit(&[("one.yaml", &app("one", "")), ("apps/one/a.yaml", &config_map("a", "four"))]);
    bench.until_config("one", "a", Some("four")).await;
}

/// An object the server will not take, one of an unknown kind, and a good one.
async fn rejected(target: Target) {
    let bad = deployment("Bad_Name", 1, "nginx");
    let unknown = "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: one}\nspec: {size: 1}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n")),
        ("apps/web/bad.yaml", &bad),
        ("apps/web/thing.yaml", unknown),
        ("apps/web/good.yaml", &config_map("good", "one")),
        ("other.yaml", &app("other", "")),
        ("apps/other/good.yaml", &config_map("good", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "good", Some("one")).await;
    bench.until_config("other", "good", Some("one")).await;
    bench.until_logged("Deployment.apps/web/Bad_Name").await;
    bench.until_logged("has no kind Thing in example.org/v1").await;
    // The kind comes from another app, and the object by itself.
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";
    bench.commit(&[
        ("apps/other/definition.yaml", definition),
        ("apps/web/bad.yaml", &deployment("good", 1, "nginx")),
    ]);
    bench.until_deployed("web", "good", 1, "nginx").await;
    let resource =
        kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("example.org", "v1", "Thing"));
    let things: Api<kube::api::DynamicObject> =
        Api::namespaced_with(bench.target.client.clone(), "web", &resource);
    wait::until("the Thing", DEADLINE, async || things.get_opt("one").await.ok()?).await;
}

#[tokio::test]
async fn what_a_simulated_server_rejects_fails_its_app_alone() {
    rejected(simulated().await).await;
}

#[tokio::test]
async fn what_a_real_server_rejects_fails_its_app_alone() {
    let Some(target) = real().await else { return };
    rejected(target).await;
}

#[tokio::test]
async fn git_may_be_away_at_the_start_and_later() {
    let target = simulated().await;
    let scratch = Scratch::new("agent").unwrap();
    let mut git = git::Server::start(git::Options::default()).unwrap();
    let repository = git.create("fleet").unwrap();
    let files =
        [("fleet.yaml", FLEET), ("web.yaml", &app("web", "")), ("apps/web/a.yaml", &config_map("a", "one"))];
    repository.commit(&files, "Begin").unwrap();
    git.stop();
    let agent = Agent::start(Bench::options(&git, &target, &scratch)).unwrap();
    let mut bench = Bench { agent, git, repository, target, scratch };
    bench.until_logged("cannot be reached").await;
    bench.git.start_again().unwrap();
    bench.until_config("web", "a", Some("one")).await;
    // Away again: what was read is still healed, by a restarted agent too.
    bench.git.stop();
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("one")).await;
    bench.agent.program.restart().unwrap();
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("one")).await;
    bench.commit(&[("apps/web/a.yaml", &config_map("a", "two"))]);
    bench.git.start_again().unwrap();
    bench.until_config("web", "a", Some("two")).await;
    assert!(bench.scratch.path().exists());
}

#[tokio::test]
async fn a_missing_cluster_document_prunes_nothing() {
    let files =
        [("fleet.yaml", FLEET), ("web.yaml", &app("web", "")), ("apps/web/a.yaml", &config_map("a", "one"))];
    let mut bench = Bench::start(simulated().await, &files).await;
    bench.until_config("web", "a", Some("one")).await;
    bench.repository.remove(&["fleet.yaml"], "Lose the cluster").unwrap();
    bench.until_logged("no Cluster document named dev").await;
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("one")).await;
}

/// A Namespace that left Git, with something of somebody else's in it.
async fn foreign_contents(target: Target) {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shared}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/namespace.yaml", namespace),
        ("apps/web/b.yaml", &config_map("b", "one").replace("{name: b}", "{name: b, namespace: shared}")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("shared", "b", Some("one")).await;
    let foreign = json!({"metadata": {"name": "foreign"}, "data": {"key": "mine"}});
    let foreign: ConfigMap = serde_json::from_value(foreign).unwrap();
    bench.config_maps("shared").create(&kube::api::PostParams::default(), &foreign).await.unwrap();
    bench.repository.remove(&["apps/web/namespace.yaml", "apps/web/b.yaml"], "Remove").unwrap();
    bench.until_config("shared", "b", None).await;
    bench.until_logged("ConfigMap/shared/foreign would be deleted with it").await;
    bench.until_config("shared", "foreign", Some("mine")).await;
    bench.config_maps("shared").delete("foreign", &kube::api::DeleteParams::default()).await.unwrap();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(bench.target.client.clone());
    wait::until("the Namespace gone", DEADLINE, async || {
        namespaces.get_opt("shared").await.ok()?.is_none().then_some(())
    })
    .await;
    bench.until_config("web", "a", Some("one")).await;
}

#[tokio::test]
async fn a_namespace_with_foreign_contents_stays_on_a_simulated_cluster() {
    foreign_contents(simulated().await).await;
}

#[tokio::test]
async fn a_namespace_with_foreign_contents_stays_on_a_real_cluster() {
    let Some(target) = real().await else { return };
    foreign_contents(target).await;
}

#[tokio::test]
async fn a_mistyped_label_takes_no_app_away_until_git_confirms_it() {
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("api.yaml", &app("api", "")),
        ("apps/api/a.yaml", &config_map("a", "one")),
    ];
    let mut bench = Bench::start(simulated().await, &files).await;
    bench.until_config("web", "a", Some("one")).await;
    bench.until_config("api", "a", Some("one")).await;
    let mistyped = FLEET.replace("{env: dev}", "{env: dve}");
    bench.commit(&[("fleet.yaml", &mistyped)]);
    bench.until_logged("2 of 2 apps would leave this cluster at once (api, web).").await;
    wait::until("that to be kept on the inventories", DEADLINE, async || {
        (bench.parent("web").await?.get("muster.dev/leaving-held")? == "2/2").then_some(())
    })
    .await;
    // Nor after a restart.
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    wait::until("that to be said again", DEADLINE, async || {
        (bench.agent.program.log().matches("2 of 2 apps would leave").count() >= 3).then_some(())
    })
    .await;
    bench.until_config("web", "a", Some("one")).await;
    bench.commit(&[("fleet.yaml", FLEET), ("apps/web/a.yaml", &config_map("a", "two"))]);
    bench.until_config("web", "a", Some("two")).await;
    wait::until("nothing of it on the inventories", DEADLINE, async || {
        (!bench.parent("web").await?.contains_key("muster.dev/leaving-held")).then_some(())
    })
    .await;
    bench.commit(&[("fleet.yaml", &format!("{mistyped}spec: {{pruneLimit: 100%}}\n"))]);
    bench.until_config("web", "a", None).await;
    bench.until_config("api", "a", None).await;
}
