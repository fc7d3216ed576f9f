//! Counts and times calls: one array of atomics, no lookups.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use protocol::{Content, Era, Method, Outcome, Refusal, Reply};

/// Upper ends of the latency buckets, in microseconds: from a direct call to the default deadline.
const BUCKETS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum End {
    Result,
    ToolError,
    Question,
    Error,
    Refused,
    Dropped,
}

const ENDS: [&str; 6] = ["result", "tool_error", "input_required", "error", "refused", "dropped"];

/// One method in one era.
#[derive(Default)]
struct Series {
    ends: [AtomicU64; ENDS.len()],
    buckets: [AtomicU64; BUCKETS_US.len()],
    sum_us: AtomicU64,
}

/// Counts and times every call that goes through the stack.
pub struct CallMeter {
    /// By era, then by method; the last is for unknown ones.
    series: [Box<[Series]>; 2],
}

impl Default for CallMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl CallMeter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let methods = || (0..=Method::ALL.len()).map(|_| Series::default()).collect();
        Self { series: [methods(), methods()] }
    }

    fn series(&self, method: Method, era: Era) -> &Series {
        // `ALL` holds the variants in their order, and `Unknown` comes after them.
        let methods = &self.series[usize::from(era == Era::Modern)];
        &methods[(method as usize).min(methods.len() - 1)]
    }

    /// Begins to time a call.
    #[must_use]
    pub fn start(&self, method: Method, era: Era) -> Measured<'_> {
        Measured { series: self.series(method, era), begun: Instant::now(), end: End::Dropped }
    }

    /// Writes everything in the Prometheus text format. Series that never counted are left out.
    pub fn render(&self, out: &mut String) {
        out.push_str("# HELP toolrack_calls_total Calls that went through the stack, by how they ended.\n# TYPE toolrack_calls_total counter\n");
        self.each(|labels, series| {
            for (end, count) in ENDS.iter().zip(&series.ends) {
                let count = count.load(Relaxed);
                if count > 0 {
                    writeln!(out, "toolrack_calls_total{{{labels},result=\"{end}\"}} {count}").ok();
                }
            }
        });
        out.push_str("# HELP toolrack_call_seconds Time from the parsed call to its answer.\n# TYPE toolrack_call_seconds histogram\n");
        self.each(|labels, series| {
            let total: u64 = series.ends.iter().map(|count| count.load(Relaxed)).sum();
            let mut below = 0;
            for (end, count) in BUCKETS_US.iter().zip(&series.buckets) {
                below += count.load(Relaxed);
                writeln!(out, "toolrack_call_seconds_bucket{{{labels},le=\"{}\"}} {below}", seconds(*end)).ok();
            }
            writeln!(out, "toolrack_call_seconds_bucket{{{labels},le=\"+Inf\"}} {total}").ok();
            writeln!(out, "toolrack_call_seconds_sum{{{labels}}} {}", seconds(series.sum_us.load(Relaxed))).ok();
            writeln!(out, "toolrack_call_seconds_count{{{labels}}} {total}").ok();
        });
    }

    fn each(&self, mut act: impl FnMut(&str, &Series)) {
        for (era, methods) in ["legacy", "modern"].iter().zip(&self.series) {
            let names = Method::ALL.iter().map(|method| method.as_str()).chain([Method::Unknown.as_str()]);
            for (method, series) in names.zip(methods) {
                if series.ends.iter().any(|count| count.load(Relaxed) > 0) {
                    act(&format!("era=\"{era}\",method=\"{method}\""), series);
                }
            }
        }
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// A call that is being timed. Dropped without an end, it counts as dropped by its client.
pub struct Measured<'m> {
    series: &'m Series,
    begun: Instant,
    end: End,
}

impl Measured<'_> {
    /// Ends the measurement.
    pub fn end(mut self, result: &Result<Reply, Refusal>) {
        self.end = match result {
            Err(_) => End::Refused,
            Ok(reply) => match &reply.outcome {
                Outcome::Failed(_) => End::Error,
                Outcome::InputRequired(_) => End::Question,
                Outcome::Done(
                    Content::Text { is_error: true, .. } | Content::Structured { is_error: true, .. },
                ) => End::ToolError,
                Outcome::Done(_) => End::Result,
            },
        };
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let took_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.series.ends[self.end as usize].fetch_add(1, Relaxed);
        self.series.sum_us.fetch_add(took_us, Relaxed);
        let bucket = BUCKETS_US.partition_point(|end| *end < took_us);
        if let Some(bucket) = self.series.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_counted_under_their_own_names() {
        let meter = CallMeter::new();
        for (index, method) in Method::ALL.iter().enumerate() {
            assert_eq!(*method as usize, index);
        }
        let reply = Ok(Outcome::Done(Content::Ready(bytes::Bytes::new())).into());
        meter.start(Method::ToolsCall, Era::Modern).end(&reply);
        drop(meter.start(Method::Unknown, Era::Legacy));
        let mut out = String::new();
        meter.render(&mut out);
        assert!(out.contains("toolrack_calls_total{era=\"modern\",method=\"tools/call\",result=\"result\"} 1\n"), "{out}");
        assert!(out.contains("toolrack_calls_total{era=\"legacy\",method=\"unknown\",result=\"dropped\"} 1\n"), "{out}");
        assert!(out.contains("toolrack_call_seconds_count{era=\"modern\",method=\"tools/call\"} 1\n"), "{out}");
    }
}
