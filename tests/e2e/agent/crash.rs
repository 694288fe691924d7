//! The agent is killed after each of its writes in turn, and the next one brings what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_simcluster::{Fault, Settings, SimCluster, Simulation};
use muster_tests::kubernetes::{Verdict, Webhook};

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::PostParams;

use super::*;

/// Everything a plan has: a namespace, a definition with an object of its kind, hooks in three phases, two waves. The
/// names of app, namespace and kind end with `n`.
fn files(n: &str) -> Vec<(&'static str, String)> {
    let hook = |name: &str, annotations: &str| {
        config_map(name, "one").replacen("{name:", &format!("{{annotations: {{{annotations}}}, name:"), 1)
    };
    let retry = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    vec![
        ("fleet.yaml", FLEET.to_owned()),
        ("web.yaml", app(&format!("web{n}"), retry).replace(&format!("apps/web{n}"), "apps/web")),
        ("apps/web/before.yaml", hook("before", "muster.dev/hook: pre-sync")),
        ("apps/web/during.yaml", hook("during", "argocd.argoproj.io/hook: Sync")),
        ("apps/web/after.yaml", hook("after", "argocd.argoproj.io/hook: PostSync")),
        ("apps/web/definition.yaml", widgets(n)),
        (
            "apps/web/widget.yaml",
            format!("apiVersion: example.org/v1\nkind: Widget{n}\nmetadata: {{name: one}}\n"),
        ),
        ("apps/web/web.yaml", deployment("web", 1, "nginx")),
        ("apps/web/last.yaml", hook("last", "muster.dev/sync-wave: \"1\"")),
    ]
}

/// A new cluster, and the same as a target for an agent.
async fn cluster(simulation: &Simulation, scratch: &Scratch) -> (SimCluster, Target) {
    let cluster = simulation.start("dev", Settings::default()).await.unwrap();
    let kubeconfig = scratch.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig("admin")).unwrap();
    let target = Target::existing("dev", &kubeconfig).await.unwrap();
    (cluster, target)
}

/// How often something was changed, Leases aside.
fn writes(cluster: &SimCluster) -> u64 {
    let requests = cluster.requests();
    let writes = requests.iter().filter(|((verb, resource), _)| {
        !matches!(verb.as_str(), "get" | "list" | "watch") && resource != "leases"
    });
    writes.map(|(_, count)| count).sum()
}

fn is_complete(cluster: &SimCluster) -> bool {
    let parent = cluster.object("configmaps", "muster-system", "muster-app-web").unwrap_or_default();
    let sync = parent["metadata"]["annotations"]["muster.dev/sync"].as_str().unwrap_or_default();
    sync.contains("\"complete\":true")
}

#[tokio::test]
async fn killed_after_each_write_it_converges_and_runs_no_hook_twice() {
    let files = files("");
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let git = git::Server::start(git::Options::default()).unwrap();
    git.create("fleet").unwrap().commit(&files, "Begin").unwrap();
    let simulation = Simulation::new().unwrap();
    for count in 0.. {
        let scratch = Scratch::new("crash").unwrap();
        let (cluster, target) = cluster(&simulation, &scratch).await;
        cluster.inject(Fault::status(503).writes().after(count).times(u32::MAX));
        let mut agent = Agent::start(Bench::options(&git, &target, &scratch)).unwrap();
        let cut = wait::until("one write too many, or the end", DEADLINE, async || {
            let cut = writes(&cluster) > u64::from(count);
            (cut || is_complete(&cluster)).then_some(cut)
        })
        .await;
        agent.program.kill();
        cluster.clear_faults();
        agent.program.restart().unwrap();
        wait::until(&format!("everything, killed after write {count}"), DEADLINE, async || {
            is_complete(&cluster).then_some(())
        })
        .await;
        for (resource, name) in [
            ("configmaps", "before"),
            ("configmaps", "during"),
            ("configmaps", "after"),
            ("configmaps", "last"),
            ("deployments.apps", "web"),
            ("widgets.example.org", "one"),
        ] {
            assert!(
                cluster.object(resource, "web", name).is_some(),
                "{resource} {name}, killed after {count}"
            );
        }
        // A hook that is run again is deleted first.
        let deletes: Vec<_> = cluster.requests().into_keys().filter(|(verb, _)| verb == "delete").collect();
        assert_eq!(deletes, [], "killed after write {count}");
        if !cut {
            assert!(count >= 10, "only {count} writes");
            return;
        }
    }
}

