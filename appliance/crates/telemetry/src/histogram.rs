//! How long things took, by ranges: atomics that everybody writes, and a scrape adds up.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the ranges, in microseconds: from a direct call into a plugin to the longest
/// deadline that is usual. At most three times apart, so that a quantile that is read from them is
/// of the right size.
pub(crate) const ENDS_US: [u64; 20] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Times, as they are noted.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// The last is for what took longer than every range.
    ranges: [AtomicU64; ENDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Times {
    /// Notes one.
    pub(crate) fn note(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(took_ns, Relaxed);
        let range = ENDS_US.partition_point(|end| end * 1_000 < took_ns);
        self.ranges[range].fetch_add(1, Relaxed);
    }
}

/// Times, as they are shown.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    ranges: [u64; ENDS_US.len() + 1],
    sum_ns: u64,
}

impl Sum {
    /// Adds what was noted in one place.
    pub(crate) fn add(&mut self, times: &Times) {
        for (sum, count) in self.ranges.iter_mut().zip(&times.ranges) {
            *sum += count.load(Relaxed);
        }
        self.sum_ns += times.sum_ns.load(Relaxed);
    }

    /// How many there are in each range.
    pub(crate) const fn ranges(&self) -> [u64; ENDS_US.len() + 1] {
        self.ranges
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.ranges.iter().sum()
    }

    /// Writes them in the Prometheus text format.
    pub(crate) fn write(&self, name: &str, labels: &str, out: &mut String) {
        let mut below = 0;
        for (end, count) in ENDS_US.iter().zip(&self.ranges) {
            below += count;
            let end = Duration::from_micros(*end).as_secs_f64();
            writeln!(out, "{name}_bucket{{{labels},le=\"{end}\"}} {below}").ok();
        }
        // Not a count of its own: what is noted in between would make the last range the smaller.
        let all = self.count();
        let sum = Duration::from_nanos(self.sum_ns).as_secs_f64();
        writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}").ok();
        writeln!(out, "{name}_sum{{{labels}}} {sum}").ok();
        writeln!(out, "{name}_count{{{labels}}} {all}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_at_most_three_times_as_high_as_the_one_before() {
        assert!(ENDS_US.is_sorted_by(|low, high| low < high && *high <= low * 3));
    }
}
