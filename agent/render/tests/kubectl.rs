//! Does a directory give the objects that `kubectl -R -f` finds in it?

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use muster_render::{Limits, render};
use serde_json::{Value, json};

fn tree() -> BTreeMap<String, Vec<u8>> {
    let files = [
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: x, n: \"0644\"}\n---\n# nothing\n---\n\
                    apiVersion: v1\nkind: Secret\nmetadata: {name: b, namespace: x}\ndata: {k: aGk=}\n",
        ),
        (
            "b/list.yml",
            "apiVersion: v1\nkind: List\nmetadata: {}\nitems:\n- &x\n  apiVersion: v1\n  kind: ConfigMap\n  \
                        metadata: &m {name: c}\n- <<: *x\n  metadata: {<<: *m, name: d}\n",
        ),
        (
            "b/typed.yaml",
            "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: e}\n  spec: {replicas: 1e0}\n- apiVersion: \
                          v1\n  kind: Service\n  metadata: {name: f}\n",
        ),
        (
            "c/d/j.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"g\"}}\n\
                        {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"h\"}}]}",
        ),
        ("c/empty.yaml", "# only a comment\n"),
        ("c/notes.md", "# not a manifest: {"),
        (
            "windows.yaml",
            "\u{FEFF}apiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: i\r\ndata:\r\n  t: |\r\n    x\r\n    y\r\n",
        ),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn a_directory_gives_what_kubectl_finds_in_it() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        println!("skipped a_directory_gives_what_kubectl_finds_in_it: there is no kubectl");
        return;
    }
    let directory =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("directory-{}", std::process::id()));
    for (name, bytes) in tree() {
        let file = directory.join(name);
        fs::create_dir_all(file.parent().expect("a file is in a directory"))
            .expect("the directory can be made");
        fs::write(file, bytes).expect("the file can be written");
    }
    let output = Command::new("kubectl")
        .args(["annotate", "--local", "-o", "json", "x=y", "-R", "-f"])
        .arg(&directory)
        .output()
        .expect("kubectl runs, as it did before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    let rendered = render(&tree(), "", &Limits::default()).expect("renders");
    let ours: Vec<Value> = rendered
        .into_iter()
        .map(|mut object| {
            object.value["metadata"]["annotations"] = json!({"x": "y"});
            object.value
        })
        .collect();
    assert_eq!(ours, theirs);
    fs::remove_dir_all(directory).expect("the directory can be removed");
}
