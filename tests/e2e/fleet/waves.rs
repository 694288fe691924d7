//! Revisions go from dev to staging to prod, each step a commit, each step proved.

use std::process::Command;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use muster_tests::fleet::{DEADLINE, Target};
use muster_tests::scratch::Scratch;
use muster_tests::{git, wait};

use super::story::{ARRIVAL, FLEET, Story, app, cluster, deployment, settings, timeline};

async fn promote(targets: Vec<Target>) {
    let mut story = Story::begin(targets).await;
    let first = story.fleet.repository.resolve("main").unwrap();
    story.until("web", "prod", "AwaitingApproval").await;
    story.until("api", "prod", "AwaitingApproval").await;
    assert_eq!(story.image("prod").await, None, "nothing reaches prod unapproved");
    story.decide(&["approve", "web", "--reason", "seen in staging"]).await;
    story.until_at("web", "prod", &first).await;
    story.until_image("prod", "nginx:1.24").await;
    story.until("api", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "api"]).await;
    story.until_at("api", "prod", &first).await;

    // The hub dies, and goes on where it was: what it knew is in Git.
    story.fleet.hub.program.kill();
    let second = story.commit("apps/web/web.yaml", deployment("nginx:1.25"), "nginx 1.25");
    story.fleet.hub.restart().await.unwrap();
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &second).await;
    story.until_image("prod", "nginx:1.25").await;
    assert_eq!(story.stage("api", "prod").await.unwrap()["revision"], first.as_str(), "not of this track");

    // One that cannot start halts where it is, and another track is not held up by it.
    story.commit("apps/web/web.yaml", deployment("fail:1"), "broken");
    story.until("web", "dev", "Halted").await;
    let fourth = story.commit("apps/api/settings.yaml", settings("two"), "two");
    story.until("api", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "api"]).await;
    story.until_at("api", "prod", &fourth).await;
    assert_eq!(story.image("staging").await.as_deref(), Some("nginx:1.25"));
    assert_eq!(story.image("prod").await.as_deref(), Some("nginx:1.25"));

    // A revert on the branch does what one expects; then the whole fleet goes back at a word.
    let fifth = story.commit("apps/web/web.yaml", deployment("nginx:1.26"), "nginx 1.26");
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &fifth).await;
    let asked = Instant::now();
    story.decide(&["rollback", "web", "--reason", "prices are wrong"]).await;
    for cluster in ["dev", "staging", "prod"] {
        story.until_image(cluster, "nginx:1.25").await;
    }
    println!("rolled back everywhere after {:.1} s", asked.elapsed().as_secs_f64());
    story.until_at("web", "prod", &second).await;

    // What a person takes back on the branch with git alone stays away, too.
    let sixth = story.commit("apps/web/web.yaml", deployment("nginx:1.27"), "nginx 1.27");
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &sixth).await;
    revert_newest_pins(&story);
    story.until_image("prod", "nginx:1.25").await;
    story.until("web", "prod", "Rejected").await;
    assert_eq!(story.image("staging").await.as_deref(), Some("nginx:1.27"));

    let steps = |wave: &str, action: &str, to: &str| (wave.to_owned(), action.to_owned(), to.to_owned());
    let expected = [
        steps("staging", "promote", &first),
        steps("prod", "approve", &first),
        steps("prod", "promote", &first),
        steps("staging", "promote", &second),
        steps("prod", "approve", &second),
        steps("prod", "promote", &second),
        steps("staging", "promote", &fifth),
        steps("prod", "approve", &fifth),
        steps("prod", "promote", &fifth),
        steps("dev", "rollback", &second),
        steps("staging", "rollback", &second),
        steps("prod", "rollback", &second),
        steps("dev", "follow", &sixth),
        steps("staging", "promote", &sixth),
        steps("prod", "approve", &sixth),
        steps("prod", "promote", &sixth),
        steps("prod", "reject", &sixth),
    ];
    assert_eq!(timeline(&story.fleet.repository, "web"), expected);
    let message = story.pins(&["log", "-1", "--format=%an%n%B", "--grep", "prices", "muster"]);
    assert!(message.starts_with("admin\nMove web in 3 waves\n"), "{message}");
    assert!(message.contains("\nprices are wrong\n"), "{message}");
    let approved = story.pins(&["log", "--format=%an %s", "muster", "--", "waves/prod/web.yaml"]);
    assert!(approved.contains("admin Approve web for prod"), "{approved}");
    assert!(approved.contains("muster-hub Promote web to prod"), "{approved}");
    let (_, history) = story.fleet.hub.json(&["history", "web", "--limit", "8"]).await.unwrap();
    let decisions = history["decisions"].as_array().unwrap();
    let actions: Vec<_> = decisions.iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..5], ["reject", "promote", "approve", "promote", "follow"]);
    assert_eq!(actions[5..], ["rollback"; 3]);
    assert!(decisions[5..].iter().all(|one| one["author"] == "admin"));
}

