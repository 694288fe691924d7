//! One rule each, told as a story.

use super::*;

fn usual() -> World {
    World::new(USUAL, &[1, 3, 4])
}

#[test]
fn a_good_revision_reaches_prod_with_one_approval() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    assert_eq!(world.runs(1), Some(1));
    assert_eq!(world.state(2), State::AwaitingApproval);
    assert_eq!(world.runs(2), None);
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(5);
    assert_eq!(world.runs(2), Some(1));
    assert_eq!(world.state(2), State::Current);
    let expected = [
        "promote staging 1/3",
        "extend staging 2/3",
        "extend staging 3/3",
        "approve prod 0/4",
        "promote prod 2/4",
        "extend prod 4/4",
    ];
    assert_eq!(world.actions(), expected);
    let evidence: Vec<&str> = world.log[4].pin.evidence.iter().map(|one| one.gate.as_str()).collect();
    assert_eq!(evidence, ["health", "soak", "approval", "gate smoke"]);
    assert!(world.log[4].pin.evidence[2].detail.contains("alice"));
    let before = world.log.len();
    world.minutes(60);
    assert_eq!(world.log.len(), before, "nothing more is committed");
}

#[test]
fn a_failing_revision_halts_in_its_first_batch_and_a_fix_overtakes_it() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    let bad = world.commit();
    // It fails only later, when the first batch has it.
    world.minutes(2);
    world.bad.insert(bad);
    world.minutes(30);
    assert_eq!(world.state(1), State::Halted);
    let ran_bad = world.clusters[&1].iter().filter(|(_, cluster)| cluster.runs == Some(bad)).count();
    assert_eq!(ran_bad, 1, "no more than the first batch ever had it");
    assert_eq!(world.clusters[&1].iter().filter(|(_, cluster)| cluster.runs == Some(1)).count(), 2);
    let fix = world.commit();
    world.minutes(20);
    assert_eq!((world.runs(1), world.state(1)), (Some(fix), State::Current));
    assert!(world.pins[2].revision.is_none());
}

#[test]
fn a_wave_that_is_to_undo_failures_does_and_does_not_try_again() {
    let waves = "
  - {name: dev, clusters: {}}
  - {name: prod, clusters: {}, onFailure: rollback, timeout: 10m}
";
    let mut world = World::new(waves, &[1, 2]);
    world.commit();
    world.minutes(5);
    assert_eq!(world.runs(1), Some(1));
    let bad = world.commit();
    world.minutes(2);
    world.bad.insert(bad);
    world.minutes(20);
    assert_eq!(world.runs(1), Some(1));
    assert!(world.actions().contains(&"rollback prod 2/2".to_owned()), "{:?}", world.actions());
    world.bad.clear();
    world.minutes(20);
    assert_eq!((world.runs(1), world.state(1)), (Some(1), State::Rejected));
    let next = world.commit();
    world.minutes(5);
    assert_eq!(world.runs(1), Some(next));
}

#[test]
fn who_is_not_heard_is_not_well() {
    let mut world = usual();
    world.clusters.get_mut(&0).unwrap()[0].1.silent = true;
    world.commit();
    world.minutes(60);
    assert!(world.log.is_empty() && world.state(0) == State::Progressing);
    world.clusters.get_mut(&0).unwrap()[0].1.silent = false;
    world.minutes(1);
    assert_eq!(world.actions()[0], "promote staging 1/3");
    for (_, cluster) in world.clusters.get_mut(&1).unwrap() {
        cluster.silent = true;
    }
    world.minutes(60);
    assert_eq!((world.log.len(), world.state(1)), (1, State::Halted), "its time ran out");
}

#[test]
fn what_gives_a_wave_nothing_new_passes_without_a_commit_or_a_wait() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(30);
    let before = world.log.len();
    for _ in 0..5 {
        world.commit_same();
        world.minutes(10);
    }
    assert_eq!(world.log.len(), before);
    assert_eq!((world.state(1), world.state(2)), (State::Current, State::Current));
}

