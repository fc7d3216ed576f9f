//! The program that takes over: which file it is, and how it is started.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use rustix::process::geteuid;

/// Says to a program that it is to take over from the process on its standard input.
const TAKE_OVER: &str = "--take-over";
/// What a service manager says to one process and to no other (sd_listen_fds(3), sd_watchdog_enabled(3)).
const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];
/// Write permission of the group and of others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// How this process was started, and so how the next one is.
pub(in super::super) struct Started {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Started {
    /// As this process was.
    ///
    /// # Errors
    /// When nobody knows which file it was started from.
    pub(in super::super) fn like_this() -> std::io::Result<Self> {
        let (program, mut arguments) = crate::cli::started()?;
        arguments.retain(|argument| argument != TAKE_OVER);
        Ok(Self { program, arguments })
    }

    /// Whether it ends with the process that started it.
    pub(super) fn ends_with_parent(&self) -> bool {
        let is_told = |argument: &OsString| argument.to_string_lossy().starts_with("--end-with");
        self.arguments.iter().any(is_told)
    }

    /// Starts the program, or another one, which speaks with this process over the stream that is returned.
    ///
    /// # Errors
    /// Why it cannot be, and how to mend it.
    pub(super) fn again(&self, other: Option<&Path>) -> Result<(Child, UnixStream), String> {
        if let Some(other) = other {
            is_trusted(other)?;
        }
        let program = other.unwrap_or(&self.program);
        let failed = |error| format!("`{}` cannot be started: {error}", program.display());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(&self.arguments).arg(TAKE_OVER).stdin(OwnedFd::from(theirs));
        for name in OF_ONE_PROCESS {
            command.env_remove(name);
        }
        Ok((command.spawn().map_err(failed)?, ours))
    }
}

/// Whether nobody but this user and root can have written the file.
fn is_trusted(program: &Path) -> Result<(), String> {
    let shown = program.display();
    if !program.is_absolute() {
        return Err(format!("`{shown}`: name the program by its whole path"));
    }
    let file = std::fs::metadata(program)
        .map_err(|error| format!("`{shown}`: {error}; name a program that is there"))?;
    if !file.is_file() {
        return Err(format!("`{shown}` is no file; name the program itself"));
    }
    let is_ours = [0, geteuid().as_raw()].contains(&file.uid());
    if is_ours && file.mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "`{shown}` can be written by others than root and the user that toolrack runs as; chown and chmod it so that \
         it cannot (root, 0755)"
    ))
}

/// How a program ended, for people.
pub(super) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_that_others_can_write_is_not_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        fs::write(&program, "#!/bin/sh\n").expect("written");
        for (mode, is_good) in [(0o755, true), (0o775, false), (0o757, false), (0o700, true)] {
            fs::set_permissions(&program, Permissions::from_mode(mode)).expect("changed");
            assert_eq!(is_trusted(&program).is_ok(), is_good, "{mode:o}");
        }
        assert!(is_trusted(folder.path()).is_err(), "a folder");
        assert!(is_trusted(&folder.path().join("none")).is_err());
        assert!(
            is_trusted(Path::new("program")).is_err(),
            "a path that others may understand otherwise"
        );
    }
}
