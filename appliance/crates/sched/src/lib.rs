//! What the kernel's scheduler is asked for, which no safe library asks.
//!
//! Linux shares a core out in slices, and lets a thread that asks for shorter ones run before those that ask for longer
//! ones. That is not priority: over any longer time its share is the same, so it takes no privilege and starves nobody.

use std::io;
use std::time::Duration;

/// The shortest that the kernel gives.
const SLICE: Duration = Duration::from_micros(100);

/// Asks for the shortest slices for the calling thread, so that it runs soon after it is woken however many others
/// would run. For threads that do little and must do it at once. One of a real-time policy is left as it is.
///
/// Linux before 6.12 accepts this and knows no slices of a thread's own.
///
/// # Errors
/// What the kernel says, for example where the call is filtered.
///
/// Source: Linux, `Documentation/scheduler/sched-eevdf.rst`; `sched_setattr(2)`.
pub fn take_short_slices() -> io::Result<()> {
    let mut attributes = attributes()?;
    let policy = attributes.sched_policy.cast_signed();
    if !matches!(policy, libc::SCHED_OTHER | libc::SCHED_BATCH) {
        return Ok(());
    }
    // All else goes back as it was read: the call would set niceness and flags as well.
    attributes.sched_runtime = u64::from(SLICE.subsec_nanos());
    // SAFETY: reads a struct of the size that it says it has, which is borrowed here; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How the calling thread is scheduled.
fn attributes() -> io::Result<libc::sched_attr> {
    // SAFETY: `sched_attr` is numbers all through, for which zeros are a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: writes at most `size` bytes to the struct that is borrowed here; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slice_of_the_calling_thread_changes() {
        let before = attributes().expect("Linux tells");
        let there = std::thread::spawn(|| {
            take_short_slices().expect("it takes no privilege");
            attributes()
        });
        let there = there.join().expect("no panic").expect("Linux tells");
        assert_eq!(
            (there.sched_policy, there.sched_nice),
            (before.sched_policy, before.sched_nice)
        );
        // Linux before 6.12 says 0.
        if before.sched_runtime != 0 {
            assert_eq!(there.sched_runtime, u64::from(SLICE.subsec_nanos()));
        }
        assert_eq!(attributes().expect("Linux tells").sched_runtime, before.sched_runtime);
    }
}
