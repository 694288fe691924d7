mod flapping;
mod rules;
mod services;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    message::{Message, signature},
    settings::AlertsFile,
    *,
};
use crate::record::{Change, Key, Record};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn settings() -> AlertSettings {
    let receiver = Receiver {
        name: "ops".into(),
        kind: ReceiverKind::Webhook,
        url: "https://ops.test".into(),
        secret: None,
        token_file: None,
        severity: Severity::Info,
        template: None,
    };
    let timing = Timing::new(Duration::from_secs(300), Duration::from_secs(3_600));
    AlertSettings { timing, link: Some("https://hub.test".into()), receivers: vec![receiver] }
}

fn wrong(keys: &[&str]) -> Conditions {
    let seen = keys.iter().map(|key| (key.parse().unwrap(), ("it crashes".to_owned(), "abc".to_owned())));
    Conditions { seen: seen.collect(), ..Conditions::default() }
}

/// Lets each second pass with the same conditions, and gives the messages that were taken in that time.
fn pass(table: &mut Table, conditions: &Conditions, seconds: std::ops::Range<i64>) -> Vec<(i64, Message)> {
    let settings = settings();
    let mut messages = Vec::new();
    for second in seconds {
        table.step(conditions, &settings, at(second));
        for message in table.outstanding(&settings.receivers[0], settings.timing, at(second)) {
            table.told("ops", &message, "", at(second));
            messages.push((second, message));
        }
    }
    messages
}

#[test]
fn what_lasts_is_told_once_then_again_after_a_while_and_when_it_is_over() {
    let mut table = Table::default();
    let broken = wrong(&["Degraded/prod/web"]);
    assert_eq!(pass(&mut table, &broken, 0..300), []);
    let told = pass(&mut table, &broken, 300..3_900);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].1.title().as_str()), (310, "web is Degraded in prod"));
    let again = pass(&mut table, &broken, 3_900..4_000);
    assert_eq!(again.len(), 1, "{again:?}");
    assert_ne!(again[0].1.id, told[0].1.id, "the reminder is another message");
    let over = pass(&mut table, &Conditions::default(), 4_000..4_200);
    assert_eq!(over.len(), 1, "{over:?}");
    assert_eq!(
        (over[0].0, over[0].1.title().as_str()),
        (4_070, "Resolved: web is no longer Degraded in prod")
    );
    assert_eq!(pass(&mut table, &Conditions::default(), 4_200..9_000), []);
    let changes = table.step(&Conditions::default(), &settings(), at(9_000));
    assert_eq!(changes, [], "nothing is left");
}