/// As a person does it, in a clone.
fn revert_newest_pins(story: &Story) {
    let clone = Scratch::new("clone").unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let mut command = Command::new("git");
        command.current_dir(clone.path()).args(identity).args(arguments);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    };
    let origin = story.fleet.git.url("fleet");
    git(&["clone", "--quiet", "--branch", "muster", &origin, "."]);
    git(&["revert", "--no-edit", "HEAD"]);
    git(&["push", "--quiet", "origin", "muster"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_simulated_clusters() {
    promote(Target::simulated(&["dev", "staging", "prod"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_real_clusters() {
    if let Some(targets) = Target::real(&["dev", "staging", "prod"]).await {
        promote(targets).await;
    }
}

/// An agent trusts no pin: not one to a commit that is on no branch, nor one it cannot read; and without a hub
/// it follows those that are good.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_follows_good_pins_without_a_hub_and_no_others() {
    let target = Target::simulated(&["prod"]).await.remove(0);
    let server = git::Server::start(git::Options::default()).unwrap();
    let repository = server.create("fleet").unwrap();
    let scratch = muster_tests::scratch::Scratch::new("pins").unwrap();
    let files = [
        ("muster.yaml", FLEET.to_owned()),
        ("prod.yaml", cluster("prod")),
        ("web.yaml", app("web")),
        ("apps/web/web.yaml", deployment("nginx:1")),
    ];
    let first = repository.commit(&files, "one").unwrap();
    let second = repository.commit(&[("apps/web/web.yaml", deployment("nginx:2"))], "two").unwrap();
    let third = repository.commit(&[("apps/web/web.yaml", deployment("nginx:3"))], "three").unwrap();
    let foreign = git::Change::new("foreign").on("feature").after(&first);
    let foreign = repository.make(&foreign.file("apps/web/web.yaml", deployment("nginx:evil"))).unwrap();
    let pin = |revision: &str| {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: WavePin\nmetadata: {{name: prod.web}}\nspec: {{wave: prod, \
             track: web, revision: '{revision}'}}\n"
        );
        repository.make(&git::Change::new("pin").on("muster").file("waves/prod/web.yaml", text)).unwrap();
    };
    let options = muster_tests::fleet::AgentOptions::new(
        "prod",
        &server.url("fleet"),
        &target.kubeconfig,
        scratch.path(),
    );
    let mut agent = muster_tests::fleet::Agent::start(options).unwrap();
    let deployments: Api<Deployment> = Api::namespaced(target.client.clone(), "web");
    let image = async || {
        let found = deployments.get_opt("web").await.ok()??;
        found.spec?.template.spec?.containers.first()?.image.clone()
    };
    agent.program.wait_for_log("Read the repository.", DEADLINE).await.unwrap();
    assert_eq!(image().await, None, "without a pin nothing is installed");
    for (revision, wanted) in [(&second, "nginx:2"), (&first, "nginx:1"), (&third, "nginx:3")] {
        pin(revision);
        wait::until(wanted, DEADLINE, async || image().await.as_deref() == Some(wanted)).await;
    }
    pin(&foreign);
    agent.program.wait_for_log("it is not on the branch main", DEADLINE).await.unwrap();
    assert_eq!(image().await.as_deref(), Some("nginx:3"));
    // What is held is healed to its pin.
    pin(&second);
    wait::until("nginx:2", DEADLINE, async || image().await.as_deref() == Some("nginx:2")).await;
    let patch = serde_json::json!({"spec": {"replicas": 5}});
    let parameters = kube::api::PatchParams { field_manager: Some("kubectl".into()), ..Default::default() };
    deployments.patch("web", &parameters, &kube::api::Patch::Merge(patch)).await.unwrap();
    let replicas = async || deployments.get("web").await.ok().and_then(|found| found.spec?.replicas);
    wait::until("one replica again", DEADLINE, async || replicas().await == Some(1)).await;
}

/// What an approval alone does not let in: a gate asks an HTTP server about the revision.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_keeps_a_revision_out_until_it_lets_it_pass() {
    let is_open = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (open, seen) = (Arc::clone(&is_open), Arc::clone(&asked));
    let answer = move |uri: http::Uri| {
        seen.lock().unwrap().push(uri.path().to_owned());
        let result = if open.load(Ordering::SeqCst) { "passed" } else { "failed" };
        async move { format!("{{\"result\": \"{result}\"}}") }
    };
    let (listener, port) = muster_tests::ports::listen();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let app = axum::Router::new().fallback(axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut story = Story::begin(Target::simulated(&["dev", "staging", "prod"]).await).await;
    // All are there before the hub goes: a token is good for one use, also where the answer was lost.
    story.until("web", "prod", "AwaitingApproval").await;
    let config = story.fleet.hub.operator_config().with_file_name("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}gates:\n- {{url: \"http://127.0.0.1:{port}/\"}}\n")).unwrap();
    story.fleet.hub.restart().await.unwrap();
    let gate = format!(
        "    gates:\n    - name: smoke\n      interval: 5s\n      http: {{url: \"http://127.0.0.1:{port}/{{{{ wave }}}}/\
         {{{{ revision }}}}\", expect: 'self.body.result == \"passed\"'}}\n"
    );
    let prod = "  - name: prod\n    clusters: {matchLabels: {env: prod}}\n    approval: {required: 1}\n";
    let fleet: String = FLEET
        .lines()
        .filter(|line| !line.contains("name: prod"))
        .fold(String::new(), |text, line| text + line + "\n");
    let revision = story.commit("muster.yaml", format!("{fleet}{prod}{gate}"), "gate prod");
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until("web", "prod", "Gated").await;
    wait::until("the gate to say why", ARRIVAL, async || {
        let stage = story.stage("web", "prod").await?;
        let detail = stage["detail"].as_str().unwrap_or_default();
        if detail.contains("the gate smoke does not let") { Ok(()) } else { Err(detail.to_owned()) }
    })
    .await;
    assert_eq!(story.image("prod").await, None);
    is_open.store(true, Ordering::SeqCst);
    story.until("web", "prod", "Current").await;
    story.until_image("prod", "nginx:1.24").await;
    let pin = story.pins(&["show", "muster:waves/prod/web.yaml"]);
    assert!(pin.contains("gate smoke") && pin.contains("it answered 200, and"), "{pin}");
    let asked = asked.lock().unwrap();
    assert!(asked.contains(&format!("/prod/{revision}")), "{asked:?}");
}
