//! What time is it, for decisions that get the time passed in?

use std::{
    fmt,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// The two readings a decision may need.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time of day, for what is shown and for when certificates and tokens expire.
    pub wall: Timestamp,
    /// Since the hub started, for silence: it never jumps when the time of day is corrected.
    pub uptime: Duration,
}

/// The hub's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Both readings of this moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall: Timestamp::now(), uptime: self.started.elapsed() }
    }

    /// How long it is until then; zero when it is past.
    #[must_use]
    pub fn left_until(&self, time: Timestamp) -> Duration {
        time.duration_since(self.now().wall).try_into().unwrap_or(Duration::ZERO)
    }
}

/// As people read it, to the second.
pub(crate) fn for_people(time: Timestamp) -> impl fmt::Display {
    time.strftime("%Y-%m-%d %H:%M:%S UTC")
}

/// As protobuf has it.
#[must_use]
pub fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// `None` where the value is outside the years jiff knows (about -9999 to 9999).
#[must_use]
pub fn from_proto(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// How long it has been; nothing where the clock was put back.
pub(crate) fn passed(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way_to_protobuf_and_back() {
        for text in ["2026-11-23T10:00:00.123456789Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(from_proto(&to_proto(time)), Some(time), "{text}");
        }
        assert_eq!(from_proto(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
    }
}