#[test]
fn what_does_not_last_is_not_told_and_what_comes_and_goes_is_told_once() {
    let mut table = Table::default();
    let broken = wrong(&["OutOfSync/prod/web"]);
    for start in [0, 400, 800] {
        assert_eq!(pass(&mut table, &broken, start..start + 200), []);
        assert_eq!(pass(&mut table, &Conditions::default(), start + 200..start + 400), []);
    }
    let mut told = pass(&mut table, &broken, 2_000..2_400);
    for start in (2_400..5_000).step_by(60) {
        told.extend(pass(&mut table, &Conditions::default(), start..start + 30));
        told.extend(pass(&mut table, &broken, start + 30..start + 60));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn many_clusters_that_fail_alike_are_one_message() {
    let mut table = Table::default();
    let keys: Vec<String> = (0..500).map(|number| format!("Degraded/c{number:03}/web")).collect();
    // They do not fail in the same second.
    let mut told = Vec::new();
    for second in 0..320 {
        let until = usize::try_from(second + 1).unwrap() * 100;
        let failing: Vec<&str> = keys.iter().take(until).map(String::as_str).collect();
        told.extend(pass(&mut table, &wrong(&failing), second..second + 1));
    }
    assert_eq!(
        told.len(),
        1,
        "{:?}",
        told.iter().map(|(second, one)| (second, one.title())).collect::<Vec<_>>()
    );
    let message = &told[0].1;
    assert_eq!(message.title(), "web is Degraded in 500 clusters");
    let json = message.webhook(Some("https://hub.test"));
    assert_eq!((json["count"].as_u64(), json["clusters"].as_array().unwrap().len()), (Some(500), 50));
    assert_eq!((&json["cause"], &json["status"]), (&"it crashes".into(), &"firing".into()));
    assert_eq!(json["link"], "https://hub.test/#/apps/web");
    let slack = message.slack(None)["text"].as_str().unwrap().to_owned();
    assert!(slack.contains("and 490 more") && slack.contains("`muster app web`"), "{slack}");
}

#[test]
fn of_a_cluster_that_is_away_nothing_is_told_but_that() {
    let mut table = Table::default();
    pass(&mut table, &wrong(&["Degraded/prod/web"]), 0..400);
    let mut away = wrong(&["Unreachable/prod/"]);
    away.unknown.insert("prod".parse().unwrap());
    let told = pass(&mut table, &away, 400..3_000);
    let titles: Vec<String> = told.iter().map(|(_, message)| message.title()).collect();
    assert_eq!(titles, ["prod is Unreachable"], "the app is neither over nor told again");
    let told = pass(&mut table, &Conditions::default(), 3_000..3_200);
    let titles: Vec<String> = told.iter().map(|(_, message)| message.title()).collect();
    assert_eq!(
        titles,
        ["Resolved: web is no longer Degraded in prod", "Resolved: prod is no longer Unreachable"]
    );
}

#[test]
fn what_is_not_taken_is_the_same_message_the_next_time() {
    let (mut table, settings) = (Table::default(), settings());
    let broken = wrong(&["Degraded/prod/web"]);
    for second in 0..320 {
        table.step(&broken, &settings, at(second));
    }
    let first = table.outstanding(&settings.receivers[0], settings.timing, at(320));
    let second = table.outstanding(&settings.receivers[0], settings.timing, at(330));
    assert_eq!((first.len(), &first[0].id), (1, &second[0].id));
}

#[test]
fn a_signature_is_that_of_rfc_4231() {
    let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), expected);
}

#[test]
fn text_for_slack_cannot_mention_or_link() {
    let mut table = Table::default();
    let key: AlertKey = "Degraded/prod/web".parse().unwrap();
    let mut broken = Conditions::default();
    broken.seen.insert(key, ("<!channel> & <https://evil.test|here>".to_owned(), String::new()));
    let told = pass(&mut table, &broken, 0..400);
    let text = told[0].1.slack(None)["text"].as_str().unwrap().to_owned();
    assert!(text.contains("&lt;!channel&gt; &amp; &lt;https://evil.test|here&gt;"), "{text}");
}

#[test]
fn settings_are_checked_and_tell_no_address() {
    let check = |text: &str| {
        let mut problems = Vec::new();
        let settings = serde_yaml::from_str::<AlertsFile>(text).unwrap().check("config.yaml", &mut problems);
        (settings, problems.join("; "))
    };
    let (settings, problems) = check("receivers: [{name: ops, webhook: 'https://ops.test/x'}]");
    assert_eq!((settings.receivers.len(), problems.as_str()), (1, ""));
    assert_eq!(settings.timing.after, Duration::from_secs(300));
    for (text, problem) in [
        ("after: 2d", "alerts.after: 2d is not from 0s to 1day"),
        ("repeat: soon", "alerts.repeat: \"soon\" is not a duration"),
        ("receivers: [{name: a, slack: 'http://hooks.test/secret'}]", "does not begin with https://"),
        ("receivers: [{name: a}]", "give one of"),
        ("receivers: [{name: a, mail: {server: mx, from: a@b.test, to: []}}]", "name at least one address"),
        ("receivers: [{name: a, mail: {server: mx, from: nobody, to: [a@b.test]}}]", "is no address of mail"),
        (
            "receivers: [{name: a, mail: {server: mx, tls: none, from: a@b.test, to: [a@b.test]}}]",
            "on loopback",
        ),
        ("receivers: [{name: a, alertmanager: 'http://am:9093'}]", "does not begin with https://"),
        ("receivers: [{name: a, pagerduty-key-file: /nowhere}]", "/nowhere cannot be read"),
        ("receivers: [{name: a, slack: 'https://x', webhook: 'https://x'}]", "give one of"),
        ("receivers: [{slack: 'https://x'}]", "a name of its own"),
        ("receivers: [{name: a, slack-channel: C1}]", "need a token-file"),
        ("receivers: [{name: a, slack: 'https://x', token-file: /nowhere}]", "token-file is for"),
        ("receivers: [{name: a, slack-channel: C1, token-file: /nowhere}]", "/nowhere cannot be read"),
        (
            "receivers: [{name: a, token-file: /nowhere, commit-status: {provider: github, url: 'https://x', repository: x}}]",
            "expected OWNER/NAME",
        ),
        (
            "receivers: [{name: a, token-file: /x, commit-status: {provider: gitea, url: 'http://x', repository: a/b}}]",
            "does not begin with https://",
        ),
        (
            "receivers: [{name: a, webhook: 'https://x', template: {title: '{{ odd }}'}}]",
            "alerts.receivers[0]: template: title: undefined value",
        ),
        ("receivers: [{name: a, slack-file: /nowhere}]", "/nowhere cannot be read"),
    ] {
        let problems = check(text).1;
        assert!(problems.contains(problem) && !problems.contains("secret"), "{text}: {problems}");
    }
    assert!(!format!("{settings:?}").contains("ops.test"));
}

