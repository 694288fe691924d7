//! How long ago, in the few characters a column has.

use jiff::Timestamp;

/// `42s`, `3m`, `5h`, `12d`, `2y`: one unit, rounded down. A time that is not known is `-`; one that
/// has yet to come (two clocks never agree) is `0s`.
pub(crate) fn age(time: Option<Timestamp>, now: Timestamp) -> String {
    let Some(time) = time else { return "-".to_owned() };
    seconds(now.as_second().saturating_sub(time.as_second()))
}

/// `42s ago`, or `never` for a time that is not known.
pub(crate) fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        Some(_) => format!("{} ago", age(time, now)),
        None => "never".to_owned(),
    }
}

/// `in 23h`, or `expired 3m ago`; `-` for a time that is not known.
pub(crate) fn until(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        Some(end) if end > now => format!("in {}", seconds(end.as_second().saturating_sub(now.as_second()))),
        Some(_) => format!("expired {}", ago(time, now)),
        None => "-".to_owned(),
    }
}

fn seconds(seconds: i64) -> String {
    match seconds.max(0) {
        second @ ..60 => format!("{second}s"),
        second @ ..3_600 => format!("{}m", second / 60),
        second @ ..86_400 => format!("{}h", second / 3_600),
        second @ ..31_536_000 => format!("{}d", second / 86_400),
        second => format!("{}y", second / 31_536_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let before = |seconds: i64| Some(Timestamp::from_second(1_000_000_000 - seconds).unwrap());
        for (seconds, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (3_600, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (31_536_000, "1y"),
        ] {
            assert_eq!(age(before(seconds), now), expected);
        }
        assert_eq!(age(None, now), "-");
        assert_eq!(ago(None, now), "never");
        assert_eq!(ago(before(3), now), "3s ago");
        assert_eq!(until(before(-7200), now), "in 2h");
        assert_eq!(until(before(7200), now), "expired 2h ago");
    }
}
