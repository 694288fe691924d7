//! Durations, and what is said of many of them.

use std::time::Duration;

/// The value below or at which `percent` of the sorted samples lie (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The median, the 99th percentile and the longest, in milliseconds.
pub(crate) fn percentiles(mut samples: Vec<Duration>) -> [f64; 3] {
    samples.sort();
    let values =
        [percentile(&samples, 50), percentile(&samples, 99), samples.last().copied().unwrap_or_default()];
    values.map(|value| value.as_secs_f64() * 1000.0)
}

/// `p50 | p99 | max` in milliseconds, as cells of a table.
pub(crate) fn cells(samples: Vec<Duration>) -> String {
    percentiles(samples).map(|value| format!("{value:.0} ms")).join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let samples = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(cells(samples), "50 ms | 99 ms | 100 ms");
        assert_eq!(cells(vec![Duration::from_millis(7)]), "7 ms | 7 ms | 7 ms");
        assert_eq!(cells(Vec::new()), "0 ms | 0 ms | 0 ms");
    }
}