/// Lets so many writes of the agent through, those of Leases and Events aside, and refuses all others.
struct Cut {
    webhook: Webhook,
    limit: Arc<AtomicUsize>,
}

/// What it is asked about each agent's writes.
fn is_counted(request: &Value) -> bool {
    let own = ["leases", "events"].map(Value::from);
    request["dryRun"] != true && !own.contains(&request["resource"]["resource"])
}

impl Cut {
    async fn start(target: &Target) -> Cut {
        let limit = Arc::new(AtomicUsize::new(usize::MAX));
        let left = Arc::clone(&limit);
        let webhook = Webhook::start(move |request| {
            if !is_counted(request) {
                return Verdict::Allow;
            }
            let take = |left: usize| Some(if left == usize::MAX { left } else { left.checked_sub(1)? });
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
                Ok(_) => Verdict::Allow,
                Err(_) => Verdict::Refuse("One write too many.".to_owned()),
            }
        })
        .unwrap();
        let configuration = json!({
            "metadata": {"name": "cut"},
            "webhooks": [{
                "name": "cut.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "clientConfig": webhook.client_config(),
                "matchConditions": [{"name": "agent", "expression": "request.userInfo.username == 'agent'"}],
                "rules": [{
                    "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                }],
            }],
        });
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(target.client.clone());
        let configuration = serde_json::from_value(configuration).unwrap();
        configurations.create(&PostParams::default(), &configuration).await.unwrap();
        Cut { webhook, limit }
    }

    /// What was asked since `from` requests, as `operation name`.
    fn writes(&self, from: usize) -> Vec<String> {
        let asked = self.webhook.asked();
        let counted = asked[from..].iter().filter(|request| is_counted(request));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        counted.map(|request| format!("{} {}", text(&request["operation"]), text(&request["name"]))).collect()
    }
}

#[tokio::test]
async fn killed_after_each_write_on_a_real_cluster_it_converges_and_runs_no_hook_twice() {
    let Some(target) = Target::real_for("agent").await else { return };
    let cut = Cut::start(&target).await;
    let is_complete = async |home: &str, app: &str| {
        let parents: Api<ConfigMap> = Api::namespaced(target.client.clone(), home);
        let parent = parents.get_opt(&format!("muster-app-{app}")).await.ok()??;
        parent.metadata.annotations?.get("muster.dev/sync")?.contains("\"complete\":true").then_some(())
    };
    // The first write of all makes the agent's own namespace.
    for count in 1.. {
        let (app, home) = (format!("web{count}"), format!("home{count}"));
        let files = files(&count.to_string());
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let git = git::Server::start(git::Options::default()).unwrap();
        git.create("fleet").unwrap().commit(&files, "Begin").unwrap();
        let scratch = Scratch::new("crash").unwrap();
        let from = cut.webhook.asked().len();
        cut.limit.store(count, Ordering::SeqCst);
        let options = Bench::options(&git, &target, &scratch).arg("--namespace").arg(&home);
        let mut agent = Agent::start(options).unwrap();
        let was_cut = wait::until("one write too many, or the end", DEADLINE, async || {
            if cut.writes(from).len() > count {
                return Some(true);
            }
            is_complete(&home, &app).await.map(|()| false)
        })
        .await;
        agent.program.kill();
        cut.limit.store(usize::MAX, Ordering::SeqCst);
        agent.program.restart().unwrap();
        wait::until(&format!("everything, killed after write {count}"), DEADLINE, async || {
            is_complete(&home, &app).await
        })
        .await;
        let maps: Api<ConfigMap> = Api::namespaced(target.client.clone(), &app);
        for name in ["before", "during", "after", "last"] {
            assert!(maps.get_opt(name).await.unwrap().is_some(), "{name}, killed after write {count}");
        }
        // A hook that is run again is deleted first.
        let writes = cut.writes(from);
        let deletes: Vec<_> = writes.iter().filter(|write| write.starts_with("DELETE")).collect();
        assert!(deletes.is_empty(), "killed after write {count}: {writes:?}");
        if !was_cut {
            assert!(count >= 10, "only {count} writes");
            return;
        }
    }
}
