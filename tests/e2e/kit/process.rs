//! Programs: they are awaited, signalled and killed, and never outlive the test, however it ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use muster_tests::kubernetes::{Cluster, Options};
use muster_tests::process::{Error, Launch, Program, Signal, processes_with};
use muster_tests::scratch::{self, Scratch};
use muster_tests::{ports, wait};

const SOON: Duration = Duration::from_secs(30);
/// Set for the process that [`hold_everything`] runs in: where it writes its scratch directory.
const HOLDER: &str = "KIT_HOLDER_FILE";

fn shell(script: &str) -> Launch {
    Launch::command("sh").args(["-c", script])
}

/// A shell with a child of its own, marked in their command lines.
fn family(mark: &str) -> Program {
    let script = format!("sh -c 'echo child; while :; do sleep 1; done' {mark} & echo ready {mark}; wait");
    shell(&script).name("family").quiet().start().unwrap()
}

/// Waits until nothing with the mark runs. A process sent SIGKILL ends when the kernel next runs it, which on
/// a busy machine is a moment after its parent has been waited for.
async fn all_gone(mark: &str) {
    wait::until("nothing to be left", SOON, async || {
        let left = processes_with(mark);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

fn mark() -> String {
    format!("{}/mark-{}", scratch::root().unwrap().display(), ports::free())
}

#[tokio::test]
async fn a_command_yields_its_status_and_both_outputs() {
    let output = shell("echo out; echo err >&2; echo ${MUSTER_CONFIG-unset} ${X}; exit 3");
    let output = output.env("X", "x").run(SOON).await.unwrap();
    assert_eq!(
        (output.code(), output.stdout.as_str(), output.stderr.as_str()),
        (Some(3), "out\nunset x\n", "err\n")
    );
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_at_the_deadline() {
    let mark = mark();
    let error = shell(&format!("echo so far >&2; while :; do sleep 1; done # {mark}"));
    let error = error.run(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("so far"), "{error}");
    all_gone(&mark).await;
}

#[tokio::test]
async fn logs_and_ports_are_awaited() {
    let mut program = shell("echo serving; echo gone wrong >&2; exit 7").start().unwrap();
    program.wait_for_log("serving", SOON).await.unwrap();
    let error = program.wait_for_log("never", SOON).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 7") && error.contains("gone wrong"), "{error}");

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut program = shell("while :; do sleep 1; done").start().unwrap();
    program.wait_for_port(listener.local_addr().unwrap(), SOON).await.unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    program.wait_for_port(free, Duration::from_millis(50)).await.unwrap_err();
}

#[tokio::test]
async fn signals_reach_the_program() {
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut program = shell(script).start().unwrap();
    program.wait_for_log("ready", SOON).await.unwrap();
    assert!(program.resident_bytes().unwrap() > 0);
    program.pause();
    program.signal(Signal::SIGTERM);
    program.wait_for_end(Duration::from_millis(200)).await.unwrap_err();
    program.resume();
    assert_eq!(program.wait_for_end(SOON).await.unwrap().code(), Some(5));
    program.restart().unwrap();
    wait::until("a second start in the same log", SOON, async || program.log().matches("ready").count() == 2)
        .await;
    assert_eq!(program.terminate(SOON).await.unwrap().code(), Some(5));
}

#[tokio::test]
async fn a_kill_takes_the_children_too() {
    let mark = mark();
    let mut program = family(&mark);
    program.wait_for_log("child", SOON).await.unwrap();
    program.kill();
    assert_eq!(program.ended().unwrap().signal(), Some(9));
    all_gone(&mark).await;
}

#[tokio::test]
async fn a_panic_leaves_nothing_running() {
    let mark = mark();
    let panicked = std::panic::catch_unwind(|| {
        let _program = family(&mark);
        assert_ne!(processes_with(&mark), Vec::<u32>::new());
        panic!("as a failed assertion would");
    });
    panicked.unwrap_err();
    all_gone(&mark).await;
}

/// A part of the next test, in a process of its own: starts things and keeps them until it is killed.
#[tokio::test]
#[ignore = "runs inside `the_end_of_the_test_process_leaves_nothing_behind`"]
async fn hold_everything() {
    let Some(file) = std::env::var_os(HOLDER).map(PathBuf::from) else { return };
    let root = scratch::root().unwrap().display().to_string();
    let mut stopped = family(&root);
    stopped.wait_for_log("child", SOON).await.unwrap();
    stopped.pause();
    let cluster = Cluster::start("held", Options::default()).await.unwrap();
    std::fs::write(file, format!("{root}\n")).unwrap();
    std::future::pending::<()>().await;
    drop((stopped, cluster));
}

#[tokio::test]
async fn the_end_of_the_test_process_leaves_nothing_behind() {
    // A skip where there is no Kubernetes, and one start at a time where there is.
    if Cluster::shared().await.is_none() {
        return;
    }
    let directory = Scratch::new("holder").unwrap();
    let file = directory.path().join("root");
    let holder = Launch::command(std::env::current_exe().unwrap()).name("holder");
    let holder = holder.args(["--exact", "kit::process::hold_everything", "--ignored"]).env(HOLDER, &file);
    let holder = holder.envs(
        ["KUBEBUILDER_ASSETS", "MUSTER_KUBERNETES_CACHE"]
            .iter()
            .filter_map(|&key| Some((key, std::env::var_os(key)?))),
    );
    let mut holder = holder.env("HOME", std::env::var_os("HOME").unwrap_or_default()).start().unwrap();
    let root = wait::until("the holder's cluster", Duration::from_secs(120), async || {
        if let Some(status) = holder.ended() {
            panic!("the holder ended ({status})");
        }
        let root = std::fs::read_to_string(&file).unwrap_or_default();
        root.strip_suffix('\n').map(str::to_owned)
    })
    .await;
    assert!(processes_with(&root).len() > 8, "a cluster, a family, a janitor: {:?}", processes_with(&root));

    // The process alone, as the out-of-memory killer would: no destructor runs.
    holder.signal(Signal::SIGKILL);
    wait::until("nothing to be left", SOON, async || -> Result<(), String> {
        let left = processes_with(&root);
        if left.is_empty() && !std::path::Path::new(&root).exists() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}
