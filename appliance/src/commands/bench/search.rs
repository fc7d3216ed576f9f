//! The search for the peak: halving the distance between a rate that was carried and one that was not.

use load::receipt::{Envelope, Step};

/// Share of the calls that must be accepted at the peak.
const SUSTAINED: f64 = 0.99;
/// Beyond what the server answers as fast as it can, as a share of it: no higher rate is tried.
const BEYOND: f64 = 1.25;

/// What is known of the peak.
pub(super) struct Search {
    /// The highest rate that was carried, and how many calls were accepted in a second.
    carried: Option<(f64, f64)>,
    /// The lowest rate that was not.
    too_much: f64,
    /// The lowest rate that was tried, and how many calls were accepted in a second.
    lowest: Option<(f64, f64)>,
}

impl Search {
    /// Begins from the answers a second that came when the server set the pace.
    pub(super) const fn new(closed_per_sec: f64) -> Self {
        Self { carried: None, too_much: closed_per_sec * BEYOND, lowest: None }
    }

    /// The rate to try next.
    pub(super) fn rate(&self) -> f64 {
        match (self.carried, self.lowest) {
            (None, None) => self.too_much / BEYOND,
            (carried, _) => f64::midpoint(carried.map_or(0.0, |(rate, _)| rate), self.too_much),
        }
    }

    /// `rate` was tried; what came back.
    pub(super) fn note(&mut self, rate: f64, step: &Step) {
        let tried = (rate, step.goodput_per_sec);
        if step.offered > 0 && step.accepted as f64 >= SUSTAINED * step.offered as f64 {
            self.carried = Some(tried);
        } else {
            self.too_much = rate;
        }
        if self.lowest.is_none_or(|(lowest, _)| rate < lowest) {
            self.lowest = Some(tried);
        }
    }

    /// The highest rate that was carried, or else the lowest that was tried.
    pub(super) fn envelope(&self) -> Envelope {
        let (calls_per_sec, goodput) =
            self.carried.or(self.lowest).unwrap_or_else(|| (self.rate(), 0.0));
        Envelope {
            calls_per_sec,
            is_measured: true,
            is_sustained: Some(self.carried.is_some()),
            goodput_per_sec: Some(goodput),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::step;
    use super::*;

    /// Tries six rates on a server that carries so many calls a second.
    fn search(closed_per_sec: f64, carries_per_sec: f64) -> Envelope {
        let mut search = Search::new(closed_per_sec);
        for _ in 0..6 {
            let rate = search.rate();
            let accepted = rate.min(carries_per_sec);
            let refused = (rate - accepted) as u64;
            search.note(rate, &step("trial", 1.0, accepted as u64, refused));
        }
        search.envelope()
    }

    #[test]
    fn peak_is_found_within_a_few_percent() {
        for carries_per_sec in [700.0, 1_000.0, 1_200.0] {
            let envelope = search(1_000.0, carries_per_sec);
            let of_it = envelope.calls_per_sec / carries_per_sec;
            assert!((0.96..1.015).contains(&of_it), "{carries_per_sec}: {envelope:?}");
            assert_eq!(envelope.is_sustained, Some(true));
        }
    }

    #[test]
    fn server_that_carries_no_rate_has_the_lowest_that_was_tried() {
        let envelope = search(1_000.0, 1.0);
        assert_eq!(envelope.is_sustained, Some(false));
        assert_eq!(envelope.calls_per_sec, 1_000.0 / 32.0);
    }
}
