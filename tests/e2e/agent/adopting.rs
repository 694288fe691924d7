//! What somebody else made is taken over, with nothing left behind, or refused with a reason.

use super::kubectl::Kubectl;
use super::*;

/// What kubectl, Helm and others left in the namespace before there was an agent.
async fn before(kubectl: &Kubectl, namespace: &str) {
    let apply = async |name: &str, manifest: &str, flags: &[&str]| {
        let file = kubectl.file(name, manifest);
        let mut arguments = vec!["-n", namespace, "apply", "-f", &file];
        arguments.extend(flags);
        kubectl.run(&arguments).await;
    };
    let map = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{more}}}\ndata: {{key: theirs, extra: left}}\n"
        )
    };
    apply("client.yaml", &map("client", ", labels: {old: label}"), &[]).await;
    apply("server.yaml", &map("server", ""), &["--server-side"]).await;
    let helm = ", annotations: {meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop}";
    for (name, more, manager) in [("charted", helm, "helm"), ("held", "", "my-operator")] {
        let file = kubectl.file("created.yaml", &map(name, more));
        let manager = format!("--field-manager={manager}");
        kubectl.run(&["-n", namespace, "create", "-f", &file, &manager]).await;
    }
    // Of one nobody knows any more who wrote what.
    apply("untracked.yaml", &map("untracked", ""), &[]).await;
    let reset = r#"[{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]"#;
    kubectl.run(&["-n", namespace, "patch", "configmap", "untracked", "--type=json", "-p", reset]).await;
    let web = deployment("web", 3, "nginx:1.24").replace("ports:", "env: [{name: OLD, value: x}], ports:");
    apply("web.yaml", &web, &[]).await;
    kubectl.run(&["-n", namespace, "scale", "deployment/web", "--replicas=4"]).await;
    let service = "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: old, port: 81}]}
";
    apply("service.yaml", service, &[]).await;
    // A set that kubectl has.
    let theirs = map("theirs", "");
    let set = ["--prune", "--applyset=configmaps/their-set", "--server-side"];
    apply("theirs.yaml", &theirs, &set).await;
}

fn managers(object: &Value) -> Vec<(&str, &str)> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries
        .iter()
        .filter(|entry| entry.get("subresource").is_none())
        .map(|entry| (entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_others_made_is_taken_over_or_refused() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let Some(kubectl) = Kubectl::new(&target) else { return };
    let namespace = "adopting";
    kubectl.run(&["create", "namespace", namespace]).await;
    before(&kubectl, namespace).await;
    let service = "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
";
    let names = ["client", "server", "charted", "untracked", "held", "theirs"];
    let maps: String = names.iter().map(|name| format!("---\n{}", config_map(name, "git"))).collect();
    let files = [
        ("fleet.yaml", FLEET),
        ("app.yaml", &app(namespace, "")),
        ("apps/adopting/maps.yaml", &maps),
        ("apps/adopting/web.yaml", &deployment("web", 2, "nginx:1.24")),
        ("apps/adopting/service.yaml", service),
    ];
    let mut bench = Bench::start_in(target, "home-adopting", &files).await;
    for name in ["client", "server", "charted", "untracked"] {
        bench.until_config(namespace, name, Some("git")).await;
        let map = kubectl.get(&["-n", namespace, "configmap", name]).await;
        assert_eq!(map["data"], json!({"key": "git"}), "{name}: nothing is left behind");
        let metadata = &map["metadata"];
        assert_eq!(metadata["labels"].get("old"), None, "{name}");
        let annotations: Vec<_> = metadata["annotations"].as_object().unwrap().keys().collect();
        assert_eq!(annotations, ["muster.dev/content"], "{name}");
        if name != "untracked" {
            assert_eq!(managers(&map), [("muster-agent", "Apply")], "{name}");
        }
    }
    bench.until_logged("Adopted from kubectl-client-side-apply.").await;
    bench.until_logged("Adopted from Helm (shop/shop).").await;
    bench.until_deployed(namespace, "web", 2, "nginx:1.24").await;
    let web = kubectl.get(&["-n", namespace, "deployment", "web"]).await;
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0].get("env"), None);
    bench.until_logged("Taken over: kubectl holds .spec.replicas.").await;
    let service = kubectl.get(&["-n", namespace, "service", "web"]).await;
    assert_eq!(service["spec"]["ports"].as_array().unwrap().len(), 1);
    assert_ne!(service["spec"]["clusterIP"], "None");
    // Somebody's field, and somebody's set.
    bench.until_logged("my-operator holds .data.key.").await;
    bench.until_logged("It belongs to another ApplySet").await;
    bench.until_config(namespace, "held", Some("theirs")).await;
    bench.until_config(namespace, "theirs", Some("theirs")).await;
    let held = kubectl.get(&["-n", namespace, "configmap", "held"]).await;
    assert_eq!(managers(&held), [("my-operator", "Update")], "what is refused is left untouched");
    // Git allows it: for one object, then for all.
    let forced = config_map("held", "git")
        .replace("{name: held}", "{name: held, annotations: {muster.dev/conflicts: Force}}");
    bench.commit(&[("apps/adopting/maps.yaml", &maps.replace(&config_map("held", "git"), &forced))]);
    bench.until_config(namespace, "held", Some("git")).await;
    let held = kubectl.get(&["-n", namespace, "configmap", "held"]).await;
    assert_eq!(held["data"]["extra"], "left", "what an unknown manager holds beside is its own");
    bench.until_config(namespace, "theirs", Some("theirs")).await;
    bench.commit(&[("app.yaml", &app(namespace, "  sync: {conflicts: Force}\n"))]);
    bench.until_config(namespace, "theirs", Some("git")).await;
}

