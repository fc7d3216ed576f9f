//! `cargo dev`: from a clone to a running appliance.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::Outcome;
use crate::run;

/// The plugins that the built-in profiles name, and the one that stands in for them in a self-test.
pub(crate) const PLUGINS: [&str; 4] = ["echo", "time", "filesystem", "probe"];

/// Builds, then becomes the appliance.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut build = vec!["build", "--release", "--package", "toolrack"];
    for plugin in PLUGINS {
        build.extend(["--package", plugin]);
    }
    run::must("cargo", &build)?;
    let folder = run::target().join("release");
    for plugin in PLUGINS {
        keep_to_owner(&folder.join(format!("lib{plugin}.so")))?;
    }
    let program = folder.join("toolrack");
    let mut serve = std::process::Command::new(&program);
    serve.args(["serve", "--profile", "dev"]).args(arguments);
    // Returns only when the program cannot be started.
    Err(format!("cannot start {}: {}", program.display(), serve.exec()))
}

/// The appliance loads no library that a group may change, which is what the linker makes under the umask 002 that many
/// systems begin with.
fn keep_to_owner(library: &Path) -> Outcome {
    let mended = std::fs::metadata(library).and_then(|found| {
        let mut permissions = found.permissions();
        permissions.set_mode(permissions.mode() & !0o022);
        std::fs::set_permissions(library, permissions)
    });
    mended.map_err(|error| format!("cannot take write access to {}: {error}", library.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn takes_write_access_from_everybody_but_the_owner() {
        let library = std::env::temp_dir().join(format!("toolrack-dev-{}.so", std::process::id()));
        std::fs::write(&library, "").expect("written");
        std::fs::set_permissions(&library, Permissions::from_mode(0o777)).expect("changed");
        keep_to_owner(&library).expect("mended");
        let mode = std::fs::metadata(&library).expect("there").permissions().mode();
        std::fs::remove_file(&library).expect("removed");
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn says_which_library_it_missed() {
        let error = keep_to_owner(Path::new("nowhere/libecho.so")).expect_err("not there");
        assert!(error.contains("nowhere/libecho.so"), "{error}");
    }
}
