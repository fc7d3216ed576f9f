//! A tool's promise not to block, and what it is judged by.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::usage::ThreadUsage;

/// How long a tool is watched closely after it held its thread for too long.
const WINDOW: Duration = Duration::from_secs(1);
/// One overrun among more calls than this is what a busy or a virtual machine does to any tool: its time goes on while
/// another system has the core, and nobody inside can tell.
const CALLS_PER_OVERRUN: u32 = 100;

/// A tool's record of keeping its promise.
pub(crate) struct Promise {
    born: Instant,
    /// Until when the tool is watched closely: nanoseconds since `born`.
    watched_until_ns: AtomicU64,
    /// Calls while it is.
    calls: AtomicU32,
    /// Those of them that held their thread.
    overruns: AtomicU32,
    is_broken: AtomicBool,
}

/// One call of a tool that promised not to block, beyond the limit.
pub(crate) struct Overrun {
    /// How long the call took.
    pub(crate) took: Duration,
    /// Whether the promise is broken from this call on.
    pub(crate) breaks: bool,
}

impl Default for Promise {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            watched_until_ns: AtomicU64::new(0),
            calls: AtomicU32::new(0),
            overruns: AtomicU32::new(0),
            is_broken: AtomicBool::new(false),
        }
    }
}

impl Promise {
    /// Whether the tool has to run elsewhere.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    /// Runs one call on this thread, `begun` right now. Tells when the call itself, not a wait for a core, held the thread for longer than
    /// `limit`; at `overruns_max` of them in a second, and one in a hundred calls, the promise is broken.
    pub(crate) fn keep(
        &self,
        begun: Instant,
        limit: Duration,
        overruns_max: u32,
        call: impl FnOnce(),
    ) -> Option<Overrun> {
        let is_watched = self.since_born(begun) < self.watched_until_ns.load(Relaxed);
        let before = if is_watched { ThreadUsage::now() } else { None };
        call();
        let took = begun.elapsed();
        let calls = if is_watched { self.calls.fetch_add(1, Relaxed) + 1 } else { 0 };
        if took <= limit {
            return None;
        }
        if !is_watched {
            // Perhaps this thread only had to wait for a core. The next calls are watched closely.
            self.watch(begun + took);
            return None;
        }
        if before.zip(ThreadUsage::now()).is_some_and(|(before, now)| !now.was_held(before, limit))
        {
            return None;
        }
        let overruns = self.overruns.fetch_add(1, Relaxed) + 1;
        let is_often = overruns >= calls / CALLS_PER_OVERRUN;
        let breaks = overruns >= overruns_max && is_often && !self.is_broken.swap(true, Relaxed);
        Some(Overrun { took, breaks })
    }

    fn watch(&self, now: Instant) {
        self.calls.store(0, Relaxed);
        self.overruns.store(0, Relaxed);
        self.watched_until_ns.store(self.since_born(now + WINDOW), Relaxed);
    }

    fn since_born(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(2);

    /// Holds its thread until it has spent twice the limit.
    fn hold() {
        let begun = ThreadUsage::now().expect("Linux tells");
        while !ThreadUsage::now().expect("Linux tells").was_held(begun, 2 * LIMIT) {}
    }

    fn broke_within(promise: &Promise, calls: u32, mut call: impl FnMut(u32)) -> bool {
        (0..calls).any(|n| {
            promise.keep(Instant::now(), LIMIT, 3, || call(n)).is_some_and(|overrun| overrun.breaks)
        })
    }

    #[test]
    fn a_tool_that_holds_its_thread_each_time_breaks_it_soon() {
        let promise = Promise::default();
        assert!(broke_within(&promise, 50, |_| hold()));
        assert!(promise.is_broken());
    }

    #[test]
    fn a_tool_that_rarely_holds_its_thread_keeps_it() {
        let promise = Promise::default();
        assert!(!broke_within(&promise, 10_000, |n| if n % 500 == 0 {
            hold()
        }));
        assert!(!promise.is_broken());
    }

    #[test]
    fn the_first_overrun_only_makes_suspect() {
        let promise = Promise::default();
        assert!(promise.keep(Instant::now(), LIMIT, 1, hold).is_none());
        assert!(!promise.is_broken());
    }
}
