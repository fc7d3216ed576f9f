//! Asks again and again how much memory is used, and of how much.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::groups::{Version, folders};
use super::memory::{
    group_limit, inactive_file_bytes, resident_bytes, stalled_percent, total_bytes,
};

/// More than any of the files holds: a file that does not end is none of them.
const FILE_BYTES_MAX: usize = 256 << 10;

/// One limit, and how much of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes in use, without what the kernel gives back as soon as somebody wants it.
    pub used_bytes: u64,
    /// Bytes that there may be.
    pub limit_bytes: u64,
}

impl MemoryUse {
    /// How much is used, in hundredths of a percent.
    #[must_use]
    pub fn basis_points(self) -> u32 {
        let used = u128::from(self.used_bytes) * 10_000;
        let points = used.checked_div(u128::from(self.limit_bytes));
        points.map_or(u32::MAX, |points| u32::try_from(points).unwrap_or(u32::MAX))
    }
}

/// What the kernel says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryReading {
    /// Each control group around the process that has a limit, the process's own first.
    pub groups: Vec<MemoryUse>,
    /// What the process has in RAM, of what the machine has.
    pub process: MemoryUse,
    /// The share of the last ten seconds in which something waited for memory, in percent; 0 when the kernel does not
    /// count it.
    pub stalled_percent: f32,
}

/// Keeps the files open: when descriptors are wanting, it still sees.
///
/// Files that cannot be opened limit nothing. A process that is moved to another group later is still measured by the
/// one in which it began.
#[derive(Debug)]
pub struct MemoryProbe {
    groups: Vec<Group>,
    status: Option<File>,
    meminfo: Option<File>,
    pressure: Option<File>,
}

impl MemoryProbe {
    /// Opens what there is.
    #[must_use]
    pub fn open() -> Self {
        Self::below(Path::new("/"))
    }

    /// The same for the files below `root`.
    fn below(root: &Path) -> Self {
        let second = folders(root, Version::Two);
        // The group's own pressure where there is one, which says nothing of its neighbours.
        let own_pressure = second.first().map(|folder| folder.join("memory.pressure"));
        let pressure = own_pressure.and_then(|path| File::open(path).ok());
        let groups = second.iter().filter_map(|folder| Group::second(folder));
        let first = folders(root, Version::One("memory"));
        let groups = groups.chain(first.iter().filter_map(|folder| Group::first(folder))).collect();
        let open = |path| File::open(root.join(path)).ok();
        Self {
            groups,
            status: open("proc/self/status"),
            meminfo: open("proc/meminfo"),
            pressure: pressure.or_else(|| open("proc/pressure/memory")),
        }
    }

    /// What the kernel says now.
    #[must_use]
    pub fn read(&self) -> MemoryReading {
        let of = |file: &Option<File>, read: fn(&str) -> Option<u64>| {
            file.as_ref().and_then(text).and_then(|text| read(&text))
        };
        let process = MemoryUse {
            used_bytes: of(&self.status, resident_bytes).unwrap_or(0),
            // Without a total nothing is ever too much.
            limit_bytes: of(&self.meminfo, total_bytes).unwrap_or(u64::MAX),
        };
        let stalled = self.pressure.as_ref().and_then(text);
        MemoryReading {
            groups: self.groups.iter().filter_map(Group::read).collect(),
            process,
            stalled_percent: stalled.and_then(|text| stalled_percent(&text)).unwrap_or(0.0),
        }
    }
}

/// The files of one control group.
#[derive(Debug)]
struct Group {
    /// The narrowest of these counts.
    limits: Vec<File>,
    usage: File,
    statistics: Option<File>,
}

impl Group {
    fn first(folder: &Path) -> Option<Self> {
        Self::open(folder, &["memory.limit_in_bytes"], "memory.usage_in_bytes")
    }

    fn second(folder: &Path) -> Option<Self> {
        Self::open(folder, &["memory.max", "memory.high"], "memory.current")
    }

    fn open(folder: &Path, limits: &[&str], usage: &str) -> Option<Self> {
        let open = |name: &str| File::open(folder.join(name)).ok();
        let limits = limits.iter().filter_map(|name| open(name)).collect();
        Some(Self { limits, usage: open(usage)?, statistics: open("memory.stat") })
    }

