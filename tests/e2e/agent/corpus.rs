//! Three hundred objects of forty kinds: applied, then seen to be as Git says, and not written again.
//!
//! Each file of `corpus` is one kind, made as often as [`COPIES`] says, with `N` for the number; those of
//! `corpus-once` are there once, and what is in `corpus-before` is there before the agent.

use std::path::Path;

use super::kubectl::Kubectl;
use super::*;

/// Objects of each kind.
const COPIES: usize = 7;

const SYNCED: &str = "The app is synced.";

/// The manifests, as files of the app's directory.
fn corpus() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/agent");
    let read = |folder: &str| {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let texts = files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap()));
        texts.collect::<Vec<_>>()
    };
    let numbered = |text: &str| -> String {
        // `N` stands alone at the end of a name, or before the plural's `s`.
        let number = |n: usize| {
            let mut numbered = String::new();
            let mut rest = text;
            while let Some(at) = rest.find('N') {
                let after = rest[at + 1..].chars().next().unwrap_or(' ');
                let name =
                    at > 0 && (rest[..at].ends_with('-') || rest[..at].to_lowercase().ends_with("kind"));
                numbered += &rest[..at];
                if name && (!after.is_ascii_alphabetic() || after == 's') {
                    numbered += &n.to_string();
                } else {
                    numbered.push('N');
                }
                rest = &rest[at + 1..];
            }
            numbered + rest
        };
        (0..COPIES).map(|n| format!("---\n{}", number(n))).collect()
    };
    let many = read("corpus").into_iter().map(|(name, text)| (name, numbered(&text)));
    many.chain(read("corpus-once")).map(|(name, text)| (format!("apps/corpus/{name}"), text)).collect()
}

/// Puts a mutation between the agent and the objects, and waits until it acts.
async fn mutate(kubectl: &Kubectl) {
    let policy = kubectl.file("mutation.yaml", include_str!("corpus-before/mutation.yaml"));
    kubectl.run(&["apply", "-f", &policy]).await;
    let probe =
        config_map("probe", "one").replace("{name: probe}", "{name: probe, labels: {mutate: \"yes\"}}");
    let probe = kubectl.file("probe.yaml", &probe);
    wait::until("a mutated object", DEADLINE, async || {
        let created = kubectl.run(&["create", "--dry-run=server", "-o", "yaml", "-f", &probe]).await;
        created.contains("example.org/mutated").then_some(())
    })
    .await;
}

/// Writes of the agent so far, by the API server's own count: nobody else applies.
async fn applies(target: &Target) -> u64 {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let metrics = target.client.request_text(request).await.unwrap();
    let applied = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{") && line.contains("verb=\"APPLY\""))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small count")]
    let count = applied.sum::<f64>() as u64;
    count
}

#[tokio::test]
async fn what_is_as_git_says_is_not_written_again() {
    let Some(target) = real().await else { return };
    let Some(kubectl) = Kubectl::new(&target) else { return };
    mutate(&kubectl).await;
    let corpus = corpus();
    let mut files = vec![("fleet.yaml", FLEET.to_owned()), ("app.yaml", app("corpus", ""))];
    files.extend(corpus.iter().map(|(path, text)| (path.as_str(), text.clone())));
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let objects: usize = corpus.iter().map(|(_, text)| text.matches("\nkind: ").count()).sum();
    assert!(objects >= 300, "{objects}");
    let mut bench = Bench::start_in(target, "muster-system", &files).await;
    bench.agent.program.wait_for_log(SYNCED, DEADLINE * 3).await.unwrap();
    assert!(bench.agent.program.log().contains(&format!("objects={objects}")));
    let mutated = bench.config_maps("corpus").get("config-0").await.unwrap();
    assert_eq!(mutated.metadata.annotations.unwrap()["example.org/mutated"], "true");
    let first = applies(&bench.target).await;
    // A commit that changes no object, then one that changes one: only that is written.
    let (path, text) = &corpus[0];
    bench.commit(&[(path, &format!("# A comment\n{text}"))]);
    bench.commit(&[("apps/corpus/extra.yaml", &config_map("extra", "one"))]);
    bench.until_config("corpus", "extra", Some("one")).await;
    let second = applies(&bench.target).await;
    assert!(second <= first + 2, "{} objects were written again", second - first);
    assert!(!bench.agent.program.log().contains("was changed by"), "no false drift");
}
