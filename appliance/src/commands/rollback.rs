//! `toolrack rollback`: has an appliance that serves go back to a generation that served before.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::control::Control;
use super::{failed, reload};
use crate::cli::RollbackOptions;
use crate::exit;

/// Asks, waits, and says by its code whether that generation is what serves.
pub(crate) fn run(options: &RollbackOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    let to = options.to.map_or_else(String::new, |number| format!("?to={number}"));
    let patience = Duration::from_secs(options.timeout_secs);
    match control.ask("POST", &format!("/admin/rollback{to}"), patience) {
        Err(why) => failed(exit::TEMPORARY, &why),
        Ok((200, attempt)) => super::say(&(reload::told(&attempt) + &rest(&attempt))),
        Ok((409, attempt)) => {
            super::say(&reload::told(&attempt));
            ExitCode::from(exit::CONFIG)
        }
        Ok((404, body)) if body["error"].is_string() => {
            failed(exit::CONFIG, body["error"].as_str().unwrap_or_default())
        }
        Ok((status, body)) => failed(exit::TEMPORARY, &control.why_not(status, &body)),
    }
}

/// What it means for the profile on disk.
fn rest(attempt: &Value) -> String {
    let back_to = attempt["back_to"].as_u64().unwrap_or_default();
    if attempt["result"] == "unchanged" {
        return format!("  It is made of what generation {back_to} was made of.\n");
    }
    format!(
        "  It is made of what generation {back_to} was made of. The files of the profile are as they were, and come in \
         again when they change, by `toolrack reload` or by a restart.\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::rest;

    #[test]
    fn whoever_goes_back_is_told_that_the_files_did_not() {
        let told = rest(&json!({ "result": "applied", "back_to": 41 }));
        assert!(told.contains("generation 41") && told.contains("by a restart"), "{told}");
        let told = rest(&json!({ "result": "unchanged", "back_to": 41 }));
        assert!(told.contains("generation 41") && !told.contains("restart"), "{told}");
    }
}
