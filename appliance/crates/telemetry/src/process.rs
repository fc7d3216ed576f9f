//! What the kernel says of this process: memory, processor time, threads, file descriptors.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::kernel::field;
use crate::metric::Metric;
use crate::samples::Samples;

impl Samples {
    /// Adds what the kernel says of this process. What it does not say is left out.
    pub fn process(&mut self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kib) = field(&status, "VmRSS:") {
            self.set(Metric::ResidentBytes, &[], kib << 10);
        }
        if let Some(threads) = field(&status, "Threads:") {
            self.set(Metric::Threads, &[], threads);
        }
        if let Some(open) = open_fds() {
            self.set(Metric::OpenFds, &[], open);
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            self.set(Metric::MaxFds, &[], limit);
        }
        let used = clock_gettime(ClockId::ProcessCPUTime);
        self.set(
            Metric::CpuSeconds,
            &[],
            format_args!("{}.{:03}", used.tv_sec, used.tv_nsec / 1_000_000),
        );
    }
}

/// Linux 6.2 and later tell the number as the folder's size; older ones say 0, and the entries are
/// counted.
fn open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size);
    }
    // The descriptor that reads the folder is in it.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_field_of_the_status_file() {
        let status = "Name:\ttoolrack\nVmRSS:\t   11264 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(11_264));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn counts_the_files_that_are_open() {
        let before = open_fds().expect("Linux has /proc");
        let files: Vec<_> = (0..64).map(|_| fs::File::open("/dev/null").expect("opens")).collect();
        let after = open_fds().expect("Linux has /proc");
        drop(files);
        // Other tests of this process open and close files as well, but not tens of them.
        assert!((48..=80).contains(&(after - before)), "{before} {after}");
    }

    #[test]
    fn shows_every_metric_of_the_process() {
        let mut samples = Samples::new();
        samples.process();
        let mut out = String::new();
        samples.render(&mut out);
        for metric in Metric::ALL.iter().filter(|metric| metric.name().starts_with("process_")) {
            assert!(out.contains(&format!("\n{} ", metric.name())), "{metric:?} is not in {out}");
        }
    }
}
