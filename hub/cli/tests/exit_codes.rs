//! What scripts rely on, as far as it needs no hub: exit codes, and which stream says what.
#![forbid(unsafe_code)]

use std::process::{Command, Output};

fn muster(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .env_remove("MUSTER_CONFIG")
        .env_remove("MUSTER_HUB")
        .env_remove("XDG_CONFIG_HOME")
        .env("HOME", "/nonexistent")
        .output()
        .expect("cargo has built it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_needs_no_hub_needs_no_config() {
    let version = muster(&["version"]);
    assert_eq!(
        (version.status.code(), text(&version.stdout)),
        (Some(0), format!("muster {}\n", env!("CARGO_PKG_VERSION")))
    );
    let version = muster(&["version", "-o", "json"]);
    assert_eq!(text(&version.stdout), format!("{{\n  \"version\": \"{}\"\n}}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = muster(&["completions", shell]);
        assert_eq!(completions.status.code(), Some(0));
        assert!(text(&completions.stdout).contains("clusters"), "{shell}");
    }
    assert_eq!(muster(&["--help"]).status.code(), Some(0));
}

#[test]
fn without_a_config_every_question_ends_with_2_and_says_how_to_get_one() {
    for question in [
        &["status"][..],
        &["clusters"],
        &["apps", "-o", "json"],
        &["app", "web"],
        &["watch"],
        &["token", "list"],
    ] {
        let output = muster(question);
        assert_eq!(output.status.code(), Some(2), "{question:?}");
        assert_eq!(text(&output.stdout), "");
        let error = text(&output.stderr);
        assert!(
            error.starts_with("error: there is no config file at /nonexistent/.config/muster/config.yaml"),
            "{error}"
        );
        assert!(error.contains("muster-hub init"), "{error}");
    }
}

#[test]
fn usage_errors_end_with_2() {
    for wrong in
        [&["stats"][..], &["status", "--timeout", "never"], &["clusters", "-l", "env"], &["app"], &[]]
    {
        assert_eq!(muster(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn as_a_plugin_of_kubectl_it_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let plugin = scratch.path().join("kubectl-muster");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_muster"), &plugin).unwrap();
    let output = Command::new(plugin).arg("app").output().unwrap();
    assert!(text(&output.stderr).contains("Usage: kubectl muster app"), "{}", text(&output.stderr));
    assert!(text(&muster(&["app"]).stderr).contains("Usage: muster app"));
}

#[test]
fn every_command_has_a_manual_page() {
    let scratch = tempfile::tempdir().unwrap();
    let output = muster(&["man", "--dir", scratch.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&muster(&["help"]).stdout);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 20 && names.contains(&"top"), "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let page = std::fs::read_to_string(scratch.path().join(format!("muster-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(text(&muster(&["man"]).stdout).contains(".TH muster 1"));
}

#[test]
fn the_whole_screen_needs_a_terminal() {
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("config.yaml");
    std::fs::write(&config, "hub: https://127.0.0.1:1\n").unwrap();
    let output = muster(&["top", "--config", config.to_str().unwrap()]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
}
