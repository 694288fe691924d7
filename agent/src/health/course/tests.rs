use super::*;
use crate::object::GroupKind;

const TIMEOUT: Duration = Duration::from_secs(300);

/// One Deployment, looked at as the reconciler would.
struct Story {
    courses: Courses,
    begin: Instant,
    key: ObjectKey,
    generation: i64,
}

impl Story {
    fn new() -> Story {
        let begin = Instant::now();
        let key = ObjectKey::new(GroupKind::new("apps", "Deployment"), "shop", "web");
        Story { courses: Courses::new(begin), begin, key, generation: 1 }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.begin + Duration::from_secs(seconds)
    }

    fn sees(&mut self, seconds: u64, health: &Health) -> Health {
        let now = self.at(seconds);
        let sight = Sight { health, generation: self.generation, timeout: TIMEOUT };
        self.courses.judge("shop", &self.key, &sight, now)
    }

    fn finds(&mut self, seconds: u64, cause: Option<Cause>) -> bool {
        let now = self.at(seconds);
        self.courses.found("shop", &self.key, self.generation, Some(cause), now)
    }
}

fn short() -> Health {
    Health::progressing("Replicas available: 0 of 1.")
}

#[test]
fn what_takes_too_long_is_degraded_and_says_so_once() {
    let mut story = Story::new();
    assert_eq!(story.sees(0, &short()), short());
    assert_eq!(story.courses.next_deadline(), Some(story.at(2)), "the first look");
    let due = story.courses.due(story.at(2));
    assert_eq!(due.looks, [("shop".to_owned(), story.key.clone(), 1)]);
    assert!(!story.finds(3, None), "nothing new");
    assert!(story.courses.due(story.at(299)).apps.is_empty());
    assert!(story.courses.due(story.at(300)).apps.contains("shop"));
    assert!(story.courses.due(story.at(301)).apps.is_empty(), "it is not due for ever");
    let late = story.sees(301, &short());
    assert_eq!(late, Health::degraded("It is not healthy after 5m. Replicas available: 0 of 1."));
    assert_eq!(story.sees(302, &Health::healthy()), Health::healthy());
    assert_eq!(story.courses.next_deadline(), None, "what is well costs nothing");
}

#[test]
fn what_has_no_time_to_be_done_by_is_never_late() {
    let mut story = Story::new();
    let running = Health::running("Pods active: 1, failed: 0.");
    story.sees(0, &running);
    assert_eq!(story.sees(100_000, &running), running);
    assert!(story.courses.due(story.at(100_000)).apps.is_empty());
    story.sees(100_001, &short());
    story.courses.due(story.at(100_001));
    story.finds(100_001, Some(Cause::idle("it waits for its first Pod")));
    assert_eq!(story.sees(200_000, &short()).status, HealthStatus::Progressing);
}

#[test]
fn a_cause_that_does_not_pass_is_degraded_at_once_and_a_new_generation_starts_anew() {
    let mut story = Story::new();
    story.sees(0, &short());
    story.courses.due(story.at(2));
    let cause = Cause::failing("Pod web-1: container web: ImagePullBackOff of web:2");
    assert!(story.finds(2, Some(cause.clone())));
    assert!(!story.finds(3, Some(cause)), "the same again is no news");
    let said = "Pod web-1: container web: ImagePullBackOff of web:2. Replicas available: 0 of 1.";
    assert_eq!(story.sees(3, &short()), Health::degraded(said));
    story.generation = 2;
    assert_eq!(story.sees(4, &short()), short());
    let now = story.at(5);
    let late = story.courses.found("shop", &story.key, 1, Some(Some(Cause::failing("old"))), now);
    assert!(!late, "an answer about the generation before counts no more");
    assert_eq!(story.sees(303, &short()).status, HealthStatus::Progressing, "its time starts anew too");
    assert_eq!(story.sees(304, &short()).status, HealthStatus::Degraded);
}

#[test]
fn a_crash_is_over_only_when_it_stays_away() {
    let mut story = Story::new();
    story.sees(0, &short());
    story.courses.due(story.at(2));
    story.finds(2, Some(Cause::crash("Pod web-1: container web: CrashLoopBackOff")));
    assert_eq!(story.sees(3, &short()).status, HealthStatus::Degraded);
    for second in [10, 30] {
        let held = story.sees(second, &Health::healthy());
        assert_eq!(held.status, HealthStatus::Degraded, "at {second} s: {held:?}");
        assert!(held.message.starts_with("Pod web-1: container web: CrashLoopBackOff. It runs again"));
        assert_eq!(story.sees(second + 5, &short()).status, HealthStatus::Degraded);
    }
    assert_eq!(story.sees(40, &Health::healthy()).status, HealthStatus::Degraded);
    assert_eq!(story.courses.next_deadline(), Some(story.at(100)));
    assert!(story.courses.due(story.at(100)).apps.contains("shop"));
    assert_eq!(story.sees(100, &Health::healthy()), Health::healthy());
}

#[test]
fn a_new_generation_ends_a_crash_at_once() {
    let mut story = Story::new();
    story.sees(0, &short());
    story.courses.due(story.at(2));
    story.finds(2, Some(Cause::crash("Pod web-1: container web: CrashLoopBackOff")));
    story.generation = 2;
    assert_eq!(story.sees(3, &Health::healthy()), Health::healthy());
    assert_eq!(story.courses.next_deadline(), None);
}

#[test]
fn looks_become_rare_and_are_bounded_for_all_together() {
    let mut story = Story::new();
    let count = 100;
    for number in 0..count {
        let name = format!("web-{number}");
        let key = ObjectKey::new(story.key.kind.clone(), "shop", &name);
        let sight = Sight { health: &short(), generation: 1, timeout: TIMEOUT };
        story.courses.judge("shop", &key, &sight, story.begin);
    }
    let mut starts = 0;
    let mut now = story.begin;
    let mut looked = BTreeSet::new();
    while now < story.at(600) {
        for (app, key, generation) in story.courses.due(now).looks {
            starts += 1;
            looked.insert(key.clone());
            story.courses.found(&app, &key, generation, Some(None), now);
        }
        let next = story.courses.next_deadline().unwrap();
        assert!(next > now, "it never waits");
        now = next;
    }
    assert_eq!(looked.len(), count, "each has had its turn");
    assert!((200..=210).contains(&starts), "{starts} looks in ten minutes");
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut story = Story::new();
    story.sees(0, &short());
    story.courses.retain("shop", |_| false);
    assert_eq!(story.courses.next_deadline(), None);
    assert!(!story.finds(1, Some(Cause::failing("late"))));
}
