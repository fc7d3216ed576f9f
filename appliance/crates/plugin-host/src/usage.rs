//! What a thread of ours spent: tells a call that held it from one that was made to wait for a core.

use std::time::Duration;

/// What the calling thread has spent so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadUsage {
    cpu: Duration,
    /// How often it gave up its core to wait for something.
    waits: i64,
}

impl ThreadUsage {
    /// A system call: too much for every call into a plugin. `None` when the system does not say.
    pub(crate) fn now() -> Option<Self> {
        // SAFETY: `rusage` is numbers all through, for which zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes to the struct that is borrowed here, and nowhere else.
        let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        let time = |time: libc::timeval| {
            let secs = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
            secs + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
        };
        (result == 0).then(|| Self {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            waits: usage.ru_nvcsw,
        })
    }

    /// Whether the thread worked for longer than `limit` since `earlier`, or waited for something of its own accord.
    pub(crate) fn was_held(self, earlier: Self, limit: Duration) -> bool {
        self.cpu.saturating_sub(earlier.cpu) > limit || self.waits > earlier.waits
    }
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
    fn waiting_of_its_own_accord_holds_a_thread() {
        let begun = ThreadUsage::now().expect("Linux tells");
        // Nobody ever unparks: the wait ends at its time.
        std::thread::park_timeout(Duration::from_millis(1));
        assert!(ThreadUsage::now().expect("Linux tells").was_held(begun, LONG));
    }
}