proptest! {
    /// Whatever happens, a restart at any point from what was kept tells the same, and nobody hears of the end of
    /// what he never heard of, or twice of the same without a pause between.
    #[test]
    fn a_restart_changes_nothing(broken in prop::collection::vec(prop::bool::weighted(0.7), 1..60), restarts in prop::collection::vec(any::<bool>(), 60)) {
        let settings = settings();
        let (mut table, mut restarted) = (Table::default(), Table::default());
        let mut kept = std::collections::BTreeMap::new();
        let mut last = None;
        for (index, is_broken) in broken.iter().enumerate() {
            let conditions = if *is_broken { wrong(&["Degraded/prod/web"]) } else { Conditions::default() };
            for second in (0..60).map(|second| i64::try_from(index).unwrap() * 60 + second) {
                let now = at(second);
                table.step(&conditions, &settings, now);
                let mut changes = restarted.step(&conditions, &settings, now);
                let messages = table.outstanding(&settings.receivers[0], settings.timing, now);
                prop_assert_eq!(&messages, &restarted.outstanding(&settings.receivers[0], settings.timing, now));
                for message in messages {
                    prop_assert!(last.is_some() || !message.is_resolved, "the end of nothing");
                    if let Some((resolved, when)) = last {
                        let pause = second - when;
                        prop_assert!(resolved != message.is_resolved || pause >= 3_600, "again after {pause} s");
                    }
                    last = Some((message.is_resolved, second));
                    table.told("ops", &message, "", now);
                    changes.extend(restarted.told("ops", &message, "", now));
                }
                for change in changes {
                    match change {
                        Change::Put(Record::Alert(alert)) => drop(kept.insert(alert.key.clone(), *alert)),
                        Change::Delete(Key::Alert(key)) => drop(kept.remove(&key)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
            if restarts[index] {
                restarted = Table::restore(kept.values().cloned().collect(), Vec::new(), AlertRules::default());
            }
        }
    }
}

fn silence(id: &str, cluster: &str, ends_at: i64) -> Silence {
    Silence {
        id: id.parse().unwrap(),
        matcher: Matcher { cluster: Some(cluster.parse().unwrap()), ..Matcher::default() },
        author: "operator/ada".to_owned(),
        reason: "maintenance".to_owned(),
        created_at: at(0),
        ends_at: at(ends_at),
    }
}

#[test]
fn of_what_is_silenced_nobody_is_told_until_the_silence_ends() {
    let mut table = Table::default();
    table.hush(silence("0123456789abcdef", "prod-*", 1_000));
    let broken = wrong(&["Degraded/prod-1/web", "Degraded/dev/web"]);
    let told = pass(&mut table, &broken, 0..900);
    assert_eq!(told.iter().map(|(_, one)| one.title()).collect::<Vec<_>>(), ["web is Degraded in dev"]);
    let told = pass(&mut table, &broken, 900..1_200);
    assert_eq!(
        told.iter().map(|(second, one)| (*second, one.title())).collect::<Vec<_>>(),
        [(1_000, "web is Degraded in prod-1".to_owned())]
    );
    assert_eq!(table.silences().len(), 0, "what has ended is forgotten");
}

#[test]
fn who_knows_of_something_hears_of_its_end_though_it_is_silenced() {
    let mut table = Table::default();
    let told = pass(&mut table, &wrong(&["Degraded/prod/web"]), 0..400);
    assert_eq!(told.len(), 1);
    table.hush(silence("0123456789abcdef", "prod", 100_000));
    let told = pass(&mut table, &wrong(&["Degraded/prod/web"]), 400..8_000);
    assert_eq!(told, [], "not again while it is silenced");
    let told = pass(&mut table, &Conditions::default(), 8_000..8_200);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.is_resolved);
    let id = "0123456789abcdef".parse().unwrap();
    assert!(table.end_silence(&id).is_some() && table.end_silence(&id).is_none());
}

#[test]
fn a_halted_wave_is_told_at_once_and_kept_while_waves_are_unknown() {
    let mut table = Table::default();
    let halted = wrong(&["PromotionHalted/canary/web"]);
    let told = pass(&mut table, &halted, 0..60);
    assert_eq!(told.iter().map(|(_, one)| one.title()).collect::<Vec<_>>(), ["web is halted in canary"]);
    let unknown = Conditions { waves_unknown: true, ..Conditions::default() };
    assert_eq!(pass(&mut table, &unknown, 60..1_000), [], "a hub that has not looked yet takes nothing back");
    let told = pass(&mut table, &Conditions::default(), 1_000..1_100);
    assert_eq!(
        told.iter().map(|(_, one)| one.title()).collect::<Vec<_>>(),
        ["Resolved: web is no longer halted in canary"]
    );
}

#[test]
fn every_kind_has_a_title_a_next_step_and_an_end() {
    for kind in AlertKind::ALL {
        let key: AlertKey = ["prod/web", "prod/", "/"]
            .iter()
            .find_map(|rest| format!("{}/{rest}", kind.word()).parse().ok())
            .unwrap();
        let mut alert = Alert::new(key, at(0));
        alert.cause = "the cause".to_owned();
        let firing = Message::new("ops", false, &[&alert]);
        let over = Message::new("ops", true, &[&alert]);
        assert!(over.title().starts_with("Resolved: ") && over.title() != firing.title());
        let json = firing.webhook(Some("https://hub.test"));
        assert!(json["next"].as_str().unwrap().starts_with("muster "), "{json}");
        assert!(json["link"].as_str().unwrap().starts_with("https://hub.test/#/"), "{json}");
        assert_eq!(json["severity"], kind.severity().word());
        let slack = firing.slack(None)["text"].as_str().unwrap().to_owned();
        assert!(slack.contains(&firing.title()) && slack.contains("the cause"), "{slack}");
    }
}

#[test]
fn what_waves_and_repository_say_becomes_alerts() {
    use crate::{
        repository::Picture,
        waves::{Outlook, Stage, State, Tally},
    };
    let stage = |wave: &str, state| Stage {
        wave: wave.parse().unwrap(),
        revision: None,
        previous: None,
        candidate: None,
        state,
        detail: "why".to_owned(),
        tally: Tally::default(),
        reached: 0,
        clusters: 1,
    };
    let states = [
        ("a", State::Halted),
        ("b", State::Gated),
        ("c", State::Refused),
        ("d", State::AwaitingApproval),
        ("e", State::Current),
        ("f", State::Soaking),
    ];
    let stages = states.map(|(wave, state)| stage(wave, state)).to_vec();
    let picture = Picture {
        outlooks: vec![Outlook { track: "web".parse().unwrap(), stages }],
        problems: vec!["It does not answer.".to_owned()],
        ..Picture::default()
    };
    let mut conditions = Conditions::default();
    promotion::add(&mut conditions, Some(&picture));
    let keys: Vec<String> = conditions.seen.keys().map(ToString::to_string).collect();
    let expected = [
        "PromotionHalted/a/web",
        "PromotionStalled/b/web",
        "PromotionStalled/c/web",
        "ApprovalWaiting/d/web",
        "GitFailing//",
    ];
    assert_eq!(keys, expected);
    assert!(conditions.waves_unknown, "nothing was read yet");
}

/// An alert about this, that fired a while ago.
fn fired(key: &str, resolved: bool) -> Alert {
    Alert {
        cause: "it <crashes>".to_owned(),
        revision: "1a2b3c4d".to_owned(),
        fired_at: Some(at(300)),
        resolved_at: resolved.then(|| at(900)),
        ..Alert::new(key.parse().unwrap(), at(0))
    }
}

#[test]
fn pagerduty_has_one_incident_until_all_is_well() {
    let (prod, dev) = (fired("Degraded/prod/web", false), fired("Degraded/dev/web", false));
    let trigger =
        Message::new("pager", false, &[&prod, &dev]).pager_duty("key", Some("https://hub.test")).unwrap();
    assert_eq!((&trigger["routing_key"], &trigger["event_action"]), (&"key".into(), &"trigger".into()));
    assert_eq!(
        (&trigger["payload"]["severity"], &trigger["payload"]["component"]),
        (&"critical".into(), &"web".into())
    );
    assert_eq!(trigger["payload"]["summary"], "web is Degraded in 2 clusters: it <crashes>");
    assert_eq!(trigger["links"][0]["href"], "https://hub.test/#/apps/web");
    let over = fired("Degraded/prod/web", true);
    let mut partly = Message::new("pager", true, &[&over]);
    partly.others = 1;
    assert_eq!(partly.pager_duty("key", None), None);
    partly.others = 0;
    let resolve = partly.pager_duty("key", None).unwrap();
    assert_eq!((&resolve["event_action"], &resolve["dedup_key"]), (&"resolve".into(), &trigger["dedup_key"]));
}

#[test]
fn a_message_knows_how_many_others_are_wrong_still() {
    let mut table = Table::default();
    pass(&mut table, &wrong(&["Degraded/prod/web", "Degraded/dev/web", "Degraded/dev/api"]), 0..400);
    let told = pass(&mut table, &wrong(&["Degraded/dev/web", "Degraded/dev/api"]), 400..600);
    assert_eq!(told.iter().map(|(_, one)| (one.is_resolved, one.others)).collect::<Vec<_>>(), [(true, 1)]);
    let told = pass(&mut table, &wrong(&["Degraded/dev/api"]), 600..800);
    assert_eq!(told.iter().map(|(_, one)| (one.is_resolved, one.others)).collect::<Vec<_>>(), [(true, 0)]);
}

#[test]
fn alertmanager_gets_each_alert_with_labels_and_an_end() {
    let repeat = jiff::SignedDuration::from_hours(4);
    let web = fired("Degraded/prod/web", false);
    let alerts = Message::new("am", false, &[&web]).alertmanager(Some("https://hub.test"), at(400), repeat);
    assert_eq!(
        alerts[0]["labels"],
        serde_json::json!({"alertname": "MusterDegraded", "severity": "critical", "cluster": "prod", "app": "web"})
    );
    assert_eq!(alerts[0]["endsAt"], (at(400) + repeat + jiff::SignedDuration::from_mins(10)).to_string());
    assert_eq!(alerts[0]["generatorURL"], "https://hub.test/#/apps/web");
    let over = fired("PromotionHalted/canary/web", true);
    let alerts = Message::new("am", true, &[&over]).alertmanager(None, at(1_000), repeat);
    assert_eq!(
        (&alerts[0]["endsAt"], &alerts[0]["labels"]["wave"]),
        (&at(900).to_string().into(), &"canary".into())
    );
}

#[test]
fn teams_gets_a_card() {
    let web = fired("Degraded/prod/web", false);
    let card = Message::new("teams", false, &[&web]).teams(Some("https://hub.test"));
    let content = &card["attachments"][0]["content"];
    assert_eq!(content["body"][0]["text"], "web is Degraded in prod");
    assert_eq!(content["actions"][0]["url"], "https://hub.test/#/apps/web");
    assert!(content["body"].to_string().contains("commit 1a2b3c4d"), "{content}");
}
