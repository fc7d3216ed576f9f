//! What the machine calls itself, and which of its processors does what.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processor's name for itself.
#[must_use]
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown", |(_, name)| name).to_owned()
}

/// The kernel's version.
#[must_use]
pub fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// The processors that this thread, and what it starts, may run on.
///
/// # Errors
/// Why the system does not tell.
pub fn processors() -> Result<Vec<usize>, String> {
    let set = sched_getaffinity(None)
        .map_err(|error| format!("cannot ask which processors there are: {error}"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect())
}

/// Keeps this thread, and what it starts from now on, on these processors.
///
/// # Errors
/// Why the system did not.
pub fn run_on(processors: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor);
    }
    sched_setaffinity(None, &set)
        .map_err(|error| format!("cannot stay on processors {processors:?}: {error}"))
}
