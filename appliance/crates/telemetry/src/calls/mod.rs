//! Counts and times calls: arrays of atomics, no lookups and no allocation.
//!
//! The histogram is ours because one of the `metrics` crate keeps every value until the next
//! scrape. Counts are kept in shards, one for each few threads, so that threads do not pass cache
//! lines around; a scrape adds them up.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use protocol::{Content, Era, Method, Outcome, Refusal, Reply, codes};

use crate::histogram::{self, Sum, Times};
use crate::metric::Metric;

/// Most shards: above as many threads, two of them rarely meet in one.
const SHARDS_MAX: usize = 16;

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

/// The values of the label `result`, in the order of [`End`].
const ENDS: [&str; 6] = ["result", "tool_error", "input_required", "error", "refused", "dropped"];

/// The values of the label `era`.
const ERAS: [&str; 2] = ["legacy", "modern"];

/// One method in one era, as far as one shard saw it. Aligned, so that it shares no cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Series {
    ends: [AtomicU64; ENDS.len()],
    /// Of the errors, those that are no fault of the caller.
    faults: AtomicU64,
    times: Times,
}

/// What was counted so far, of all methods and both eras.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallReading {
    /// Calls that ended without being refused.
    pub passed: u64,
    /// Of those, calls that ended as the error of a tool, or as an internal error.
    pub failed: u64,
    /// All calls by how long they took: up to each of [`CallReading::ENDS_US`], and longer than all of them.
    pub times: [u64; Self::ENDS_US.len() + 1],
}

impl CallReading {
    /// Upper ends of the ranges of times, in microseconds.
    pub const ENDS_US: [u64; 20] = histogram::ENDS_US;
}

/// Counts and times every call that goes through the stack.
#[derive(Debug)]
pub struct CallMeter {
    /// As many as a power of two.
    shards: Box<[Shard]>,
}

/// By era, then by method; the last is for unknown ones.
type Shard = [Box<[Series]>; ERAS.len()];

impl Default for CallMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl CallMeter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = threads.next_power_of_two().min(SHARDS_MAX);
        // `ALL` holds the variants in their order, and `Unknown` comes after them.
        let methods = || (0..=Method::ALL.len()).map(|_| Series::default()).collect();
        Self { shards: (0..shards).map(|_| [methods(), methods()]).collect() }
    }

    /// Times a call that came in at `begun`.
    #[must_use]
    pub fn start(&self, method: Method, era: Era, begun: Instant) -> Measured<'_> {
        Measured { meter: self, method, era, begun, end: End::Dropped, is_fault: false }
    }

    /// The series of this thread.
    fn series(&self, method: Method, era: Era) -> &Series {
        let shard = &self.shards[thread_number() & (self.shards.len() - 1)];
        let methods = &shard[usize::from(era == Era::Modern)];
        &methods[(method as usize).min(methods.len() - 1)]
    }

    fn count(&self, method: Method, era: Era, end: End, took: Duration) -> &Series {
        // The shard of the thread that ends the call: another one may have begun it.
        let series = self.series(method, era);
        series.ends[end as usize].fetch_add(1, Relaxed);
        series.times.note(took);
        series
    }

    /// Everything that was counted so far.
    #[must_use]
    pub fn reading(&self) -> CallReading {
        let (mut reading, mut sum) = (CallReading::default(), Sum::default());
        for series in self.shards.iter().flatten().flatten() {
            let count = |end: End| series.ends[end as usize].load(Relaxed);
            reading.failed += count(End::ToolError) + series.faults.load(Relaxed);
            reading.passed +=
                [End::Result, End::ToolError, End::Question, End::Error, End::Dropped]
                    .map(count)
                    .iter()
                    .sum::<u64>();
            sum.add(&series.times);
        }
        reading.times = sum.ranges();
        reading
    }

    /// Writes everything in the Prometheus text format. Series that never counted are left out.
    pub fn render(&self, out: &mut String) {
        let totals = self.totals();
        let (calls, seconds) = (Metric::Calls, Metric::CallSeconds);
        calls.write_head(out);
        for Total { labels, ends, .. } in &totals {
            for (end, count) in ENDS.iter().zip(ends).filter(|(_, count)| **count > 0) {
                writeln!(out, "{}{{{labels},result=\"{end}\"}} {count}", calls.name()).ok();
            }
        }
        seconds.write_head(out);
        for total in &totals {
            total.times.write(seconds.name(), &total.labels, out);
        }
    }

    /// Adds up the shards.
    fn totals(&self) -> Vec<Total> {
        let names = || Method::ALL.iter().chain([&Method::Unknown]).enumerate();
        let mut totals = Vec::new();
        for (era, era_name) in ERAS.iter().enumerate() {
            for (at, method) in names() {
                let mut total = Total::default();
                for shard in &self.shards {
                    total.add(&shard[era][at]);
                }
                if total.ends.iter().any(|count| *count > 0) {
                    total.labels = format!("era=\"{era_name}\",method=\"{}\"", method.as_str());
                    totals.push(total);
                }
            }
        }
        totals
    }
}

/// The number of the thread that asks: threads count from 0 in the order of their first call.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Relaxed));
    NUMBER.with(|number| *number)
}

/// One method in one era, from all shards.
#[derive(Default)]
struct Total {
    labels: String,
    ends: [u64; ENDS.len()],
    times: Sum,
}

impl Total {
    fn add(&mut self, series: &Series) {
        for (sum, count) in self.ends.iter_mut().zip(&series.ends) {
            *sum += count.load(Relaxed);
        }
        self.times.add(&series.times);
    }
}

/// A call that is being timed. Dropped without an end, it counts as dropped by its client.
#[derive(Debug)]
pub struct Measured<'m> {
    meter: &'m CallMeter,
    method: Method,
    era: Era,
    begun: Instant,
    end: End,
    is_fault: bool,
}

impl Measured<'_> {
    /// Ends the measurement.
    pub fn end(mut self, result: &Result<Reply, Refusal>) {
        self.end = match result {
            Err(_) => End::Refused,
            Ok(reply) => match &reply.outcome {
                Outcome::Failed(fault) => {
                    self.is_fault = fault.code == codes::INTERNAL_ERROR;
                    End::Error
                }
                Outcome::InputRequired(_) => End::Question,
                Outcome::Done(
                    Content::Text { is_error: true, .. }
                    | Content::Structured { is_error: true, .. },
                ) => End::ToolError,
                Outcome::Done(_) => End::Result,
            },
        };
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let series = self.meter.count(self.method, self.era, self.end, self.begun.elapsed());
        if self.is_fault {
            series.faults.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
