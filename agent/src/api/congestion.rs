//! How many writes may be under way at once, so that the API server has room for others?
//!
//! ```text
//! answers quickly --> one more per round    429, 5xx, timeout --> half    slower and slower --> a fifth less
//! ```
//!
//! The rule is that of TCP congestion control (additive increase, multiplicative decrease; RFC 5681), with
//! rising latency as an early sign (RFC 8312 and TCP Vegas use it alike): a server that is busy answers
//! later long before it refuses.
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::ApiError;

/// Fewest and most writes at once. A server takes 200 of all its clients by default.
const WINDOW_MIN: f64 = 1.0;
const WINDOW_MAX: usize = 16;

/// Writes at once before anything is known.
const WINDOW_FIRST: usize = 8;

/// What is left of the window after a refusal, and after a rise in latency.
const LEFT_AFTER_REFUSAL: f64 = 0.5;
const LEFT_AFTER_RISE: f64 = 0.8;

/// How much slower than at its best the server may answer, and the latency that is never too slow.
const RISE_MAX: f64 = 4.0;
const LATENCY_FINE: Duration = Duration::from_millis(50);

/// How far the best latency moves towards the present one with each answer, so that a server which has
/// become slower for good is known as such after a few thousand answers.
const FORGET: f64 = 0.0002;

/// Weight of the last answer in the present latency: about the last eight count.
const SMOOTH: f64 = 0.125;

/// The answer to one write, as far as it tells of the server's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// After that long, whatever it said.
    After(Duration),
    /// The server has too much to do, or did not answer in time.
    Overloaded,
    /// It was not sent, or the connection broke: nothing can be learnt.
    Unknown,
}

impl Answer {
    /// What an answer tells that came after `took`.
    fn of<T>(result: &Result<T, ApiError>, took: Duration) -> Answer {
        match result {
            Err(ApiError::Overloaded { .. } | ApiError::Timeout) => Answer::Overloaded,
            Err(ApiError::Unreachable(_) | ApiError::NotLeading) => Answer::Unknown,
            _ => Answer::After(took),
        }
    }
}

/// The number of writes that may be under way, and what it follows from.
#[derive(Clone, Debug)]
struct Window {
    size: f64,
    /// The lowest latency, and that of the last few answers, in seconds.
    best: Option<f64>,
    present: f64,
    /// When it was made smaller last: the answers to what was sent before say nothing new.
    reduced_at: Option<Instant>,
}

impl Window {
    fn new() -> Window {
        Window { size: WINDOW_FIRST as f64, best: None, present: 0.0, reduced_at: None }
    }

    /// Writes allowed at once.
    fn writes(&self) -> usize {
        (self.size as usize).clamp(1, WINDOW_MAX)
    }

    /// Takes in an answer that came at `now`, while `under_way` writes were on their way.
    fn answered(&mut self, answer: Answer, under_way: usize, now: Instant) {
        match answer {
            Answer::Unknown => {}
            Answer::Overloaded => self.reduce(LEFT_AFTER_REFUSAL, now),
            Answer::After(latency) => {
                let latency = latency.as_secs_f64();
                let best = self.best.get_or_insert(latency);
                self.present = if self.present == 0.0 { latency } else { self.present };
                self.present += SMOOTH * (latency - self.present);
                *best = (*best + FORGET * (self.present - *best)).min(self.present);
                if self.present > (*best * RISE_MAX).max(LATENCY_FINE.as_secs_f64()) {
                    self.reduce(LEFT_AFTER_RISE, now);
                } else if under_way >= self.writes() {
                    // One more for each round of answers, and only when all of it was used.
                    self.size = (self.size + 1.0 / self.size).min(WINDOW_MAX as f64);
                }
            }
        }
    }

    fn reduce(&mut self, left: f64, now: Instant) {
        let round = Duration::from_secs_f64(self.present).max(LATENCY_FINE);
        if self.reduced_at.is_none_or(|at| now.duration_since(at) >= round) {
            self.size = (self.size * left).max(WINDOW_MIN);
            self.reduced_at = Some(now);
        }
    }
}

/// Lets writes through, as many at once as the server takes well.
pub(crate) struct Gate {
    state: Mutex<State>,
    /// As many as may be under way now.
    open: Semaphore,
    /// [`WINDOW_MAX`], less those under way.
    idle: Semaphore,
}

struct State {
    window: Window,
    /// Permits there are in `open`, taken or not.
    permits: usize,
    under_way: usize,
}

