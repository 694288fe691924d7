//! What do durations, amounts, names, paths and waves mean?

use std::collections::BTreeMap;

use muster_spec::{Amount, App, Cluster, Document, Duration, Fleet, Percentage, RepositoryUrl, parse_file};

fn document(text: &str) -> Document {
    let mut parsed = parse_file("a.yaml", format!("apiVersion: muster.dev/v1alpha1\n{text}").as_bytes());
    assert_eq!(parsed.errors, [], "{text}");
    parsed.documents.remove(0).value
}

fn cluster(text: &str) -> Cluster {
    match document(&format!("kind: Cluster\n{text}")) {
        Document::Cluster(cluster) => cluster,
        other => unreachable!("{other:?}"),
    }
}

fn app(path: &str) -> App {
    match document(&format!(
        "kind: App\nmetadata: {{name: a}}\nspec: {{clusters: {{}}, source: {{path: \"{path}\"}}}}\n"
    )) {
        Document::App(app) => app,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn durations_are_read_and_written_in_one_form() {
    let right = [
        ("3m", "3m"),
        ("90s", "1m30s"),
        ("1h30m", "1h30m"),
        ("1d", "24h"),
        ("1w2d", "216h"),
        ("250ms", "250ms"),
        ("1500ms", "1s500ms"),
        ("0", "0s"),
        ("0s", "0s"),
        ("60m", "1h"),
        ("3660d", "87840h"),
    ];
    for (text, written) in right {
        let duration: Duration = text.parse().expect(text);
        assert_eq!(duration.to_string(), written);
        assert_eq!(written.parse::<Duration>(), Ok(duration), "{text}");
    }
    assert_eq!("1m30s".parse::<Duration>().expect("fits").get(), std::time::Duration::from_secs(90));
    for text in [
        "",
        "3",
        "m",
        "3 m",
        "1m1h",
        "1h1h",
        "1.5h",
        "-1m",
        "1y",
        "3min",
        "9999999999999999999999h",
        "3661d",
        "１m",
    ] {
        assert!(text.parse::<Duration>().is_err(), "{text}");
    }
}

#[test]
fn amounts_are_counts_or_rounded_up_shares() {
    let share = |percent| Amount::Share(Percentage::new(percent).expect("at most 100"));
    let cases = [
        (Amount::Count(2), 10, 2),
        (Amount::Count(20), 10, 10),
        (share(10), 10, 1),
        (share(10), 3, 1),
        (share(10), 0, 0),
        (share(50), 3, 2),
        (share(100), 7, 7),
        (share(0), 7, 0),
    ];
    for (amount, total, expected) in cases {
        assert_eq!(amount.of(total), expected, "{amount:?} of {total}");
    }
    for text in ["101%", "%", "-1%", "+1%", "1.5%", "10", "256%", ""] {
        assert!(text.parse::<Percentage>().is_err(), "{text}");
    }
}

#[test]
fn values_of_variables_are_filled_in() {
    let app = |more: &str| {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: a}}\n\
             spec: {{clusters: {{}}, source: {{path: a}}{more}}}\n"
        );
        let mut parsed = parse_file("a.yaml", text.as_bytes());
        match parsed.documents.pop().map(|document| document.value) {
            Some(Document::App(app)) => Ok(app),
            _ => Err(parsed.errors[0].to_string()),
        }
    };
    let cluster = cluster("metadata: {name: eu-1}\n");
    assert_eq!(app("").unwrap().substitutions(&cluster), Ok(None));
    assert_eq!(app(", substitute: {}").unwrap().substitutions(&cluster), Ok(Some(BTreeMap::new())));
    let filled = app(", substitute: {values: {NAME_1: 'x-{{ cluster.name }}', _b: ''}}").unwrap();
    let filled = filled.substitutions(&cluster).unwrap().unwrap();
    assert_eq!(filled["NAME_1"], "x-eu-1");
    assert_eq!(filled["_b"], "");
    let missing = app(", substitute: {values: {a: '{{ cluster.labels.nope }}'}}").unwrap();
    let said = missing.substitutions(&cluster).unwrap_err().to_string();
    assert!(said.starts_with("spec.substitute.values.a names cluster.labels.nope"), "{said}");
    for (wrong, expected) in [
        ("{1a: b}", "is not the name of a variable"),
        ("{a-b: c}", "is not the name of a variable"),
        ("{a: 3}", "spec.substitute.values.a"),
        ("{a: '{{ x }}'}", "is not known here"),
    ] {
        let said = app(&format!(", substitute: {{values: {wrong}}}")).expect_err(wrong);
        assert!(said.contains(expected), "{wrong}: {said}");
    }
}

