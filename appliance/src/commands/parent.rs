//! Keeps an appliance that a command started from outliving that command.

use std::process::ExitCode;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::exit;

/// Has the kernel send SIGTERM to this process when its parent ends, however that ends (prctl(2), `PR_SET_PDEATHSIG`).
///
/// # Errors
/// With what to exit with, when `parent` has ended already, or the kernel refuses.
pub(crate) fn end_with(parent: i32) -> Result<(), ExitCode> {
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| {
        super::failed(exit::INTERNAL, &format!("--end-with: the kernel refuses: {error}"))
    })?;
    // Only now is it certain that an end which is not seen here is signalled.
    if getppid().map(Pid::as_raw_pid) == Some(parent) {
        return Ok(());
    }
    let why = format!("--end-with: the process {parent} is not, or no longer, the parent");
    Err(super::failed(exit::TEMPORARY, &why))
}
