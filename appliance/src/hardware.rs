//! How many cores, how much memory and how many descriptors this process may use: limits of its container come first.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use rustix::thread::sched_getaffinity;
use telemetry::kernel::{Version, folders, group_limit, total_bytes};

/// What this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hardware {
    /// Cores, rounded up.
    pub(crate) cores: usize,
    pub(crate) cores_from: Limit,
    /// Bytes; 0 when the kernel does not tell.
    pub(crate) memory_bytes: u64,
    pub(crate) memory_from: Limit,
    /// Files and sockets that it may open once the soft limit is raised; `None`: as many as there are.
    pub(crate) descriptors: Option<u64>,
}

/// What limits the use of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A control group: the container, or the service manager.
    Group,
    /// The processors that this process may run on.
    Affinity,
    /// What there is.
    Machine,
    /// The command line: another machine than this one.
    Given,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "limit of the control group",
            Self::Affinity => "processors that this process may run on",
            Self::Machine => "memory of the machine",
            Self::Given => "as given",
        })
    }
}

impl Hardware {
    /// Asks the kernel.
    pub(crate) fn read() -> Self {
        // Not `available_parallelism`: it counts quotas in and does not say so.
        let processors = sched_getaffinity(None).map(|set| set.count() as usize);
        let descriptors = getrlimit(Resource::Nofile).maximum;
        Self { descriptors, ..Self::below(Path::new("/"), processors.unwrap_or(1)) }
    }

    /// Cores and memory from the files below `root`, for a process that may run on so many processors.
    fn below(root: &Path, processors: usize) -> Self {
        let (cores, cores_from) = match quota_cores(root) {
            Some(quota) if quota < processors => (quota, Limit::Group),
            _ => (processors.max(1), Limit::Affinity),
        };
        let total = total_memory(root).unwrap_or(0);
        let (memory_bytes, memory_from) = match memory_limit(root) {
            Some(limit) if total == 0 || limit < total => (limit, Limit::Group),
            _ => (total, Limit::Machine),
        };
        Self { cores, cores_from, memory_bytes, memory_from, descriptors: None }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The narrowest limit on memory.
fn memory_limit(root: &Path) -> Option<u64> {
    let second = folders(root, Version::Two).into_iter().map(|group| group.join("memory.max"));
    let first = folders(root, Version::One("memory"));
    let first = first.into_iter().map(|group| group.join("memory.limit_in_bytes"));
    second.chain(first).filter_map(|file| group_limit(&fs::read_to_string(file).ok()?)).min()
}

/// The narrowest quota of processor time, in cores, rounded up.
fn quota_cores(root: &Path) -> Option<usize> {
    let second = folders(root, Version::Two).into_iter().filter_map(|group| {
        // `150000 100000`, or `max 100000`.
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        Some((quota.parse().ok()?, period.parse().ok()?))
    });
    let first = folders(root, Version::One("cpu")).into_iter().filter_map(|group| {
        // No quota is -1, which is no number here.
        let quota = number(&group.join("cpu.cfs_quota_us"))?;
        Some((quota, number(&group.join("cpu.cfs_period_us"))?))
    });
    let cores = second.chain(first).filter(|(_, period)| *period > 0);
    let cores = cores.map(|(quota, period): (u64, u64)| quota.div_ceil(period)).min()?;
    usize::try_from(cores.max(1)).ok()
}

fn total_memory(root: &Path) -> Option<u64> {
    total_bytes(&fs::read_to_string(root.join("proc/meminfo")).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// What is read from these files by a process that may run on eight processors.
    fn read(files: &[(&str, &str)]) -> Hardware {
        let root = tempfile::tempdir().expect("a folder");
        let memory = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
        for (path, text) in files.iter().chain([&memory]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Hardware::below(root.path(), 8)
    }

    #[test]
    fn without_control_groups_the_machine_is_the_limit() {
        let expected = Hardware {
            cores: 8,
            cores_from: Limit::Affinity,
            memory_bytes: 16 * GIB,
            memory_from: Limit::Machine,
            descriptors: None,
        };
        assert_eq!(read(&[]), expected);
    }

    #[test]
    fn the_narrowest_group_around_the_process_is_the_limit() {
        let hardware = read(&[
            ("proc/self/cgroup", "0::/service/worker\n"),
            ("sys/fs/cgroup/service/worker/memory.max", "max\n"),
            ("sys/fs/cgroup/service/worker/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/service/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/service/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        let expected = Hardware {
            cores: 2,
            cores_from: Limit::Group,
            memory_bytes: 2 * GIB,
            memory_from: Limit::Group,
            descriptors: None,
        };
        assert_eq!(hardware, expected);
    }

    #[test]
    fn reads_control_groups_of_version_1() {
        let groups = "5:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n0::/\n";
        let hardware = read(&[
            ("proc/self/cgroup", groups),
            // The container sees its own group as the outermost.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!((hardware.cores, hardware.cores_from), (3, Limit::Group));
        assert_eq!((hardware.memory_bytes, hardware.memory_from), (GIB, Limit::Group));
    }

    #[test]
    fn limits_that_mean_none_do_not_count() {
        let hardware = read(&[
            ("proc/self/cgroup", "5:memory:/\n3:cpu:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(hardware, read(&[]));
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        let hardware = read(&[
            ("proc/self/cgroup", "0\n::\n0::/\nx"),
            ("sys/fs/cgroup/memory.max", "a lot"),
            ("sys/fs/cgroup/cpu.max", "100000 0"),
        ]);
        assert_eq!(hardware, read(&[]));
    }

    #[test]
    fn this_machine_has_a_core_and_memory() {
        let hardware = Hardware::read();
        assert!(hardware.cores > 0 && hardware.memory_bytes > 0, "{hardware:?}");
    }
}
