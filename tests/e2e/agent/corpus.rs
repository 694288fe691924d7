//! Three hundred objects of forty kinds: applied, then seen to be as Git says, and not written again.
//!
//! Each file of `corpus` is one kind, made as often as [`COPIES`] says, with `N` for the number; those of
//! `corpus-once` are there once, and what is in `corpus-before` is there before the agent.

use std::path::Path;
use std::time::Instant;

use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{ApiGroup, Discovery};

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

/// An agent that has applied the whole corpus, and the files it is in.
async fn applied() -> Option<(Bench, Vec<(String, String)>)> {
    let target = real().await?;
    let kubectl = Kubectl::new(&target)?;
    mutate(&kubectl).await;
    let corpus = corpus();
    let mut files = vec![("fleet.yaml", FLEET.to_owned()), ("app.yaml", app("corpus", ""))];
    files.extend(corpus.iter().map(|(path, text)| (path.as_str(), text.clone())));
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let objects: usize = corpus.iter().map(|(_, text)| text.matches("\nkind: ").count()).sum();
    assert!(objects >= 300, "{objects}");
    let mut bench = Bench::start(target, &files).await;
    bench.agent.program.wait_for_log(SYNCED, DEADLINE * 3).await.unwrap();
    assert!(bench.agent.program.log().contains(&format!("objects={objects}")));
    Some((bench, corpus))
}

/// How long the agent is watched for false drift, in seconds: shortly, unless there is time.
fn soak() -> Duration {
    let seconds = std::env::var("MUSTER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

#[tokio::test]
async fn what_is_as_git_says_is_not_written_again() {
    let Some((bench, corpus)) = applied().await else { return };
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
    // However long it goes on, with controllers at work.
    let began = Instant::now();
    wait::until("the end of the soak", soak() + DEADLINE, async || {
        let log = bench.agent.program.log();
        assert!(!log.contains("was changed by"), "false drift after {:?}: {log}", began.elapsed());
        assert!(applies(&bench.target).await <= second, "written again after {:?}", began.elapsed());
        (began.elapsed() >= soak()).then_some(())
    })
    .await;
}

/// Every object of the app in the cluster, each with its kind and a client for that.
async fn members(target: &Target) -> Vec<(Api<DynamicObject>, String, DynamicObject)> {
    let discovery = Discovery::new(target.client.clone()).run().await.unwrap();
    let mut members = Vec::new();
    for (resource, capabilities) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
        if !capabilities.supports_operation("list") || !capabilities.supports_operation("patch") {
            continue;
        }
        let all: Api<DynamicObject> = Api::all_with(target.client.clone(), &resource);
        let list = all.list(&ListParams::default().labels("muster.dev/app=corpus")).await.unwrap();
        for object in list.items {
            // Labels are copied by controllers; only what the agent applied is its own.
            let managers = object.metadata.managed_fields.iter().flatten();
            if managers.filter_map(|entry| entry.manager.as_deref()).all(|name| name != "muster-agent") {
                continue;
            }
            let api = match &object.metadata.namespace {
                Some(namespace) => Api::namespaced_with(target.client.clone(), namespace, &resource),
                None => all.clone(),
            };
            members.push((api, resource.kind.clone(), object));
        }
    }
    members
}

/// A patch that gives some field of Git's content, other than metadata, another value: the first such field.
fn other_value(manifest: &Value) -> Option<Value> {
    match manifest {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()))
            .find_map(|(name, value)| Some(json!({ name: other_value(value)? }))),
        Value::String(text) => Some(json!(format!("{text}x"))),
        Value::Number(number) => Some(json!(number.as_i64()? + 1)),
        Value::Bool(yes) => Some(json!(!yes)),
        _ => None,
    }
}

/// Each object is changed by hand, in its labels and (where the server takes it) in its content, and put back.
#[tokio::test]
async fn whatever_is_changed_in_the_corpus_is_put_back() {
    let Some((bench, corpus)) = applied().await else { return };
    let members = members(&bench.target).await;
    assert!(members.len() >= 300, "{}", members.len());
    let by_hand = PatchParams { field_manager: Some("by-hand".to_owned()), ..PatchParams::default() };
    let label =
        |object: &DynamicObject| object.metadata.labels.clone().unwrap_or_default().remove("muster.dev/app");
    let stolen = json!({"metadata": {"labels": {"muster.dev/app": "stolen"}}});
    for (api, _, object) in &members {
        let patched = api.patch(&object.name_any(), &by_hand, &Patch::Merge(&stolen)).await.unwrap();
        assert_eq!(label(&patched).as_deref(), Some("stolen"));
    }
    for (api, _, object) in &members {
        let name = object.name_any();
        wait::until(&format!("the label of {name} again"), DEADLINE, async || {
            (label(&api.get(&name).await.ok()?)? == "corpus").then_some(())
        })
        .await;
    }
    // The content: what Git says of each, by kind and name.
    let limits = muster_yaml::Limits::default();
    let wanted: BTreeMap<(String, String), Value> = corpus
        .iter()
        .flat_map(|(_, text)| muster_yaml::parts(text.as_bytes(), &limits))
        .filter_map(|part| Some(part.ok()?.read(muster_yaml::Reading::Strict, &limits).ok()??.into_json()))
        .map(|object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            ((text(&object["kind"]), text(&object["metadata"]["name"])), object)
        })
        .collect();
    let mut changed = Vec::new();
    for (api, kind, object) in &members {
        let Some(patch) = wanted.get(&(kind.clone(), object.name_any())).and_then(other_value) else {
            continue;
        };
        let live = api.get(&object.name_any()).await.unwrap();
        // Many fields cannot be changed, by anybody.
        if let Ok(patched) = api.patch(&object.name_any(), &by_hand, &Patch::Merge(&patch)).await
            && patched.data != live.data
        {
            changed.push((api, object.name_any(), patch, live.data));
        }
    }
    eprintln!("{} of {} objects changed in their content", changed.len(), members.len());
    assert!(changed.len() >= 100, "only {} could be changed", changed.len());
    for (api, name, patch, before) in &changed {
        wait::until(&format!("{name} as it was, after {patch}"), DEADLINE, async || {
            let live = api.get(name).await.map_err(|error| error.to_string())?;
            if same(patch, &live.data, before) { Ok(()) } else { Err(live.data.to_string()) }
        })
        .await;
    }
}

/// Whether two objects have the same at the place that a patch is about.
fn same(patch: &Value, one: &Value, other: &Value) -> bool {
    match patch.as_object().and_then(|fields| fields.iter().next()) {
        Some((name, inner)) => same(inner, &one[name], &other[name]),
        None => one == other,
    }
}
