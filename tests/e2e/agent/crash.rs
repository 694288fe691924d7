//! The agent is killed after each of its writes in turn, and the next one brings what is missing.

use muster_simcluster::{Fault, Settings, SimCluster, Simulation};

use super::*;

/// Everything a plan has: a namespace, a definition with an object of its kind, hooks in three phases, two waves.
fn files() -> Vec<(&'static str, String)> {
    let hook = |name: &str, annotations: &str| {
        config_map(name, "one").replacen("{name:", &format!("{{annotations: {{{annotations}}}, name:"), 1)
    };
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
    vec![
        ("fleet.yaml", FLEET.to_owned()),
        ("web.yaml", app("web", "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n")),
        ("apps/web/before.yaml", hook("before", "muster.dev/hook: pre-sync")),
        ("apps/web/during.yaml", hook("during", "argocd.argoproj.io/hook: Sync")),
        ("apps/web/after.yaml", hook("after", "argocd.argoproj.io/hook: PostSync")),
        ("apps/web/definition.yaml", definition.to_owned()),
        (
            "apps/web/widget.yaml",
            "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: one}\n".to_owned(),
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
    let files = files();
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
