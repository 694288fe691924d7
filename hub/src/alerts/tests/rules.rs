//! Do the rules in Git, and what follows from what, decide who is told?

use muster_spec::Catalog;

use super::*;

const CLUSTERS: &str = "
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: prod-1, labels: {env: prod}}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: dev-1, labels: {env: dev}}
---
apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: web}
spec: {clusters: {}, source: {path: web}, track: shop}
";

/// What a repository says with these fields of the Fleet.
fn reading(spec: &str) -> Arc<Reading> {
    let fleet = format!(
        "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  waves:\n  \
         - {{name: dev, clusters: {{matchLabels: {{env: dev}}}}}}\n  - {{name: prod, clusters: {{matchLabels: {{env: prod}}}}}}\n{spec}{CLUSTERS}"
    );
    let catalog = Catalog::load([("muster.yaml", fleet.as_bytes())]);
    Arc::new(Reading::of(&catalog, [("abc".to_owned(), "Ada".to_owned())].into()))
}

fn with(keys: &[&str], reading: &Arc<Reading>) -> Conditions {
    Conditions { reading: Some(Arc::clone(reading)), ..wrong(keys) }
}

fn receiver(name: &str, severity: Severity) -> Receiver {
    Receiver { name: name.into(), severity, ..settings().receivers.remove(0) }
}

/// Titles of what each of two receivers was told, with the second it was told in: `ops` of all that is left to it, `pager`
/// only of what is critical.
fn pass(
    table: &mut Table,
    conditions: &Conditions,
    seconds: std::ops::Range<i64>,
) -> Vec<(i64, String, String)> {
    let mut settings = settings();
    settings.receivers = vec![receiver("ops", Severity::Info), receiver("pager", Severity::Critical)];
    let mut told = Vec::new();
    for second in seconds {
        table.step(conditions, &settings, at(second));
        for receiver in &settings.receivers {
            for message in table.outstanding(receiver, settings.timing, at(second)) {
                table.told(&receiver.name, &message, "", at(second));
                told.push((second, receiver.name.clone(), message.title()));
            }
        }
    }
    told
}

fn row(second: i64, receiver: &str, title: &str) -> (i64, String, String) {
    (second, receiver.to_owned(), title.to_owned())
}

#[test]
fn the_first_rule_that_means_an_alert_says_how_long_how_bad_and_whom() {
    let reading = reading(
        "  alerts:
  - {kinds: [OutOfSync], clusters: {matchLabels: {env: dev}}, mute: true}
  - {kinds: [OutOfSync], tracks: [shop], for: 20s, severity: critical}
  - {waves: [dev], severity: info, receivers: [pager]}
  - {clusters: {}, receivers: [ops]}
",
    );
    let mut table = Table::default();
    let all = with(
        &[
            "OutOfSync/dev-1/web",
            "OutOfSync/prod-1/web",
            "Degraded/dev-1/api",
            "Degraded/prod-1/api",
            "GitFailing//",
        ],
        &reading,
    );
    let told = pass(&mut table, &all, 0..400);
    let expected = [
        row(30, "ops", "web is OutOfSync in prod-1"),
        row(30, "pager", "web is OutOfSync in prod-1"),
        // That of dev is for the pager, which is told of nothing that is only for information.
        row(310, "ops", "api is Degraded in prod-1"),
        row(310, "ops", "the hub has trouble with the fleet repository"),
        row(310, "pager", "the hub has trouble with the fleet repository"),
    ];
    assert_eq!(told, expected);
    let muted: Vec<_> = table.alerts().iter().filter_map(|one| one.policy.muted.clone()).collect();
    assert_eq!(muted, [Mute::Rule(0)]);
    let severities: Vec<_> = table.alerts().iter().map(|one| one.policy.severity).collect();
    assert!(severities.is_sorted_by(|one, other| one >= other), "the worst first: {severities:?}");
    assert!(table.alerts().iter().all(|alert| alert.revision != "abc" || alert.author == "Ada"));
}

#[test]
fn rules_that_come_later_count_at_once_and_who_knows_hears_of_the_end() {
    let mut table = Table::default();
    let before = reading("");
    let told = pass(&mut table, &with(&["Degraded/prod-1/web"], &before), 0..400);
    assert_eq!(told.len(), 2);
    let mute = reading("  alerts: [{mute: true}]\n");
    let told = pass(&mut table, &with(&["Degraded/prod-1/web", "Degraded/prod-1/api"], &mute), 400..8_000);
    assert_eq!(told, []);
    let told = pass(&mut table, &with(&["Degraded/prod-1/api"], &mute), 8_000..8_100);
    let over = "Resolved: web is no longer Degraded in prod-1";
    assert_eq!(told, [row(8_070, "ops", over), row(8_070, "pager", over)]);
    let told = pass(&mut table, &with(&["Degraded/prod-1/api"], &before), 8_100..8_101);
    assert_eq!(told.len(), 2, "it lasted long enough: {told:?}");
}

