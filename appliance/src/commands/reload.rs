//! `toolrack reload`: has an appliance that serves read its profile again, and says what became of it.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::control::Control;
use super::failed;
use crate::cli::ReloadOptions;
use crate::exit;

/// How long the appliance may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and says by its code whether the profile is what serves.
pub(crate) fn run(options: &ReloadOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    let (path, patience) = if options.wait {
        ("/admin/reload?wait=true", Duration::from_secs(options.timeout_secs))
    } else {
        ("/admin/reload", PATIENCE)
    };
    match control.ask("POST", path, patience) {
        Err(why) => failed(exit::TEMPORARY, &why),
        Ok((202, _)) => {
            super::say("Asked for; /admin/reloads and the log say what becomes of it.\n")
        }
        Ok((200, attempt)) => super::say(&told(&attempt)),
        Ok((409, attempt)) => {
            super::say(&told(&attempt));
            ExitCode::from(exit::CONFIG)
        }
        Ok((status, body)) => failed(exit::TEMPORARY, &control.why_not(status, &body)),
    }
}

/// An attempt, for people.
pub(super) fn told(attempt: &Value) -> String {
    let text = |key: &str| attempt[key].as_str().unwrap_or_default().replace('_', " ");
    let number = |key: &str| attempt[key].as_u64().unwrap_or_default();
    let mut out = format!(
        "Attempt {}: {}. Generation {} serves.\n",
        number("attempt"),
        text("result"),
        number("generation")
    );
    for (key, what) in
        [("changed", "changed"), ("plugins_loaded", "plugin loaded"), ("problems", "problem")]
    {
        for line in attempt[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(out, "  {what}: {line}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn an_attempt_is_told_with_its_keys_and_problems() {
        let attempt = json!({
            "attempt": 3, "result": "restart_required", "generation": 2,
            "changed": ["listen.public.http.bind"], "plugins_loaded": [], "problems": ["one"],
        });
        assert_eq!(
            told(&attempt),
            "Attempt 3: restart required. Generation 2 serves.\n  changed: listen.public.http.bind\n  problem: one\n"
        );
    }
}
