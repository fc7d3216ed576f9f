//! A memory control group, of the first or second version, where this machine lets one be made.

use std::fs;
use std::path::{Path, PathBuf};

/// A group that goes with its scenario.
pub(crate) struct Group {
    folder: PathBuf,
    is_second: bool,
}

impl Group {
    /// Makes a group with this limit; the reason why there is none.
    pub(crate) fn new(limit_bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let (path, is_second) = place(&own);
        let mount = if is_second { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
        let around = Path::new(mount).join(path.trim_start_matches('/'));
        // In a container the path may be that of the host, and the mount is the own group.
        let around = if around.is_dir() { around } else { PathBuf::from(mount) };
        let folder = around.join(format!("toolrack-stress-{}", std::process::id()));
        let limit = if is_second { "memory.max" } else { "memory.limit_in_bytes" };
        fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join(limit), limit_bytes.to_string()))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder, is_second })
    }

    /// The file that takes the processes of the group.
    pub(crate) fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> Result<u64, String> {
        let file = if self.is_second { "memory.events" } else { "memory.oom_control" };
        let text = self.read(file)?;
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|kills| kills.parse().ok()).ok_or_else(|| format!("{file}: no oom_kill"))
    }

    /// The most bytes that were ever used, cached files included; `None` where the kernel does not say.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let file = if self.is_second { "memory.peak" } else { "memory.max_usage_in_bytes" };
        self.read(file).ok()?.trim().parse().ok()
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The own group's path, and whether it is of the second version, by `/proc/self/cgroup`.
fn place(own: &str) -> (String, bool) {
    let parts = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let lines: Vec<_> = own.lines().filter_map(parts).collect();
    let first = lines.iter().find(|(controller, _)| controller == "memory");
    let second = lines.iter().find(|(controller, _)| controller.is_empty());
    let path = first.or(second).map(|(_, path)| path.clone()).unwrap_or_default();
    (path, first.is_none())
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_version_wins_where_it_has_the_memory_controller() {
        assert_eq!(place("9:name=systemd:/\n4:memory:/own\n0::/x"), ("/own".to_owned(), false));
        assert_eq!(place("0::/user.slice"), ("/user.slice".to_owned(), true));
    }
}