    /// `None` when the group has no limit at the moment.
    fn read(&self) -> Option<MemoryUse> {
        let limits = self.limits.iter().filter_map(|file| group_limit(&text(file)?));
        let limit_bytes = limits.min()?;
        let usage: u64 = text(&self.usage)?.trim().parse().ok()?;
        let statistics = self.statistics.as_ref().and_then(text).unwrap_or_default();
        let used_bytes = usage.saturating_sub(inactive_file_bytes(&statistics));
        Some(MemoryUse { used_bytes, limit_bytes })
    }
}

/// A whole file from its beginning; `None` when it cannot be read.
fn text(file: &File) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while bytes.len() < FILE_BYTES_MAX {
        match file.read_at(&mut chunk, bytes.len() as u64).ok()? {
            0 => break,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const MACHINE: [(&str, &str); 2] = [
        ("proc/self/status", "Name:\ttoolrack\nVmRSS:\t   102400 kB\n"),
        ("proc/meminfo", "MemTotal:       1048576 kB\nMemFree: 1 kB\n"),
    ];

    fn read(files: &[(&str, &str)]) -> MemoryReading {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files.iter().chain(&MACHINE) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        MemoryProbe::below(root.path()).read()
    }

    const fn of(used_mib: u64, limit_mib: u64) -> MemoryUse {
        MemoryUse { used_bytes: used_mib * MIB, limit_bytes: limit_mib * MIB }
    }

    #[test]
    fn without_groups_the_process_is_measured_by_the_machine() {
        let reading = read(&[]);
        assert_eq!((reading.groups.len(), reading.process), (0, of(100, 1024)));
        assert_eq!(reading.stalled_percent, 0.0);
    }

    #[test]
    fn every_group_of_version_2_around_the_process_counts() {
        let reading = read(&[
            ("proc/self/cgroup", "0::/service/worker\n"),
            ("sys/fs/cgroup/service/worker/memory.max", "536870912\n"),
            ("sys/fs/cgroup/service/worker/memory.high", "max\n"),
            ("sys/fs/cgroup/service/worker/memory.current", "209715200\n"),
            ("sys/fs/cgroup/service/worker/memory.stat", "anon 1\ninactive_file 104857600\n"),
            ("sys/fs/cgroup/service/worker/memory.pressure", "some avg10=11.50 avg60=0.00\n"),
            ("sys/fs/cgroup/service/memory.max", "max\n"),
            ("sys/fs/cgroup/service/memory.high", "419430400\n"),
            ("sys/fs/cgroup/service/memory.current", "314572800\n"),
            ("proc/pressure/memory", "some avg10=99.00 avg60=0.00\n"),
        ]);
        assert_eq!(reading.groups, [of(100, 512), of(300, 400)]);
        assert_eq!(reading.stalled_percent, 11.5);
    }

    #[test]
    fn the_memory_of_a_hybrid_machine_is_limited_by_version_1() {
        let reading = read(&[
            ("proc/self/cgroup", "4:memory:/docker/1\n0::/\n"),
            // The container sees its own group as the outermost.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "209715200\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 104857600\n",
            ),
            ("sys/fs/cgroup/cgroup.controllers", "pids\n"),
            ("proc/pressure/memory", "some avg10=3.00 avg60=0.00\n"),
        ]);
        assert_eq!(reading.groups, [of(100, 256)]);
        assert_eq!(reading.stalled_percent, 3.0);
    }

    #[test]
    fn groups_without_a_limit_do_not_count() {
        let reading = read(&[
            ("proc/self/cgroup", "4:memory:/a\n0::/b\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1\n"),
            ("sys/fs/cgroup/b/memory.max", "max\n"),
            ("sys/fs/cgroup/b/memory.current", "1\n"),
        ]);
        assert_eq!(reading.groups, []);
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        let reading = read(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "536870912"),
            ("sys/fs/cgroup/memory.current", "a lot"),
            ("proc/pressure/memory", "none"),
        ]);
        assert_eq!((reading.groups.len(), reading.stalled_percent), (0, 0.0));
    }

    #[test]
    fn a_part_of_nothing_is_everything() {
        assert_eq!(of(1, 2).basis_points(), 5_000);
        assert_eq!(of(0, 0).basis_points(), u32::MAX);
        assert_eq!(MemoryUse { used_bytes: u64::MAX, limit_bytes: 1 }.basis_points(), u32::MAX);
    }

    #[test]
    fn this_process_uses_memory_of_this_machine() {
        let MemoryReading { process, .. } = MemoryProbe::open().read();
        assert!(0 < process.used_bytes && process.used_bytes < process.limit_bytes, "{process:?}");
        assert!(process.limit_bytes < u64::MAX, "Linux tells its total");
    }
}
