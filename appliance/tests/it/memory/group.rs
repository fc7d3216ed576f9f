//! A memory control group for one test, where this machine lets it make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A group that dies with its test.
pub(crate) struct Group {
    folder: PathBuf,
    is_second: bool,
}

impl Group {
    /// Makes a group with this limit; the reason why there is none.
    pub(crate) fn new(limit_bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let is_second = !own.lines().any(|line| line.split(':').nth(1) == Some("memory"));
        let path = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let wanted = if is_second { "" } else { "memory" };
            (parts.next()? == wanted).then(|| parts.next())?
        });
        let mount = if is_second { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
        let around = Path::new(mount).join(path.unwrap_or_default().trim_start_matches('/'));
        // In a container the path may be that of the host, and the mount is the own group.
        let around = if around.is_dir() { around } else { PathBuf::from(mount) };
        let group = Self {
            folder: around.join(format!("toolrack-test-{}-{limit_bytes}", std::process::id())),
            is_second,
        };
        let limit = if is_second { "memory.max" } else { "memory.limit_in_bytes" };
        fs::create_dir(&group.folder)
            .and_then(|()| fs::write(group.folder.join(limit), limit_bytes.to_string()))
            .map_err(|error| format!("{}: {error}", group.folder.display()))?;
        Ok(group)
    }

    /// The command as one that begins in the group.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.folder.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let file = if self.is_second { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file)).expect("the group is there");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|kills| kills.parse().ok()).expect("the kernel counts them")
    }

    /// The most bytes that were ever used, files in the cache included; `None` where the kernel does not say.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let file = if self.is_second { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).ok();
    }
}
