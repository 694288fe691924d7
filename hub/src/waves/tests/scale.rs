//! A large fleet for a long time.

use super::*;

/// 1,000 clusters, 6 waves, 50 tracks, 200 revisions: a track in four fails now and then, and holds up nobody
/// else.
#[test]
fn a_large_fleet_takes_seconds_and_no_track_waits_for_another() {
    let waves = "
  - {name: w0, clusters: {}}
  - {name: w1, clusters: {}, soak: 5m}
  - {name: w2, clusters: {}, soak: 5m, batches: [10%, 100%]}
  - {name: w3, clusters: {}, batches: [10%, 50%, 100%]}
  - {name: w4, clusters: {}, soak: 5m, maxUnhealthy: 5%}
  - {name: w5, clusters: {}, batches: [5%, 25%, 100%]}
";
    // Without optimisation a tenth of it is enough to wait for.
    let (count, part) = if cfg!(debug_assertions) { (10, 10) } else { (50, 1) };
    let counts = [10, 20, 70, 200, 300, 400].map(|clusters| clusters / part);
    let mut tracks: Vec<World> = (0..count).map(|_| World::new(waves, &counts)).collect();
    for round in 1..=200 {
        for (at, world) in tracks.iter_mut().enumerate() {
            if (round + at) % 50 != 0 {
                // This commit is about other tracks.
                world.commit_same();
            } else {
                let number = world.commit();
                if at % 4 == 0 {
                    world.bad.insert(number);
                }
            }
            world.step(120);
        }
    }
    for (at, world) in tracks.iter_mut().enumerate() {
        let fix = world.commit();
        world.minutes(60);
        let arrived = world.pins[5].revision.as_ref().map(number);
        assert_eq!((arrived, world.state(5)), (Some(fix), State::Current), "track {at}");
        let bad = world.log.iter().filter(|moved| {
            moved.pin.revision.as_ref().is_some_and(|revision| world.is_bad(number(revision)))
        });
        assert_eq!(bad.count(), 0, "track {at}: what fails in the first wave goes no further");
    }
}
