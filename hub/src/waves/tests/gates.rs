//! Do gates keep out what they have not let pass?

use super::*;

fn waiting(gate: Option<GateAnswer>) -> World {
    let mut world = World::new(USUAL, &[1, 3, 4]);
    world.gate = gate;
    world.commit();
    world.minutes(40);
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(10);
    world
}

#[test]
fn what_has_not_passed_waits_and_says_why() {
    for (gate, words) in [
        (
            Some(GateAnswer::Failed("it answered 503".to_owned())),
            "does not let 0000000 pass: it answered 503",
        ),
        (
            Some(GateAnswer::Unanswered("connection refused".to_owned())),
            "does not answer: connection refused",
        ),
        (None, "is asked about"),
    ] {
        let mut world = waiting(gate);
        let stage = world.decide().outlook.stages.remove(2);
        assert_eq!((stage.state, world.runs(2)), (State::Gated, None), "{}", stage.detail);
        assert!(stage.detail.contains("the gate smoke"), "{}", stage.detail);
        assert!(stage.detail.contains(words), "{}", stage.detail);
        let refused = world.ask(Verb::Promote, |wish| wish.wave = Some("prod".parse().unwrap()));
        assert!(refused.unwrap_err().contains("the gate smoke"));
    }
}

#[test]
fn what_passed_is_evidence_and_every_batch_is_asked_about() {
    let mut world = waiting(Some(GateAnswer::Passed("it answered 200".to_owned())));
    assert_eq!(world.runs(2), Some(1));
    for action in [Action::Promote, Action::Extend] {
        let of_prod = |moved: &&Move| moved.action == action && moved.pin.wave.as_str() == "prod";
        let moved = world.log.iter().find(of_prod).unwrap();
        let gate = moved.pin.evidence.iter().find(|evidence| evidence.gate == "gate smoke").unwrap();
        assert!(gate.detail.starts_with("it answered 200, at "), "{}", gate.detail);
    }
    // The second batch waits for the gate as the first did.
    world.commit();
    world.minutes(25);
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.step(60);
    let reached = |world: &World| world.pins[2].clusters.as_ref().map(Vec::len);
    assert_eq!(reached(&world), Some(2));
    world.gate = Some(GateAnswer::Failed("errors at 4 %".to_owned()));
    world.minutes(10);
    assert_eq!((reached(&world), world.state(2)), (Some(2), State::Gated));
    world.gate = Some(GateAnswer::Passed("errors at 0 %".to_owned()));
    world.minutes(2);
    assert_eq!(world.runs(2), Some(2));
}

#[test]
fn an_old_answer_does_not_count() {
    let world = waiting(Some(GateAnswer::Failed("it is red".to_owned())));
    let mut track = world.track();
    let passed = |age: i64| {
        let at = Timestamp::from_second(world.now - age).unwrap();
        let answers = track.places[2].answers.keys().cloned();
        let said = GateAnswered { answer: GateAnswer::Passed("it is green".to_owned()), at };
        Arc::new(answers.map(|check| (check, said.clone())).collect::<GateAnswers>())
    };
    let (fresh, old) = (passed(60), passed(100));
    track.places[2].answers = old;
    assert_eq!(decide(&track, &world, world.time()).outlook.stages[2].state, State::Gated);
    track.places[2].answers = fresh;
    assert_eq!(decide(&track, &world, world.time()).moves.len(), 1);
}

#[test]
fn a_gate_is_asked_about_what_may_come_and_about_nothing_else() {
    let mut world = World::new(USUAL, &[1, 3, 4]);
    let asked = |world: &World| {
        let checks = world.decide().checks;
        checks.iter().map(|check| number(&check.revision)).collect::<Vec<_>>()
    };
    assert_eq!(asked(&world), Vec::<usize>::new());
    world.commit();
    world.minutes(2);
    assert_eq!(asked(&world), [1], "before it has soaked, so that nobody waits for the gate then");
    world.minutes(40);
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(10);
    assert_eq!(asked(&world), Vec::<usize>::new(), "it is everywhere");
}
