//! Generated files: the JSON Schemas of a profile and of a receipt, and the references of keys, refusals and metrics, the
//! profiles for a box and their page.

use std::fs;

use crate::Outcome;
use crate::{boxes, run};

/// Writes them, or checks that they are what would be written.
pub(crate) fn run(check: bool) -> Outcome {
    let files = [
        ("schemas/profile.schema.json", profile::schema()),
        ("schemas/receipt.schema.json", load::receipt::schema()),
        ("profiles/REFERENCE.md", profile::reference()),
        ("profiles/REFUSALS.md", protocol::refusal::reference()),
        ("appliance/crates/telemetry/METRICS.md", telemetry::reference()),
    ];
    for (path, text) in files {
        file(path, &text, check)?;
    }
    for (path, text) in boxes::profiles() {
        file(&path, &text, check)?;
    }
    file("profiles/README.md", &boxes::page()?, check)
}

fn file(path: &str, text: &str, check: bool) -> Outcome {
    let place = run::root().join(path);
    if fs::read_to_string(&place).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if check {
        return Err(format!(
            "{path} is not what the program generates; run `cargo ci schemas` and commit it"
        ));
    }
    fs::write(&place, text).map_err(|error| format!("cannot write {path}: {error}"))?;
    run::say(&format!("wrote {path}"));
    Ok(())
}
