//! Does the demo end well on a cluster that is there already?

use muster_tests::fleet::{DEADLINE, Target};
use muster_tests::process::Launch;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_on_a_real_cluster() {
    let Some(targets) = Target::real(&["existing"]).await else { return };
    let output = Launch::binary("muster-demo")
        .unwrap()
        .args(["--once", "--kubeconfig"])
        .arg(&targets[0].kubeconfig)
        // The demo starts its programs from where it is, and the kit hides this from it.
        .env("MUSTER_BIN_DIR", std::env::current_exe().unwrap().ancestors().nth(2).unwrap())
        .run(DEADLINE * 2)
        .await
        .unwrap();
    assert_eq!(output.code(), Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("2 -> 5 -> 2 again"), "{}", output.stdout);
}
