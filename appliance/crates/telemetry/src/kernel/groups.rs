//! Where the control groups of this process are.

use std::fs;
use std::path::{Path, PathBuf};

/// A version of control groups. Machines of the time between have both; each controller is then in one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller: its name, which is also that of its folder.
    One(&'static str),
    /// One hierarchy for all controllers.
    Two,
}

/// The folders of this process's control group and of all around it, its own first. Each of them limits it.
///
/// `root` is `/`, and another folder in tests. In a container without a name space of its own, the path is that of the
/// host and only the outermost folder is there, which is then the container's: not every folder exists.
#[must_use]
pub fn folders(root: &Path, version: Version) -> Vec<PathBuf> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let Some(path) = path_in(&own, version) else { return Vec::new() };
    let mount = match version {
        Version::One(controller) => root.join("sys/fs/cgroup").join(controller),
        Version::Two => root.join("sys/fs/cgroup"),
    };
    Path::new(path.trim_start_matches('/')).ancestors().map(|part| mount.join(part)).collect()
}

/// The path of a hierarchy in the text of `/proc/self/cgroup` (cgroups(7)).
fn path_in(own: &str, version: Version) -> Option<&str> {
    let wanted = match version {
        Version::One(controller) => controller,
        Version::Two => "",
    };
    own.lines().find_map(|line| {
        // For example `4:cpu,cpuacct:/user.slice`.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|found| found == wanted).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_path_of_a_hierarchy_by_its_controller() {
        let hybrid =
            "9:name=systemd:/\n4:memory:/docker/1:2\n3:cpu,cpuacct:/docker/2\n0::/init.scope\n";
        assert_eq!(path_in(hybrid, Version::One("memory")), Some("/docker/1:2"));
        assert_eq!(path_in(hybrid, Version::One("cpuacct")), Some("/docker/2"));
        assert_eq!(path_in(hybrid, Version::One("pids")), None);
        assert_eq!(path_in(hybrid, Version::Two), Some("/init.scope"));
    }

    #[test]
    fn a_malformed_line_names_nothing() {
        for text in ["", "0", "0:", "::", "memory:/a", "\n\n"] {
            assert_eq!(path_in(text, Version::One("memory")), None, "{text:?}");
        }
    }
}
