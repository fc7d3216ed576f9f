//! How many cores and how much memory this process may use: limits of its container come first.

use std::fs;
use std::path::{Path, PathBuf};

/// What this process may use.
pub(crate) struct Hardware {
    /// Cores, rounded up.
    pub(crate) cores: usize,
    /// What limits them.
    pub(crate) cores_from: &'static str,
    /// Bytes.
    pub(crate) memory_bytes: u64,
    /// What limits them.
    pub(crate) memory_from: &'static str,
}

/// Limits of version 1 that mean none are written as numbers near the largest.
const NO_LIMIT: u64 = 1 << 60;

impl Hardware {
    /// Looks at the kernel's files.
    pub(crate) fn read() -> Self {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let (cores, cores_from) = match quota_cores() {
            Some(quota) if quota < available => (quota, "control group"),
            _ => (available, "processor affinity"),
        };
        let total = meminfo_total().unwrap_or(0);
        let (memory_bytes, memory_from) = match memory_limit() {
            Some(limit) if total == 0 || limit < total => (limit, "control group"),
            _ => (total, "machine"),
        };
        Self { cores, cores_from, memory_bytes, memory_from }
    }
}

/// The folders of this process's control group and all around it, innermost first.
fn groups(controller: &str, root: &str) -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        (controllers.split(',').any(|found| found == controller)).then(|| path.to_owned())
    });
    let Some(path) = path else { return Vec::new() };
    let relative = Path::new(path.trim_start_matches('/'));
    relative.ancestors().map(|part| Path::new(root).join(part)).collect()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn memory_limit() -> Option<u64> {
    let second = groups("", "/sys/fs/cgroup")
        .into_iter()
        .filter_map(|group| number(&group.join("memory.max")));
    let first = groups("memory", "/sys/fs/cgroup/memory")
        .into_iter()
        .filter_map(|group| number(&group.join("memory.limit_in_bytes")));
    second.chain(first).filter(|limit| *limit < NO_LIMIT).min()
}

fn quota_cores() -> Option<usize> {
    let second = groups("", "/sys/fs/cgroup").into_iter().filter_map(|group| {
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
    });
    let first = groups("cpu", "/sys/fs/cgroup/cpu").into_iter().filter_map(|group| {
        // Minus one is no number here: no quota.
        Some((number(&group.join("cpu.cfs_quota_us"))?, number(&group.join("cpu.cfs_period_us"))?))
    });
    let cores = second
        .chain(first)
        .filter(|(_, period)| *period > 0)
        .map(|(quota, period)| quota.div_ceil(period));
    cores.min().and_then(|cores| usize::try_from(cores.max(1)).ok())
}

fn meminfo_total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