/// The number of replicas is left to an autoscaler, until Git names one. It writes the object itself: of who
/// writes `/scale` the API server keeps no record where nobody held the number before.
#[tokio::test]
async fn a_field_that_becomes_gits_is_not_taken_from_a_controller() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let Some(kubectl) = Kubectl::new(&target) else { return };
    let namespace = "autoscaled";
    let without = deployment("web", 0, "nginx").replace("  replicas: 0\n", "");
    let quick = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let files =
        [("fleet.yaml", FLEET), ("app.yaml", &app(namespace, quick)), ("apps/autoscaled/web.yaml", &without)];
    let mut bench = Bench::start_in(target, "home-autoscaled", &files).await;
    bench.until_deployed(namespace, "web", 1, "nginx").await;
    let scale = ["-n", namespace, "patch", "deployment", "web", "--field-manager=autoscaler"];
    kubectl.run(&[&scale[..], &["--type=merge", "-p", r#"{"spec": {"replicas": 4}}"#]].concat()).await;
    bench.until_deployed(namespace, "web", 4, "nginx").await;
    bench.commit(&[("apps/autoscaled/web.yaml", &deployment("web", 1, "nginx"))]);
    bench.until_logged("autoscaler holds .spec.replicas.").await;
    // A restart forgets nothing of whose the field was.
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    let refusals = || bench.agent.program.log().matches("autoscaler holds .spec.replicas.").count();
    wait::until("another refusal", DEADLINE, async || (refusals() >= 2).then_some(())).await;
    bench.until_deployed(namespace, "web", 4, "nginx").await;
    // But what Git had before, and somebody changed while no agent looked, is drift whoever did it.
    bench.commit(&[("apps/autoscaled/web.yaml", &without.replace("nginx", "nginx:1.24"))]);
    bench.until_deployed(namespace, "web", 4, "nginx:1.24").await;
    bench.agent.program.kill();
    patch(&bench.deployments(namespace), "web", json!({"metadata": {"labels": {"app": "other"}}})).await;
    bench.agent.program.restart().unwrap();
    wait::until("the label again", DEADLINE, async || {
        let labels = bench.deployments(namespace).get("web").await.ok()?.metadata.labels?;
        (labels.get("app")? == "web").then_some(())
    })
    .await;
}

/// kubectl sees the sets of an agent, keeps its hands off them, and two agents do not share an object.
#[tokio::test]
async fn an_app_is_an_apply_set_to_kubectl_and_to_other_agents() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let Some(kubectl) = Kubectl::new(&target) else { return };
    let (app_name, home) = ("seen", "home-seen");
    let files = [
        ("fleet.yaml", FLEET),
        ("app.yaml", &app(app_name, "")),
        ("apps/seen/a.yaml", &config_map("a", "one")),
        ("apps/seen/b.yaml", &deployment("b", 0, "nginx")),
    ];
    let bench = Bench::start_in(target, home, &files).await;
    bench.until_deployed(app_name, "b", 0, "nginx").await;
    let parent = kubectl.get(&["-n", home, "configmap", "muster-app-seen"]).await;
    let kinds = parent["metadata"]["annotations"][KINDS].as_str().unwrap().to_lowercase();
    let id = parent["metadata"]["labels"]["applyset.kubernetes.io/id"].as_str().unwrap();
    let selector = format!("applyset.kubernetes.io/part-of={id}");
    let members = kubectl.run(&["get", &kinds, "-A", "-o", "name", "-l", &selector]).await;
    let members: Vec<_> = members.split_whitespace().collect();
    assert_eq!(members, ["configmap/a", "deployment.apps/b"]);
    // kubectl knows the parent for one of another tool, and does not prune by it.
    let file = kubectl.file("a.yaml", &config_map("a", "kubectl"));
    let set = "--applyset=configmaps/muster-app-seen";
    let refused = kubectl.refused(&["-n", home, "apply", "--server-side", "-f", &file, "--prune", set]).await;
    assert!(refused.contains("tooling"), "{refused}");
    // An agent with another home wants the same object.
    let scratch = Scratch::new("other").unwrap();
    let options = AgentOptions::new("dev", &bench.git.url("fleet"), &bench.target.kubeconfig, scratch.path());
    let mut other = Agent::start(options.arg("--namespace").arg("home-other")).unwrap();
    other.program.wait_for_log("(of an app seen that another agent has)", DEADLINE).await.unwrap();
    let after = kubectl.get(&["-n", app_name, "configmap", "a"]).await;
    assert_eq!(after["metadata"]["labels"]["applyset.kubernetes.io/part-of"], id);
}