#[test]
fn paths_are_filled_in_and_stay_inside() {
    let cluster = cluster(
        "metadata: {name: eu-1, labels: {env: prod, example.com/zone: z1}}\n\
         spec: {values: {region: eu, count: 3, nested: {x: true}, up: .., deep: a/b, list: [1], empty: '', root: /etc}}\n",
    );
    let right = [
        ("apps/web", "apps/web"),
        (".", ""),
        ("./apps/", "apps"),
        ("apps/{{cluster.name}}", "apps/eu-1"),
        ("{{ cluster.labels.env }}/{{ cluster.labels.example.com/zone }}", "prod/z1"),
        ("a-{{ cluster.values.region }}-{{ cluster.values.count }}", "a-eu-3"),
        ("{{ cluster.values.deep }}/c", "a/b/c"),
        ("{{ cluster.values.nested.x }}", "true"),
    ];
    for (path, expected) in right {
        assert_eq!(app(path).source_path(&cluster).as_deref(), Ok(expected), "{path}");
    }
    let wrong = [
        ("{{ cluster.labels.tier }}", "does not have"),
        ("{{ cluster.values.zone }}", "does not have"),
        ("{{ cluster.values.region.x }}", "does not have"),
        ("{{ cluster.values.list }}", "not a string, number or boolean"),
        ("a/{{ cluster.values.up }}/b", "does not leave its repository"),
        ("{{ cluster.values.up }}", "does not leave"),
        ("{{ cluster.values.empty }}", "is empty"),
        ("{{ cluster.values.root }}", "is absolute"),
        ("a/{{ cluster.values.empty }}/b", "empty part"),
    ];
    for (path, expected) in wrong {
        let error = app(path).source_path(&cluster).expect_err(path).to_string();
        assert!(error.contains(expected) && error.contains("`eu-1`"), "{path}: {error}");
    }
}

#[test]
fn a_cluster_is_in_the_first_wave_that_selects_it() {
    let fleet = match document(
        "kind: Fleet\nmetadata: {name: acme}\nspec:\n  waves:\n  - {name: dev, clusters: {matchLabels: {env: dev}}}\n  \
         - {name: canary, clusters: {matchLabels: {env: prod, tier: canary}}}\n  - {name: prod, clusters: {matchLabels: {env: prod}}}\n",
    ) {
        Document::Fleet(fleet) => fleet,
        other => unreachable!("{other:?}"),
    };
    let wave = |labels: &str| {
        let cluster = cluster(&format!("metadata: {{name: c, labels: {{{labels}}}}}\n"));
        Fleet::wave_of(&fleet, &cluster).map(|wave| wave.name.to_string())
    };
    assert_eq!(wave("env: dev").as_deref(), Some("dev"));
    assert_eq!(wave("env: prod, tier: canary").as_deref(), Some("canary"));
    assert_eq!(wave("env: prod").as_deref(), Some("prod"));
    assert_eq!(wave("env: lab"), None);
    assert_eq!(fleet.spec.interval.to_string(), "3m");
}

#[test]
fn repositories_are_addresses_without_credentials() {
    for url in [
        "https://git.example.com/a.git",
        "http://127.0.0.1:8080/a",
        "ssh://git@git.example.com/a",
        "git@git.example.com:a/b",
        "file:///srv/git/a",
        "/srv/git/a",
    ] {
        assert!(url.parse::<RepositoryUrl>().is_ok(), "{url}");
    }
    for url in [
        "",
        "a/b",
        "https://token@git.example.com/a",
        "ssh://u:p@h/a",
        "ext::sh -c x",
        "-x",
        "https://a b",
        "ftp://a/b",
    ] {
        assert!(url.parse::<RepositoryUrl>().is_err(), "{url}");
    }
}