#[test]
fn a_fleet_document_that_cannot_be_read_and_a_restart_leave_the_rules_as_they_were() {
    let mut table = Table::default();
    let mute = reading("  alerts: [{kinds: [Degraded], waves: [prod], mute: true}]\n");
    let changes = table.step(&with(&[], &mute), &settings(), at(0));
    let [Change::Put(Record::AlertRules(rules))] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(table.step(&with(&[], &mute), &settings(), at(1)), [], "they are kept once");
    let broken = reading("  alerts: [{kinds: [Odd]}]\n");
    assert_eq!(broken.rules, None);
    assert_eq!(pass(&mut table, &with(&["Degraded/prod-1/web"], &broken), 2..400), []);

    let mut restarted = Table::restore(Vec::new(), Vec::new(), AlertRules::clone(rules));
    let early = Conditions { is_early: true, ..wrong(&["Degraded/prod-1/web"]) };
    assert_eq!(pass(&mut restarted, &early, 0..400), [], "what it would mean is not known yet");
    assert_eq!(pass(&mut restarted, &with(&["Degraded/prod-1/web"], &broken), 400..800), []);
    assert_eq!(pass(&mut restarted, &with(&["Degraded/prod-1/web"], &reading("")), 800..900).len(), 2);
}

#[test]
fn receivers_that_are_none_are_a_problem_and_all_are_told_where_there_is_no_other() {
    let reading = reading("  alerts: [{kinds: [Degraded], receivers: [opps]}, {receivers: [opps, pager]}]\n");
    let mut table = Table::default();
    let told = pass(&mut table, &with(&["Degraded/prod-1/web", "Unreachable/dev-1/"], &reading), 0..400);
    let names: Vec<(&str, &str)> =
        told.iter().map(|(_, name, title)| (name.as_str(), title.as_str())).collect();
    let expected = [
        ("ops", "web is Degraded in prod-1"),
        ("pager", "web is Degraded in prod-1"),
        ("pager", "dev-1 is Unreachable"),
    ];
    assert_eq!(names, expected);
    let problems = table.problems(["ops", "pager"].into_iter());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("spec.alerts[0]") && problems[0].contains("opps; all receivers"),
        "{problems:?}"
    );
    assert_eq!(table.problems(["opps", "pager"].into_iter()), Vec::<String>::new());
}

#[test]
fn of_a_track_that_halted_in_a_wave_its_apps_there_are_not_told() {
    let reading = reading("");
    let mut table = Table::default();
    let apps = ["Degraded/prod-1/web", "Degraded/prod-1/api", "Degraded/dev-1/web", "DriftFight/prod-1/web"];
    let halted = [&["PromotionHalted/prod/shop"][..], &apps].concat();
    let told = pass(&mut table, &with(&halted, &reading), 0..400);
    let ops = |told: &[(i64, String, String)]| -> Vec<String> {
        told.iter().filter(|(_, name, _)| name == "ops").map(|(_, _, title)| title.clone()).collect()
    };
    let expected = [
        "shop is halted in prod",
        "api is Degraded in prod-1",
        "web is Degraded in dev-1",
        "web is fought over in prod-1",
    ];
    assert_eq!(ops(&told), expected);
    let web = table.alerts().into_iter().find(|one| one.key.to_string() == "Degraded/prod-1/web").unwrap();
    assert_eq!(web.policy.muted.as_ref().unwrap().to_string(), "PromotionHalted/prod/shop");
    // The halt ends, and the app fails still.
    let told = pass(&mut table, &with(&apps, &reading), 400..500);
    assert_eq!(ops(&told), ["web is Degraded in prod-1", "Resolved: shop is no longer halted in prod"]);
}

#[test]
fn what_is_muted_stays_so_until_a_restarted_hub_has_looked() {
    let mut table = Table::default();
    let halted = ["PromotionHalted/prod/shop", "Degraded/prod-1/web"];
    pass(&mut table, &with(&halted, &reading("")), 0..400);
    let kept = table.alerts().into_iter().cloned().collect();
    let mut restarted = Table::restore(kept, Vec::new(), AlertRules::default());
    let unread = Conditions { waves_unknown: true, ..wrong(&["Degraded/prod-1/web"]) };
    assert_eq!(pass(&mut restarted, &unread, 400..500), []);
    let told = pass(&mut restarted, &with(&["Degraded/prod-1/web"], &reading("")), 500..600);
    assert_eq!(told.len(), 4, "the end of the halt, and what goes on: {told:?}");
}

#[test]
fn who_is_not_told_of_a_halt_is_told_of_the_apps() {
    let reading = reading("  alerts: [{kinds: [PromotionHalted], receivers: [ops]}]\n");
    let mut table = Table::default();
    let halted = with(&["PromotionHalted/prod/shop", "Degraded/prod-1/web"], &reading);
    let told = pass(&mut table, &halted, 0..400);
    let expected = [row(10, "ops", "shop is halted in prod"), row(310, "pager", "web is Degraded in prod-1")];
    assert_eq!(told, expected);
}

#[test]
fn what_nobody_is_told_of_mutes_nothing() {
    let reading = reading("  alerts: [{kinds: [PromotionHalted], mute: true}]\n");
    let mut table = Table::default();
    let halted = with(&["PromotionHalted/prod/shop", "Degraded/prod-1/web"], &reading);
    let told = pass(&mut table, &halted, 0..400);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn of_a_cluster_that_is_away_nobody_is_reminded_of_more() {
    let mut table = Table::default();
    let reading = reading("");
    assert_eq!(pass(&mut table, &with(&["Degraded/prod-1/web"], &reading), 0..400).len(), 2);
    let mut away = with(&["Unreachable/prod-1/"], &reading);
    away.unknown.insert("prod-1".parse().unwrap());
    let told = pass(&mut table, &away, 400..4_200);
    let titles: Vec<&str> = told.iter().map(|(_, _, title)| title.as_str()).collect();
    assert_eq!(titles, ["prod-1 is Unreachable"; 2], "though it is time to tell of the app again");
}