/// The right to send one write.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    open: Option<SemaphorePermit<'a>>,
    _busy: SemaphorePermit<'a>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            state: Mutex::new(State { window: Window::new(), permits: WINDOW_FIRST, under_way: 0 }),
            open: Semaphore::new(WINDOW_FIRST),
            idle: Semaphore::new(WINDOW_MAX),
        }
    }

    /// Waits for room; `None` when the gate is closed, which it never is.
    pub(crate) async fn enter(&self) -> Option<Pass<'_>> {
        let open = self.open.acquire().await.ok()?;
        let busy = self.idle.acquire().await.ok()?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).under_way += 1;
        Some(Pass { gate: self, open: Some(open), _busy: busy })
    }

    /// Waits until nothing is under way.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(WINDOW_MAX).unwrap_or(u32::MAX);
        // The gate is never closed, so this only fails when it is of no use any more.
        let _ = self.idle.acquire_many(all).await;
    }
}

impl Pass<'_> {
    /// The write was answered, after that long.
    pub(crate) fn answered<T>(self, result: &Result<T, ApiError>, took: Duration) {
        let answer = Answer::of(result, took);
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = state.under_way;
        state.window.answered(answer, under_way, Instant::now());
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way -= 1;
        let wanted = state.window.writes();
        if state.permits > wanted {
            // It shrinks as answers come in.
            state.permits -= 1;
            if let Some(permit) = self.open.take() {
                permit.forget();
            }
        } else if state.permits < wanted {
            self.gate.open.add_permits(wanted - state.permits);
            state.permits = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Gives so many equal answers to a window that is used whole, as far apart as that makes them.
    fn answers(window: &mut Window, now: &mut Instant, answer: Answer, count: usize) {
        for _ in 0..count {
            let round = if let Answer::After(latency) = answer { latency } else { ms(5) };
            *now += round / u32::try_from(window.writes()).unwrap();
            window.answered(answer, window.writes(), *now);
        }
    }

    #[test]
    fn it_grows_by_one_a_round_while_it_is_used_whole() {
        let (mut window, mut now) = (Window::new(), Instant::now());
        answers(&mut window, &mut now, Answer::After(ms(5)), 9);
        assert_eq!(window.writes(), 9);
        answers(&mut window, &mut now, Answer::After(ms(5)), 1_000);
        assert_eq!(window.writes(), WINDOW_MAX);
        let mut window = Window::new();
        for _ in 0..1_000 {
            window.answered(Answer::After(ms(5)), 1, now);
        }
        assert_eq!(window.writes(), WINDOW_FIRST, "one at a time shows nothing about more");
    }

    #[test]
    fn a_refusal_halves_it_once_a_round_and_never_below_one() {
        let (mut window, mut now) = (Window::new(), Instant::now());
        answers(&mut window, &mut now, Answer::Overloaded, 8);
        assert_eq!(window.writes(), 4, "the answers to one round are one sign");
        for _ in 0..10 {
            now += ms(100);
            window.answered(Answer::Overloaded, 1, now);
        }
        assert_eq!(window.writes(), 1);
        answers(&mut window, &mut now, Answer::After(ms(5)), 1_000);
        assert_eq!(window.writes(), WINDOW_MAX, "it recovers");
    }

    #[test]
    fn rising_latency_makes_it_smaller_before_anything_is_refused() {
        let (mut window, mut now) = (Window::new(), Instant::now());
        answers(&mut window, &mut now, Answer::After(ms(10)), 200);
        assert_eq!(window.writes(), WINDOW_MAX);
        answers(&mut window, &mut now, Answer::After(ms(45)), 200);
        assert_eq!(window.writes(), WINDOW_MAX, "45 ms are fine whatever was before");
        answers(&mut window, &mut now, Answer::After(ms(400)), 150);
        assert!(window.writes() <= 4, "{window:?}");
        answers(&mut window, &mut now, Answer::After(ms(400)), 50_000);
        assert!(window.writes() > 4, "a server that is slow by nature is not starved: {window:?}");
    }

    #[test]
    fn what_says_nothing_of_the_server_changes_nothing() {
        let (mut window, mut now) = (Window::new(), Instant::now());
        answers(&mut window, &mut now, Answer::Unknown, 100);
        assert_eq!(window.writes(), WINDOW_FIRST);
        let refused: Result<(), _> = Err(ApiError::Rejected { code: 422, message: String::new() });
        assert_eq!(Answer::of(&refused, ms(3)), Answer::After(ms(3)));
        let busy: Result<(), _> =
            Err(ApiError::Overloaded { code: 429, message: String::new(), retry_after: None });
        assert_eq!(Answer::of(&busy, ms(3)), Answer::Overloaded);
    }

    #[tokio::test]
    async fn the_gate_lets_through_as_many_as_the_window_has() {
        let gate = Gate::new();
        let busy: Result<(), _> = Err(ApiError::Timeout);
        let mut passes = Vec::new();
        for _ in 0..WINDOW_FIRST {
            passes.push(gate.enter().await.unwrap());
        }
        let full = tokio::time::timeout(ms(1), gate.enter()).await;
        assert!(full.is_err());
        for pass in passes {
            pass.answered(&busy, ms(30));
        }
        gate.idle().await;
        let permits = gate.open.available_permits();
        assert_eq!(permits, WINDOW_FIRST / 2, "shrunk to what the window says");
    }
}
