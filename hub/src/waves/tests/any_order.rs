//! Whatever happens, in whatever order: does every move hold to the rules?

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Happening {
    Minutes(u8),
    Commit { bad: bool, same: bool },
    Silence { wave: usize, cluster: usize, silent: bool },
    ClockJump(i64),
    Ask(Verb, Option<usize>),
    Freeze(bool),
    Gate(Option<GateAnswer>),
}

fn happening() -> impl Strategy<Value = Happening> {
    let verb = prop_oneof![
        1 => Just(Verb::Promote),
        4 => Just(Verb::Approve),
        1 => Just(Verb::Reject),
        1 => Just(Verb::Pause),
        2 => Just(Verb::Resume),
        1 => Just(Verb::Rollback),
    ];
    prop_oneof![
        6 => (1..40u8).prop_map(Happening::Minutes),
        3 => (prop::bool::weighted(0.3), prop::bool::weighted(0.3))
            .prop_map(|(bad, same)| Happening::Commit { bad, same }),
        1 => (0..3usize, 0..4usize, any::<bool>())
            .prop_map(|(wave, cluster, silent)| Happening::Silence { wave, cluster, silent }),
        1 => (-4_000..4_000i64).prop_map(Happening::ClockJump),
        3 => (verb, prop::option::of(0..3usize)).prop_map(|(verb, wave)| Happening::Ask(verb, wave)),
        1 => any::<bool>().prop_map(Happening::Freeze),
        1 => prop_oneof![
            2 => Just(Some(GateAnswer::Passed("it is green".to_owned()))),
            1 => Just(Some(GateAnswer::Failed("it is red".to_owned()))),
            1 => Just(Some(GateAnswer::Unanswered("it is down".to_owned()))),
            1 => Just(None),
        ]
        .prop_map(Happening::Gate),
    ]
}

/// What must be true of a move that the hub makes by itself, by the state of the world just before.
fn check(world: &World, moved: &Move) {
    let at = world.fleet.spec.waves.iter().position(|wave| wave.name == moved.pin.wave).unwrap();
    let wave = &world.fleet.spec.waves[at];
    let before = &world.pins[at];
    let to = moved.pin.revision.as_ref().map(number);
    assert!(before.hold.is_none(), "a paused wave moved");
    match moved.action {
        Action::Follow => assert_eq!(at, 0),
        Action::Promote => {
            let to = to.unwrap();
            assert!(world.frozen.is_none(), "a frozen wave moved");
            check_gates(world, wave);
            assert!(at > 0 && to <= world.head);
            if let Some(from) = &before.revision {
                assert!(number(from) < to, "a wave went back by itself");
                assert!(!world.is_same(number(from), to), "a move that changes nothing");
            }
            let earlier = &world.clusters[&(at - 1)];
            let pinned = world.pins[at - 1].revision.as_ref().map_or(world.head, number);
            assert!(at == 1 || world.is_same(pinned, to), "the wave before does not have it");
            assert!(world.pins[at - 1].clusters.is_none(), "it has not come to the whole wave before");
            for (name, cluster) in earlier {
                assert!(world.is_well(cluster, to), "{name} is not well");
                let soak = std::time::Duration::from(world.fleet.spec.waves[at - 1].soak);
                // A time that lies ahead counts for nothing.
                let well_for = (world.now - cluster.since).max(0);
                assert!(well_for >= i64::try_from(soak.as_secs()).unwrap(), "{name} has not soaked");
            }
            let last_word = |author: &str| {
                let mut about = before.verdicts.iter().filter(|verdict| {
                    verdict.author == author && world.is_same(number(&verdict.revision), to)
                });
                about.next_back().map(|verdict| verdict.verdict)
            };
            let words = ["alice", "bob", "muster-hub"].map(last_word);
            assert!(!words.contains(&Some(muster_spec::Judgement::Rejected)), "a rejected revision moved");
            let approvals =
                words.iter().filter(|word| **word == Some(muster_spec::Judgement::Approved)).count();
            assert!(approvals >= wave.approval.as_ref().map_or(0, |approval| approval.required as usize));
            if let Some(first) = wave.batches.first() {
                let was_rolling = before.clusters.is_some() && before.revision.is_some();
                let most = first.of(world.clusters[&at].len()).max(1);
                assert!(was_rolling || moved.reached <= most, "more than the first batch");
            }
        }
        Action::Extend => {
            assert!(world.frozen.is_none(), "a frozen wave moved");
            check_gates(world, wave);
            let having = before.clusters.as_ref().unwrap();
            for (name, cluster) in world.clusters[&at].iter().filter(|(name, _)| having.contains(name)) {
                assert!(world.is_well(cluster, to.unwrap()), "{name} is not well");
            }
            let after = moved.pin.clusters.as_ref();
            assert!(after.is_none_or(|after| having.iter().all(|cluster| after.contains(cluster))));
            assert!(moved.reached > having.len());
        }
        other => panic!("the hub does {other:?} by itself"),
    }
}

/// Nothing passes a gate that has not let it.
fn check_gates(world: &World, wave: &muster_spec::Wave) {
    let passes = matches!(world.gate, Some(GateAnswer::Passed(_)));
    assert!(passes || wave.gates.is_empty(), "a gate was passed that is closed");
}

fn tell(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Minutes(minutes) => {
            for _ in 0..*minutes {
                world.now += 60;
                world.settle();
                let moves = world.decide().moves;
                moves.iter().for_each(|moved| check(world, moved));
                world.write(moves);
            }
        }
        Happening::Commit { bad, same } => {
            if *same {
                world.commit_same();
            } else {
                let number = world.commit();
                if *bad {
                    world.bad.insert(number);
                }
            }
        }
        Happening::Silence { wave, cluster, silent } => {
            if let Some((_, cluster)) = world.clusters.get_mut(wave).unwrap().get_mut(*cluster) {
                cluster.silent = *silent;
            }
        }
        Happening::ClockJump(seconds) => world.now += seconds,
        Happening::Ask(verb, wave) => {
            let name = wave.map(|wave| world.fleet.spec.waves[wave].name.clone());
            // What is refused changes nothing, which is all that is asked here.
            let _ = world.ask(*verb, |wish| wish.wave = name);
        }
        Happening::Gate(gate) => world.gate.clone_from(gate),
        Happening::Freeze(frozen) => world.frozen = frozen.then(|| "a freeze".to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No move breaks a rule; and once nothing stands in the way, the newest good revision arrives everywhere.
    #[test]
    fn every_move_holds_to_the_rules_and_what_may_move_does(
        happenings in prop::collection::vec(happening(), 1..40),
    ) {
        let mut world = World::new(USUAL, &[1, 3, 4]);
        for happening in &happenings {
            tell(&mut world, happening);
        }
        world.frozen = None;
        world.gate = Some(GateAnswer::Passed("it is green".to_owned()));
        world.clusters.values_mut().flatten().for_each(|(_, cluster)| cluster.silent = false);
        // Clocks that were wrong come right; what is dated ahead of them has passed.
        world.now += 200_000;
        let _ = world.ask(Verb::Resume, |_| {});
        let last = world.commit();
        tell(&mut world, &Happening::Minutes(60));
        prop_assert_eq!(world.runs(1), Some(last));
        world.ask(Verb::Approve, |_| {}).unwrap();
        tell(&mut world, &Happening::Minutes(20));
        prop_assert_eq!(world.runs(2), Some(last));
    }
}
