use super::*;
use muster_wire::v1::AppAck;

mod any_order;

fn connected(apps: &[&str]) -> Input {
    Input::Connected { apps: apps.iter().map(|&name| name.to_owned()).collect(), cluster: false }
}

fn welcome(send_apps: &[&str]) -> Input {
    Input::Welcome(Welcome {
        hub_version: String::new(),
        send_apps: send_apps.iter().map(|&name| name.to_owned()).collect(),
        heartbeat_seconds: 10,
        ..Welcome::default()
    })
}

fn changed(name: &str) -> Input {
    Input::App { name: name.to_owned(), exists: true }
}

fn removed(name: &str) -> Input {
    Input::App { name: name.to_owned(), exists: false }
}

fn ack(app: &str, sequence: u64) -> Input {
    Input::Ack(Ack { apps: vec![AppAck { app: app.to_owned(), sequence }], ..Ack::default() })
}

fn send(name: &str, sequence: u64) -> Action {
    Action::SendApp { name: name.to_owned(), sequence }
}

fn offer(after: u64) -> Action {
    Action::OfferEvents { after, count_max: EVENTS_IN_FLIGHT_MAX }
}

/// Plays inputs, all at one time, and compares what each leads to.
fn play(steps: &[(Input, &[Action])]) -> Link {
    let now = Instant::now();
    let mut link = Link::default();
    for (step, (input, expected)) in steps.iter().enumerate() {
        let (next, actions) = link.decide(input.clone(), now);
        assert_eq!(actions, *expected, "step {step}: {input:?}");
        link = next;
    }
    link
}

#[test]
fn only_what_the_hub_asks_for_is_sent_after_hello() {
    let cluster = Input::Connected { apps: vec!["api".into(), "web".into()], cluster: true };
    play(&[
        (cluster, &[Action::SendHello]),
        (welcome(&["web", "not-ours"]), &[Action::SendCluster, send("web", 1), offer(0)]),
        (Input::Events(vec![]), &[]),
        (ack("web", 1), &[]),
        (Input::Ack(Ack { cluster: true, ..Ack::default() }), &[]),
    ]);
}

#[test]
fn nothing_is_sent_before_welcome_and_nothing_forgotten() {
    play(&[
        (connected(&["web"]), &[Action::SendHello]),
        (changed("web"), &[]),
        (changed("new"), &[]),
        (Input::Cluster, &[]),
        (welcome(&[]), &[Action::SendCluster, send("web", 1), send("new", 2), offer(0)]),
    ]);
}

#[test]
fn changes_while_a_report_is_on_its_way_become_one() {
    play(&[
        (connected(&["web"]), &[Action::SendHello]),
        (welcome(&[]), &[offer(0)]),
        (Input::Events(vec![]), &[]),
        (changed("web"), &[send("web", 1)]),
        (changed("web"), &[]),
        (changed("web"), &[]),
        (ack("web", 1), &[send("web", 2)]),
        (ack("web", 1), &[]),
        (ack("web", 2), &[]),
    ]);
}

#[test]
fn a_removal_is_told_like_a_change_and_forgotten_once_acknowledged() {
    let link = play(&[
        (connected(&["web"]), &[Action::SendHello]),
        (welcome(&[]), &[offer(0)]),
        (Input::Events(vec![]), &[]),
        (removed("web"), &[send("web", 1)]),
        (changed("web"), &[]),
        (removed("web"), &[]),
        (ack("web", 1), &[send("web", 2)]),
        (ack("web", 2), &[]),
    ]);
    assert!(link.apps.is_empty());
}

#[test]
fn before_a_stream_nothing_is_kept() {
    let link =
        play(&[(changed("web"), &[]), (Input::EventsWaiting, &[]), (ack("web", 1), &[]), (Input::Tick, &[])]);
    assert!(link.apps.is_empty() && link.queue.is_empty() && link.next_tick().is_none());
}

#[test]
fn events_are_sent_in_windows_and_forgotten_once_acknowledged() {
    let events = |range: std::ops::Range<u64>| {
        Input::Events(range.map(|number| (number, number.to_string())).collect())
    };
    let now = Instant::now();
    let mut link = Link::default();
    let mut sent = Vec::new();
    for input in [connected(&[]), welcome(&[]), events(1..33), Input::EventsWaiting] {
        let (next, actions) = link.decide(input, now);
        link = next;
        sent.extend(
            actions
                .into_iter()
                .filter(|action| matches!(action, Action::SendEvent { .. } | Action::OfferEvents { .. })),
        );
    }
    // The window is full: no further offer before something is acknowledged.
    assert_eq!(sent.len(), 1 + 32);
    let ids = BTreeSet::from(["1".to_owned(), "2".to_owned()]);
    let acked = Input::Ack(Ack { event_ids: ids.iter().cloned().collect(), ..Ack::default() });
    let (_, actions) = link.decide(acked, now);
    assert_eq!(actions, [Action::ForgetEvents(ids), Action::OfferEvents { after: 32, count_max: 2 }]);
}

#[test]
fn heartbeats_fill_the_silence() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let (link, _) = Link::default().decide(connected(&[]), start);
    let (link, _) = link.decide(welcome(&[]), start);
    let (link, _) = link.decide(Input::Events(vec![]), start);
    assert_eq!(link.next_tick(), Some(after(10)));
    let (link, actions) = link.decide(Input::Tick, after(9));
    assert_eq!(actions, []);
    let (link, actions) = link.decide(Input::Tick, after(10));
    assert_eq!(actions, [Action::SendHeartbeat]);
    assert_eq!(link.next_tick(), Some(after(20)));
    let (link, _) = link.decide(changed("web"), after(15));
    assert_eq!(link.next_tick(), Some(after(25)));
}

#[test]
fn a_hub_that_does_not_answer_is_given_up() {
    let start = Instant::now();
    let (link, _) = Link::default().decide(connected(&[]), start);
    assert_eq!(link.next_tick(), Some(start + HUB_SILENCE_MAX));
    let (_, actions) = link.clone().decide(Input::Tick, start + HUB_SILENCE_MAX);
    assert!(matches!(actions[..], [Action::Close(_)]));

    let (link, _) = link.decide(welcome(&[]), start);
    let (link, _) = link.decide(Input::Events(vec![]), start);
    let later = start + Duration::from_secs(1_000);
    // A long time without anything to say is no silence of the hub.
    let (link, actions) = link.decide(changed("web"), later);
    assert_eq!(actions, [send("web", 1)]);
    let (link, actions) = link.decide(Input::Tick, later + Duration::from_secs(10));
    assert_eq!(actions, [Action::SendHeartbeat]);
    let (_, actions) = link.decide(Input::Tick, later + HUB_SILENCE_MAX);
    assert!(matches!(actions[..], [Action::Close(_)]));
}

#[test]
fn a_hub_may_not_ask_for_endless_silence() {
    for (asked, given) in [(0, HEARTBEAT_DEFAULT), (7, Duration::from_secs(7)), (u32::MAX, HEARTBEAT_MAX)] {
        let now = Instant::now();
        let (link, _) = Link::default().decide(connected(&[]), now);
        let (link, _) =
            link.decide(Input::Welcome(Welcome { heartbeat_seconds: asked, ..Welcome::default() }), now);
        assert_eq!(link.next_tick(), Some(now + given));
    }
}