#[test]
fn commits_that_change_nothing_do_not_start_the_soak_again() {
    let waves = "
  - {name: dev, clusters: {}, soak: 30m}
  - {name: prod, clusters: {}}
";
    let mut world = World::new(waves, &[1, 1]);
    world.commit();
    for _ in 0..20 {
        world.minutes(2);
        world.commit_same();
    }
    world.minutes(2);
    assert!(world.pins[1].revision.is_some(), "{:?}", world.decide().outlook);
}

#[test]
fn the_newest_overtakes_and_a_wave_never_goes_back_by_itself() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    let newer = world.commit();
    world.minutes(20);
    assert_eq!(world.decide().outlook.stages[2].candidate, Some(revision(newer)), "the first was overtaken");
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(5);
    assert_eq!(world.runs(2), Some(newer));
    // A person puts staging back; prod stays, and says that it does not follow.
    world.ask(Verb::Rollback, |wish| wish.wave = Some("staging".parse().unwrap())).unwrap();
    world.minutes(30);
    assert_eq!((world.runs(1), world.runs(2)), (Some(1), Some(newer)));
    assert_eq!(world.state(2), State::Refused);
    assert_eq!(world.state(1), State::Rejected);
}

#[test]
fn an_approval_is_for_one_revision_and_a_rejection_is_stronger() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    world.ask(Verb::Reject, |wish| wish.reason = Some("slow".to_owned())).unwrap();
    world.ask(Verb::Approve, |wish| wish.author = "bob".to_owned()).unwrap();
    world.minutes(5);
    assert_eq!(world.state(2), State::Rejected);
    // Who changes their mind says so again.
    world.ask(Verb::Approve, |_| {}).unwrap();
    world.minutes(5);
    assert_eq!(world.runs(2), Some(1));
    world.commit();
    world.minutes(30);
    assert_eq!(world.state(2), State::AwaitingApproval, "the next one needs its own");
    assert!(world.ask(Verb::Approve, |wish| wish.wave = Some("staging".parse().unwrap())).is_err());
    world.ask(Verb::Approve, |_| {}).unwrap();
    assert!(world.ask(Verb::Approve, |_| {}).unwrap_err().contains("already"));
}

#[test]
fn frozen_and_paused_waves_hold_what_they_have() {
    let mut world = usual();
    world.commit();
    world.frozen = Some("Christmas trade".to_owned());
    world.minutes(30);
    assert_eq!((world.state(1), world.log.len()), (State::Frozen, 0));
    world.frozen = None;
    world.ask(Verb::Pause, |wish| wish.reason = Some("incident".to_owned())).unwrap();
    world.commit();
    world.minutes(30);
    assert_eq!((world.state(0), world.state(1)), (State::Paused, State::Paused));
    assert_eq!(world.runs(0), Some(1), "the first wave does not follow the branch on");
    assert!(world.ask(Verb::Pause, |_| {}).is_err());
    world.ask(Verb::Resume, |_| {}).unwrap();
    world.minutes(30);
    assert_eq!((world.runs(0), world.runs(1)), (Some(2), Some(2)));
}

#[test]
fn a_rollback_takes_every_wave_that_has_the_revision_back() {
    let mut world = usual();
    for _ in 0..2 {
        world.commit();
        world.minutes(20);
        world.ask(Verb::Approve, |_| {}).unwrap();
        world.minutes(10);
    }
    assert_eq!((world.runs(0), world.runs(1), world.runs(2)), (Some(2), Some(2), Some(2)));
    world.ask(Verb::Rollback, |wish| wish.reason = Some("prices are wrong".to_owned())).unwrap();
    world.minutes(2);
    assert_eq!((world.runs(0), world.runs(1), world.runs(2)), (Some(1), Some(1), Some(1)));
    world.minutes(60);
    assert_eq!((world.runs(0), world.runs(2)), (Some(1), Some(1)), "it does not come again");
    let fix = world.commit();
    world.minutes(30);
    assert_eq!((world.runs(0), world.runs(1)), (Some(fix), Some(fix)), "a newer one does");
}

