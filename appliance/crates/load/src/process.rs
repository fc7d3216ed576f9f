//! What a process of this machine holds and has used, as `/proc` says.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory in bytes. Exact, unlike `VmRSS`, which the kernel counts in batches of each thread.
///
/// # Errors
/// The file that could not be read.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes * 1024).ok_or_else(|| format!("{path}: no Rss"))
}

/// Open descriptors.
///
/// # Errors
/// The folder that could not be read.
pub fn descriptors(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/fd");
    let folder = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(folder.count() as u64)
}

/// Processor time of this process, in user and kernel.
///
/// # Errors
/// As [`processor_time`].
pub fn own_processor_time() -> Result<Duration, String> {
    processor_time(std::process::id())
}

/// Processor time, in user and kernel.
///
/// # Errors
/// The file that could not be read.
pub fn processor_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let ticks = ticks(&text).ok_or_else(|| format!("{path}: no times in it"))?;
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}

/// User and kernel time in clock ticks: fields 14 and 15 of `/proc/PID/stat`, counted from 1. The second field is the
/// program's name and may hold anything, so counting begins after it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

/// Allows this process, and what it starts, as many descriptors as the system lets it have; how many.
///
/// # Errors
/// Why the system did not.
pub fn raise_descriptors() -> Result<u64, String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("cannot raise the limit of descriptors: {error}"))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_times_behind_any_program_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn reads_its_own_cost() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(descriptors(pid).unwrap() >= 3);
        assert!(own_processor_time().is_ok());
    }
}
