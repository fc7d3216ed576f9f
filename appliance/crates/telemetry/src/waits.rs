//! How long calls wait for their turn, by class.

use std::time::Duration;

use protocol::Class;

use crate::histogram::{Sum, Times};
use crate::metric::Metric;

/// Times waits, however they end. Calls that need not wait are not counted.
#[derive(Debug, Default)]
pub struct WaitMeter([Times; Class::ALL.len()]);

impl WaitMeter {
    /// Notes a wait that has ended.
    pub fn note(&self, class: Class, waited: Duration) {
        self.0[class as usize].note(waited);
    }

    /// Writes everything in the Prometheus text format. Classes that never waited are left out.
    pub fn render(&self, out: &mut String) {
        let metric = Metric::QueueWaitSeconds;
        metric.write_head(out);
        for (class, times) in Class::ALL.into_iter().zip(&self.0) {
            let mut sum = Sum::default();
            sum.add(times);
            if sum.count() > 0 {
                sum.write(metric.name(), &format!("class=\"{}\"", class.as_str()), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_shown_by_class_and_range() {
        let meter = WaitMeter::default();
        meter.note(Class::Work, Duration::from_millis(20));
        meter.note(Class::Work, Duration::from_millis(30));
        let mut out = String::new();
        meter.render(&mut out);
        for line in [
            "# TYPE toolrack_queue_wait_seconds histogram\n",
            "toolrack_queue_wait_seconds_bucket{class=\"work\",le=\"0.025\"} 1\n",
            "toolrack_queue_wait_seconds_bucket{class=\"work\",le=\"+Inf\"} 2\n",
            "toolrack_queue_wait_seconds_sum{class=\"work\"} 0.05\n",
            "toolrack_queue_wait_seconds_count{class=\"work\"} 2\n",
        ] {
            assert!(out.contains(line), "{line}: {out}");
        }
        assert!(!out.contains("read"), "{out}");
    }
}
