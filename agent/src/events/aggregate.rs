//! Is something worth an Event of its own?
//!
//! ```text
//! first time in a while --> Create    said before --> Count    too much of one app --> Drop
//! ```
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How long the same words count as the same Event.
const SAME_FOR: Duration = Duration::from_secs(10 * 60);

/// Events of one app at once, and how often it may have one more: a crash loop or a fight must not fill
/// the cluster's store.
const BURST: u32 = 25;
const REFILL_EVERY: Duration = Duration::from_secs(30);

/// Different Events remembered, of all apps together.
const KNOWN_MAX: usize = 1_000;

/// What is said: of which app, the reason in one word, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Words {
    pub(super) app: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// An Event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Its object's name.
    pub(super) name: String,
    pub(super) count: u32,
    /// When it was first said, as Kubernetes writes times.
    pub(super) first: String,
    last: Instant,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Create(Known),
    /// It exists: only its count and time change.
    Count(Known),
    Drop,
}

/// What has been said lately.
#[derive(Default)]
pub(super) struct Aggregator {
    known: HashMap<Words, Known>,
    /// Tokens left of each app, and when they were last counted.
    budgets: BTreeMap<String, (u32, Instant)>,
}

impl Aggregator {
    /// Decides about words said at `now`, which Kubernetes writes as `time`; a new Event is called `name`.
    pub(super) fn decide(&mut self, words: &Words, name: String, time: &str, now: Instant) -> Decision {
        if !self.take_token(&words.app, now) {
            return Decision::Drop;
        }
        if let Some(known) = self.known.get_mut(words)
            && now.duration_since(known.last) < SAME_FOR
        {
            known.count = known.count.saturating_add(1);
            known.last = now;
            return Decision::Count(known.clone());
        }
        self.make_room(now);
        let known = Known { name, count: 1, first: time.to_owned(), last: now };
        self.known.insert(words.clone(), known.clone());
        Decision::Create(known)
    }

    /// Forgets an Event that is not there (any more): it is created next time.
    pub(super) fn forget(&mut self, words: &Words) {
        self.known.remove(words);
    }

    /// Forgets an app that is gone.
    pub(super) fn forget_app(&mut self, app: &str) {
        self.known.retain(|words, _| words.app != app);
        self.budgets.remove(app);
    }

    fn take_token(&mut self, app: &str, now: Instant) -> bool {
        let (tokens, counted) = self.budgets.entry(app.to_owned()).or_insert((BURST, now));
        let refills = now.duration_since(*counted).as_secs() / REFILL_EVERY.as_secs();
        if let Ok(refills) = u32::try_from(refills)
            && refills > 0
        {
            *tokens = tokens.saturating_add(refills).min(BURST);
            *counted += REFILL_EVERY * refills;
        }
        let left = tokens.checked_sub(1);
        *tokens = left.unwrap_or(0);
        left.is_some()
    }

    fn make_room(&mut self, now: Instant) {
        if self.known.len() < KNOWN_MAX {
            return;
        }
        self.known.retain(|_, known| now.duration_since(known.last) < SAME_FOR);
        if self.known.len() >= KNOWN_MAX {
            // Rare: it costs a second Event of the same words at worst.
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(app: &str, message: &str) -> Words {
        Words { app: app.to_owned(), reason: "Synced", message: message.to_owned() }
    }

    fn decide(aggregator: &mut Aggregator, words: &Words, at: Instant) -> (bool, u32) {
        match aggregator.decide(words, "name".to_owned(), "time", at) {
            Decision::Create(known) => (true, known.count),
            Decision::Count(known) => (false, known.count),
            Decision::Drop => (false, 0),
        }
    }

    #[test]
    fn the_same_words_are_counted_until_they_are_old() {
        let (mut aggregator, start) = (Aggregator::default(), Instant::now());
        let said = words("web", "a");
        assert_eq!(decide(&mut aggregator, &said, start), (true, 1));
        assert_eq!(decide(&mut aggregator, &said, start + Duration::from_secs(599)), (false, 2));
        assert_eq!(decide(&mut aggregator, &words("web", "b"), start), (true, 1));
        assert_eq!(decide(&mut aggregator, &said, start + Duration::from_secs(1_199)), (true, 1));
        aggregator.forget(&said);
        assert_eq!(decide(&mut aggregator, &said, start + Duration::from_secs(1_200)), (true, 1));
    }

    #[test]
    fn one_app_cannot_use_up_what_others_may_say() {
        let (mut aggregator, start) = (Aggregator::default(), Instant::now());
        let said = |number: u32| words("web", &number.to_string());
        let taken = (0..100).filter(|number| decide(&mut aggregator, &said(*number), start).1 > 0).count();
        assert_eq!(taken, BURST as usize);
        assert_eq!(decide(&mut aggregator, &words("api", "a"), start), (true, 1));
        assert_eq!(decide(&mut aggregator, &said(200), start + REFILL_EVERY), (true, 1));
        assert_eq!(decide(&mut aggregator, &said(201), start + REFILL_EVERY), (false, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut aggregator, start) = (Aggregator::default(), Instant::now());
        for number in 0..3 * KNOWN_MAX {
            decide(&mut aggregator, &words(&number.to_string(), "a"), start);
        }
        assert!(aggregator.known.len() <= KNOWN_MAX);
        aggregator.forget_app("0");
        assert!(!aggregator.budgets.contains_key("0"));
    }
}