#[test]
fn a_hotfix_does_not_soak_but_must_be_well() {
    let mut world = usual();
    world.commit();
    world.minutes(2);
    assert!(
        world.ask(Verb::Hotfix, |wish| wish.revision = Some(revision(1))).unwrap_err().contains("--reason")
    );
    world
        .ask(Verb::Hotfix, |wish| (wish.revision, wish.reason) = (Some(revision(1)), Some("CVE".into())))
        .unwrap();
    world.minutes(5);
    assert_eq!(world.state(2), State::AwaitingApproval, "ten minutes of soak were not waited for");
    let mut world = usual();
    let bad = world.commit();
    world.bad.insert(bad);
    world
        .ask(Verb::Hotfix, |wish| (wish.revision, wish.reason) = (Some(revision(1)), Some("CVE".into())))
        .unwrap();
    world.minutes(60);
    assert_eq!(world.state(0), State::Halted);
    assert!(world.pins[1].revision.is_none());
}

#[test]
fn a_person_may_skip_the_soak_but_not_the_health() {
    let mut world = usual();
    world.commit();
    world.minutes(5);
    assert_eq!(world.state(1), State::Soaking);
    world.ask(Verb::Promote, |_| {}).unwrap();
    assert_eq!(world.actions().last().unwrap(), "promote prod 2/4");
    let bad = world.commit();
    world.minutes(3);
    world.bad.insert(bad);
    world.minutes(1);
    let refused = world.ask(Verb::Promote, |wish| wish.wave = Some("prod".parse().unwrap())).unwrap_err();
    assert!(refused.contains("not well"), "{refused}");
    assert!(world.ask(Verb::Promote, |wish| wish.wave = Some("none".parse().unwrap())).is_err());
}

#[test]
fn a_clock_that_was_set_back_delays_and_never_hurries() {
    let mut world = usual();
    world.commit();
    world.minutes(5);
    assert_eq!(world.state(1), State::Soaking);
    world.now -= 3_600;
    world.minutes(20);
    assert_eq!(world.state(1), State::Soaking);
    world.now += 3_600;
    world.minutes(1);
    assert_eq!(world.state(2), State::AwaitingApproval);
}

#[test]
fn the_message_of_a_commit_tells_all_of_it() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    world.ask(Verb::Approve, |wish| wish.reason = Some("looks\ngood".to_owned())).unwrap();
    let approved = commit_message(&world.log[3..]);
    assert!(approved.starts_with("Approve web for prod: 0000000\n\n"), "{approved}");
    assert!(approved.contains("\nMuster-Author: prod/web alice\n"), "{approved}");
    assert!(approved.contains("\nlooks good\n") && !approved.contains("Evidence"), "{approved}");
    world.minutes(1);
    let promoted = commit_message(&world.log[4..5]);
    let (subject, rest) = promoted.split_once('\n').unwrap();
    assert_eq!(subject, "Promote web to prod (2 of 4 clusters): 0000000");
    let to = revision(1);
    assert!(rest.contains(&format!("Muster-Move: prod/web promote none..{to} 2/4\n")), "{rest}");
    assert!(rest.contains(" of 10m, well since"), "{rest}");
    assert!(rest.contains("Muster-Evidence: prod/web approval: approved by alice"), "{rest}");
    let many = commit_message(&world.log[..2]);
    assert!(many.starts_with("Move web in 2 waves\n\n- Promote web to staging"), "{many}");
}

#[test]
fn the_approval_of_who_made_the_commit_does_not_count_where_another_is_asked_for() {
    let waves = "
  - {name: dev, clusters: {}}
  - {name: prod, clusters: {}, approval: {required: 1, notByAuthor: true}}
";
    let mut world = World::new(waves, &[1, 1]);
    world.commit();
    world.minutes(5);
    assert!(world.ask(Verb::Approve, |_| {}).unwrap_err().contains("somebody else"), "alice made it");
    let promote = |wish: &mut Wish| wish.wave = Some("prod".parse().unwrap());
    assert!(world.ask(Verb::Promote, promote).unwrap_err().contains("needs 1 approvals, and has 0"));
    // An approval that is there all the same, such as from before the rule.
    let at = super::super::decide::moment(world.time());
    world.pins[1].verdicts.push(muster_spec::Verdict {
        revision: revision(1),
        verdict: muster_spec::Judgement::Approved,
        author: "corp:Alice".to_owned(),
        groups: Vec::new(),
        at,
        reason: None,
    });
    world.minutes(5);
    assert_eq!((world.state(1), world.runs(1)), (State::AwaitingApproval, None));
    world.author = false;
    assert!(
        world.ask(Verb::Approve, |wish| wish.author = "bob".to_owned()).unwrap_err().contains("not known")
    );
    world.author = true;
    world.ask(Verb::Approve, |wish| wish.author = "bob".to_owned()).unwrap();
    world.minutes(5);
    assert_eq!(world.runs(1), Some(1));
}

