//! Is what comes and goes told a bounded number of times, and the end of what was told always?

use super::*;

const REPEAT: i64 = 3_600;

/// Lets time pass in steps of five seconds, with an app that is wrong and well in turn for so many steps.
fn messages(turns: &[(u16, u16)], settings: &AlertSettings) -> Vec<(i64, bool)> {
    let mut table = Table::default();
    let broken = wrong(&["Degraded/prod/web"]);
    let (mut now, mut told) = (0, Vec::new());
    for (bad, good) in turns {
        for (steps, conditions) in [(*bad, &broken), (*good, &Conditions::default())] {
            for _ in 0..steps {
                table.step(conditions, settings, at(now));
                for message in table.outstanding(&settings.receivers[0], settings.timing, at(now)) {
                    table.told("ops", &message, "", at(now));
                    told.push((now, message.is_resolved));
                }
                now += 5;
            }
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an app does, and whether anything has to last or not: after a few messages there are at most a
    /// reminder, an end and a beginning in the time after which all would be told again anyway.
    #[test]
    fn messages_are_bounded_by_the_time_between_reminders(
        turns in prop::collection::vec((0_u16..150, 0_u16..150), 1..150),
        after in prop::sample::select(vec![0_u64, 5, 300]),
    ) {
        let mut settings = settings();
        settings.timing = Timing::new(Duration::from_secs(after), Duration::from_secs(3_600));
        let told = messages(&turns, &settings);
        let last = told.last().map_or(0, |(when, _)| *when);
        // Each end but those of the last kind took twice as long as the one before: from a second to an hour.
        let at_first = 2 * 13;
        let bound = at_first + 3 * (last / REPEAT + 1);
        prop_assert!(i64::try_from(told.len()).unwrap() <= bound, "{} messages in {last} s", told.len());
    }
}

/// What becomes of one try to tell a receiver.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    /// It is taken, and the hub dies before it notes that.
    TakenAndKilled,
    Refused,
    /// The hub dies on the way.
    Killed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop::sample::select(vec![Fate::Taken, Fate::TakenAndKilled, Fate::Refused, Fate::Killed])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an app, a receiver and the hub do: in the end nobody believes that something is wrong that is not.
    #[test]
    fn whoever_heard_of_something_hears_of_its_end(
        turns in prop::collection::vec((1_usize..16, 1_usize..6), 1..12),
        fates in prop::collection::vec(fate(), 400),
    ) {
        let settings = settings();
        let ops = &settings.receivers[0];
        let mut table = Table::default();
        let mut kept = std::collections::BTreeMap::new();
        let mut keep = |changes: Vec<Change>| {
            for change in changes {
                match change {
                    Change::Put(Record::Alert(alert)) => drop(kept.insert(alert.key.clone(), *alert)),
                    Change::Delete(Key::Alert(key)) => drop(kept.remove(&key)),
                    _ => {}
                }
            }
            kept.values().cloned().collect::<Vec<_>>()
        };
        let mut fates = fates.into_iter();
        let mut last_heard = None;
        // Half a minute each; then two hours in which the app is well and everything works.
        let turns = turns.into_iter().flat_map(|(bad, good)| [vec![Some(true); bad], vec![Some(false); good]]);
        for (step, is_broken) in turns.flatten().chain([None; 240]).enumerate() {
            let now = at(i64::try_from(step).unwrap() * 30);
            let conditions = match is_broken {
                Some(true) => wrong(&["Degraded/prod/web"]),
                _ => Conditions::default(),
            };
            keep(table.step(&conditions, &settings, now));
            for message in table.outstanding(ops, settings.timing, now) {
                let first = table.telling("ops", &message);
                let is_first = !first.is_empty();
                let all = keep(first);
                let fate = is_broken.and_then(|_| fates.next()).unwrap_or(Fate::Taken);
                if matches!(fate, Fate::Taken | Fate::TakenAndKilled) {
                    last_heard = Some(message.is_resolved);
                }
                match fate {
                    Fate::Taken => drop(keep(table.told("ops", &message, "", now))),
                    Fate::Refused if is_first => drop(keep(table.not_told("ops", &message.keys))),
                    Fate::Refused => {}
                    Fate::TakenAndKilled | Fate::Killed => {
                        table = Table::restore(all, Vec::new(), AlertRules::default());
                    }
                }
            }
        }
        prop_assert_ne!(last_heard, Some(false));
        prop_assert!(table.alerts().is_empty(), "{:?}", table.alerts());
    }
}

#[test]
fn each_time_it_comes_back_it_must_be_gone_for_longer() {
    // Six minutes wrong, two minutes well: longer than what is told once in any case.
    let told = messages(&[(72, 24); 60], &settings());
    let ends: Vec<i64> = told.iter().filter(|(_, is_resolved)| *is_resolved).map(|(when, _)| *when).collect();
    assert_eq!(ends, [430], "a minute was enough once, and two are never reached: {told:?}");
    let hours = 60 * 480 / REPEAT;
    assert!(i64::try_from(told.len()).unwrap() <= 3 + hours, "and reminders: {told:?}");
}

#[test]
fn what_was_well_for_long_begins_as_if_for_the_first_time() {
    let mut told = messages(&[(72, 24), (72, 24), (72, 1_600), (72, 13 + 3)], &settings());
    let (when, is_resolved) = told.pop().unwrap();
    assert!(is_resolved, "a minute is enough again: {told:?}");
    assert_eq!(when, i64::from(72 + 24 + 72 + 24 + 72 + 1_600 + 72) * 5 + 70);
}

#[test]
fn who_may_have_heard_of_something_hears_of_its_end() {
    let settings = settings();
    let ops = &settings.receivers[0];
    for is_taken in [true, false] {
        let (mut table, broken) = (Table::default(), wrong(&["Degraded/prod/web"]));
        let mut kept = std::collections::BTreeMap::new();
        let mut keep = |changes: Vec<Change>| {
            for change in changes {
                if let Change::Put(Record::Alert(alert)) = change {
                    kept.insert(alert.key.clone(), *alert);
                }
            }
        };
        for second in 0..311 {
            keep(table.step(&broken, &settings, at(second)));
        }
        let message = table.outstanding(ops, settings.timing, at(310)).remove(0);
        keep(table.telling("ops", &message));
        assert_eq!(table.telling("ops", &message), [], "it is noted once");
        if !is_taken {
            keep(table.not_told("ops", &message.keys));
        }
        // The hub dies here, and all is well when it is back.
        let mut table = Table::restore(kept.into_values().collect(), Vec::new(), AlertRules::default());
        let again = table.outstanding(ops, settings.timing, at(312));
        assert_eq!(again[0].id, message.id, "were it still wrong, it would be told as the same message");
        // Until that is certain nobody can be told anything.
        for second in 320..400 {
            table.step(&Conditions::default(), &settings, at(second));
        }
        let told = pass(&mut table, &Conditions::default(), 400..500);
        let ends: Vec<bool> = told.iter().map(|(_, message)| message.is_resolved).collect();
        let expected: &[bool] = if is_taken { &[true] } else { &[] };
        assert_eq!(ends, expected, "taken: {is_taken}");
    }
}

#[test]
fn the_end_of_what_was_certainly_not_taken_is_not_told() {
    let settings = settings();
    let ops = &settings.receivers[0];
    for (is_certain, expected) in [(true, 0), (false, 1)] {
        let (mut table, broken) = (Table::default(), wrong(&["Degraded/prod/web"]));
        for second in 0..311 {
            table.step(&broken, &settings, at(second));
        }
        let message = table.outstanding(ops, settings.timing, at(310)).remove(0);
        table.telling("ops", &message);
        if is_certain {
            table.not_told("ops", &message.keys);
        }
        // The receiver is away until it is over.
        for second in 311..400 {
            table.step(&Conditions::default(), &settings, at(second));
        }
        let left = table.outstanding(ops, settings.timing, at(400));
        assert_eq!(left.iter().filter(|message| message.is_resolved).count(), expected, "{left:?}");
    }
}
