//! `toolrack plugin`.

use std::process::ExitCode;

use crate::cli::PluginCommand;
use crate::exit;

/// Looks at plugins.
pub(crate) fn run(command: &PluginCommand) -> ExitCode {
    let PluginCommand::Inspect { file } = command;
    match plugin_host::inspect(file) {
        Ok(inspection) => super::say(&format!("{inspection}\n")),
        Err(error) => super::failed(exit::CONFIG, &error.to_string()),
    }
}