#[test]
fn what_is_reverted_on_the_branch_does_not_come_again() {
    let mut world = usual();
    world.commit();
    world.minutes(20);
    let before = world.pins[1].clone();
    let fix = world.commit();
    world.minutes(20);
    assert_eq!(world.runs(1), Some(fix));
    world.pins[1] = WavePinSpec { verdicts: Vec::new(), ..before };
    world.minutes(10);
    assert_eq!((world.state(1), world.runs(1)), (State::Rejected, Some(1)));
    let said = world.pins[1].verdicts.last().unwrap();
    assert_eq!((said.author.as_str(), number(&said.revision)), ("carol", fix));
    assert_eq!(world.actions().last().unwrap(), "reject staging 3/3");
    // A newer one comes; and who says so by name has this one again.
    let newer = world.commit();
    world.minutes(30);
    assert_eq!(world.runs(1), Some(newer));
}

#[test]
fn a_batch_that_is_reverted_is_the_last() {
    let mut world = usual();
    world.commit();
    while world.pins[1].revision.is_none() {
        world.minutes(1);
    }
    let before = world.pins[1].clone();
    assert_eq!(before.clusters.as_ref().map(Vec::len), Some(1));
    while world.pins[1].clusters == before.clusters {
        world.minutes(1);
    }
    world.pins[1] = before;
    world.minutes(30);
    assert_eq!(world.state(1), State::Rejected);
    assert_eq!(world.pins[1].clusters.as_ref().map(Vec::len), Some(1), "no further batch");
}

#[test]
fn only_those_approve_whom_the_wave_asks() {
    let waves = "
  - {name: dev, clusters: {}}
  - {name: prod, clusters: {}, approval: {required: 2, users: [carol], groups: ['corp:sre']}}
";
    let mut world = World::new(waves, &[1, 1]);
    world.commit();
    world.minutes(5);
    let refused = world.ask(Verb::Approve, |_| {}).unwrap_err();
    assert!(refused.contains("does not count here, but that of carol and members of corp:sre"), "{refused}");
    let of_sre = |wish: &mut Wish| {
        (wish.author, wish.groups) =
            ("corp:bob".to_owned(), vec!["corp:dev".to_owned(), "corp:sre".to_owned()]);
    };
    world.ask(Verb::Approve, of_sre).unwrap();
    assert_eq!(world.pins[1].verdicts[0].groups, ["corp:sre"], "only what the wave asks for is kept");
    world.minutes(5);
    let waiting = &world.decide().outlook.stages[1];
    assert_eq!(waiting.detail, "1 of 2 approvals for 0000000, of carol and members of corp:sre.");
    // Somebody else's word changes nothing when they promote, either.
    let promote = |wish: &mut Wish| wish.wave = Some("prod".parse().unwrap());
    assert!(world.ask(Verb::Promote, promote).unwrap_err().contains("needs 2 approvals, and has 1"));
    world.ask(Verb::Approve, |wish| wish.author = "carol".to_owned()).unwrap();
    world.minutes(5);
    assert_eq!(world.runs(1), Some(1));
}

#[test]
fn users_are_compared_with_authors_by_name_and_address() {
    let author = Author { name: "Ada Byron".to_owned(), email: "Ada@Example.com".to_owned() };
    for (user, expected) in [
        ("ada", true),
        ("ada byron", true),
        ("corp:ada@example.com", true),
        ("ADA", true),
        ("ad", false),
        ("example.com", false),
        ("", false),
    ] {
        assert_eq!(author.is(user), expected, "{user}");
    }
}
