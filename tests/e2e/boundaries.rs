//! Do the crates keep to the dependencies the design allows?
//!
//! ```text
//! hub, agent, cli -> proto/*, agent/render        tests -> everything
//! never: hub -> agent, hub -> Kubernetes client, proto -> hub or agent, render -> I/O
//! ```

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Crates in the tree only through these would put a second TLS stack or crypto provider in a binary.
const SECOND_TLS: [&str; 5] = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];
const KUBERNETES: [&str; 5] = ["kube", "kube-client", "kube-core", "kube-runtime", "k8s-openapi"];
/// Crates that reach the network, the disk's contents or the clock for their caller.
const EFFECTS: [&str; 8] = ["tokio", "hyper", "reqwest", "gix", "kube", "tonic", "jiff", "tempfile"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the workspace").to_owned()
}

/// Names of all crates a package links, itself included.
fn linked(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert!(names.contains(package), "the tree of {package} does not name it: {names:?}");
    names
}

fn assert_links_none(package: &str, forbidden: &[&str]) {
    let linked = linked(package);
    let found: Vec<_> = forbidden.iter().filter(|name| linked.contains(**name)).collect();
    assert!(
        found.is_empty(),
        "{package} links {found:?}; `cargo tree -p {package} -i NAME` shows through what"
    );
}

#[test]
fn the_hub_and_the_cli_link_no_kubernetes_client_and_no_agent() {
    for package in ["muster-hub", "muster-cli"] {
        assert_links_none(package, &KUBERNETES);
        assert_links_none(package, &["muster-agent"]);
    }
}

#[test]
fn the_agent_links_no_hub() {
    assert_links_none("muster-agent", &["muster-hub", "muster-cli"]);
}

#[test]
fn what_hub_and_agent_agree_on_knows_neither() {
    for package in [
        "muster-wire",
        "muster-yaml",
        "muster-cel",
        "muster-spec",
        "muster-git",
        "muster-metrics",
        "muster-manifests",
        "muster-render",
    ] {
        assert_links_none(package, &["muster-hub", "muster-agent", "muster-cli"]);
        assert_links_none(package, &KUBERNETES);
    }
}

#[test]
fn rendering_and_documents_do_no_io() {
    assert_links_none("muster-render", &EFFECTS);
    // Sync windows have time zones: jiff does the arithmetic, on the database built into it and with the time
    // passed in.
    let effects: Vec<_> = EFFECTS.into_iter().filter(|name| *name != "jiff").collect();
    assert_links_none("muster-spec", &effects);
}

#[test]
fn binaries_have_one_tls_stack() {
    for package in ["muster-agent", "muster-hub", "muster-cli"] {
        assert_links_none(package, &SECOND_TLS);
    }
}

#[test]
fn the_dependency_tree_stays_small() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is kept");
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(packages < 550, "{packages} crates are locked; the limit is 550");
}

/// Rust sources git tracks, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let output = Command::new("git")
        .args(["ls-files", "--", "*.rs"])
        .current_dir(root())
        .output()
        .expect("git is there, since the tests need it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .filter_map(|path| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text)))
        .collect();
    assert!(files.len() > 20, "git lists only {} sources", files.len());
    files
}

#[test]
fn every_crate_forbids_unsafe_code() {
    for (path, text) in sources() {
        let name = path.file_name().and_then(|name| name.to_str());
        let in_src = path.parent().is_some_and(|parent| parent.ends_with("src"));
        if in_src && matches!(name, Some("lib.rs" | "main.rs")) {
            assert!(
                text.contains("#![forbid(unsafe_code)]"),
                "{} does not forbid unsafe code",
                path.display()
            );
        }
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(path, text)| format!("{} ({} lines)", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "longer than 500 lines: {long:?}");
}
