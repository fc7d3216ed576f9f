//! What a thread of ours spent: tells a call that held it from one that was made to wait for a core.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What the calling thread has spent so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadUsage {
    cpu: Duration,
    /// How often it gave up its core to wait for something.
    waits: i64,
}

impl ThreadUsage {
    /// Two system calls: too much for every call into a plugin. `None` when the system does not say.
    pub(crate) fn now() -> Option<Self> {
        // SAFETY: `rusage` is numbers all through, for which zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes to the struct that is borrowed here, and nowhere else.
        let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        (result == 0).then(|| Self { cpu: cpu(), waits: usage.ru_nvcsw })
    }

    /// Whether the thread worked for longer than `limit` since `earlier`, or waited for something of its own accord.
    pub(crate) fn was_held(self, earlier: Self, limit: Duration) -> bool {
        self.cpu.saturating_sub(earlier.cpu) > limit || self.waits > earlier.waits
    }
}

/// The processor time of this thread to this moment. That of `getrusage` stands still between two ticks, and whoever is
/// on its core when one comes gets the milliseconds of all before it.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_above_the_limit_holds_a_thread() {
        let begun = ThreadUsage::now().expect("Linux tells");
        while !ThreadUsage::now().expect("Linux tells").was_held(begun, Duration::from_millis(2)) {}
        let end = ThreadUsage::now().expect("Linux tells");
        assert!(end.cpu - begun.cpu >= Duration::from_millis(2) || end.waits > begun.waits);
    }

    #[test]
    fn work_is_told_between_two_ticks_of_the_system() {
        let begun = cpu();
        let mut readings = vec![begun];
        while readings.last().is_some_and(|last| *last - begun < Duration::from_millis(20)) {
            let now = cpu();
            if readings.last() != Some(&now) {
                readings.push(now);
            }
        }
        // At the slowest tick, of a hundred a second, there would be two or three.
        assert!(readings.len() > 100, "{}", readings.len());
    }

    #[test]
    fn waiting_of_its_own_accord_holds_a_thread() {
        let begun = ThreadUsage::now().expect("Linux tells");
        // Nobody ever unparks: the wait ends at its time.
        std::thread::park_timeout(Duration::from_millis(1));
        assert!(ThreadUsage::now().expect("Linux tells").was_held(begun, LONG));
    }
}
