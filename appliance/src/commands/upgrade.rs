//! `toolrack upgrade`: has an appliance that serves hand over to another version of the program.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;

use super::control::Control;
use super::failed;
use crate::cli::UpgradeOptions;
use crate::exit;

/// How long the appliance may take beside what the new program may.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, waits, and says by its code which program serves.
pub(crate) fn run(options: &UpgradeOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    let patience = Duration::from_millis(options.wait_ms) + PATIENCE;
    match control.ask("POST", &path(options), patience) {
        Err(why) => failed(exit::TEMPORARY, &why),
        Ok((200, told)) => {
            let process = told["process"].as_u64().unwrap_or_default();
            super::say(&format!(
                "Upgraded: process {process} serves. The one before answers what it has, and ends.\n"
            ))
        }
        Ok((409, told)) => {
            let problems = told["problems"].as_array().into_iter().flatten();
            let problems: Vec<_> =
                problems.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
            super::complain("not upgraded; the program that served serves on");
            super::complain_of_all(&problems)
        }
        Ok((status, told)) => failed(exit::TEMPORARY, &control.why_not(status, &told)),
    }
}

fn path(options: &UpgradeOptions) -> String {
    let mut path = format!("/admin/upgrade?wait_ms={}", options.wait_ms);
    if let Some(program) = &options.program {
        let program = percent_encode(program.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        path.push_str(&format!("&program={program}"));
    }
    if options.forget_tasks {
        path.push_str("&forget_tasks=true");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ControlOption;

    #[test]
    fn a_path_of_any_letters_fits_a_query() {
        let options = UpgradeOptions {
            appliance: ControlOption { control: String::new() },
            program: Some("/opt/a&b/toolrack é".into()),
            wait_ms: 5,
            forget_tasks: true,
        };
        let expected =
            "/admin/upgrade?wait_ms=5&program=%2Fopt%2Fa%26b%2Ftoolrack%20%C3%A9&forget_tasks=true";
        assert_eq!(path(&options), expected);
    }
}
