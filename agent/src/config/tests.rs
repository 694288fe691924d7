use clap::Parser;

use super::*;

fn settings(arguments: &[&str]) -> Settings {
    let all = ["muster-agent", "run"].iter().chain(arguments);
    let Command::Run(settings) = Cli::parse_from(all).command else { panic!("another command") };
    *settings
}

const LEAST: &[&str] = &["--cluster", "dev", "--repo", "https://git.example/fleet.git"];

#[test]
fn two_settings_are_enough() {
    let config = settings(LEAST).complete().unwrap();
    assert_eq!((config.branches.main.as_str(), config.namespace.as_str()), ("main", "muster-system"));
    assert_eq!((config.interval, config.log_format), (None, LogFormat::Text));
}

#[test]
fn flags_go_before_the_file() {
    let file = file::parse(b"cluster: other\nbranch: stable\nlog-format: json\n").unwrap();
    let config = settings(LEAST).or(file).check().unwrap();
    assert_eq!((config.cluster.as_str(), config.branches.main.as_str()), ("dev", "stable"));
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest() {
    let error = file::parse(b"cluster: dev\nintervall: 3m\n").unwrap_err();
    assert!(
        error.starts_with("line 2 column 1")
            && error.ends_with("unknown setting `intervall`, did you mean `interval`?"),
        "{error}"
    );
    let error = file::parse(b"xyzzy: 1\n").unwrap_err();
    assert!(error.contains("known are cluster, repo"), "{error}");
    assert!(file::parse(b"[1]").is_err());
    assert!(file::parse(b"").is_ok());
}

#[test]
fn what_cannot_be_used_names_the_setting() {
    let error = |arguments: &[&str]| settings(arguments).complete().unwrap_err().to_string();
    assert!(error(&[]).contains("--cluster, MUSTER_AGENT_CLUSTER"), "{}", error(&[]));
    assert!(error(&["--cluster", "dev"]).contains("--repo"));
    assert!(error(&["--cluster", "De V", "--repo", "https://a/b"]).contains("`cluster`"));
    let with = |more: &[&str]| error(&[LEAST, more].concat());
    assert!(with(&["--interval", "soon"]).contains("30s or 3m"));
    assert!(with(&["--interval", "10ms"]).contains("1s to 24h"));
    assert!(with(&["--namespace", "No"]).contains("`namespace`"));
    assert!(with(&["--token-file", "x"]).contains("give `hub` too"));
    assert!(with(&["--config", "/does/not/exist"]).contains("/does/not/exist"));
}

#[test]
fn every_flag_has_its_variable() {
    use clap::Args;
    let command = Settings::augment_args(clap::Command::new("run"));
    for argument in command.get_arguments() {
        let long = argument.get_long().unwrap();
        let variable = format!("MUSTER_AGENT_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(argument.get_env().unwrap().to_str(), Some(variable.as_str()));
    }
}
