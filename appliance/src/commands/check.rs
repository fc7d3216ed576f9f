//! `toolrack check`.

use std::process::ExitCode;

use crate::cli::ProfileOptions;
use crate::envelope::AUTO;

/// Says everything that is wrong with a profile.
pub(crate) fn run(options: &ProfileOptions) -> ExitCode {
    let loaded = match super::load(options) {
        Ok(loaded) => loaded,
        Err(problems) => return super::complain_of_all(&problems),
    };
    for warning in &loaded.warnings {
        super::warn(&warning.to_string());
    }
    let plan = &loaded.plan;
    let listeners = counted(plan.listeners.len(), "listener");
    let plugins = counted(plan.plugins.len(), "plugin");
    let name = &plan.name;
    let chosen = if options.profile == AUTO { ", chosen for this machine," } else { "" };
    let memory = super::memory_table(plan);
    super::say(&format!("profile `{name}`{chosen} is good: {listeners}, {plugins}\n\n{memory}"))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
