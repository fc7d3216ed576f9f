//! Our real messages against the official JSON schemas of every revision.

mod conversation;
mod http;
mod legacy;
mod modern;
mod schemas;

use std::path::Path;

use serde_json::Value;

use crate::Outcome;
use crate::run;

use schemas::Schemas;

/// The environment variable that says where the official schemas are: `REVISION.schema.json` for each revision.
const FOLDER: &str = "MCP_SCHEMAS";

/// Collects messages of every kind in every revision and judges them.
pub(super) fn run() -> Outcome {
    let Some(folder) = std::env::var_os(FOLDER) else {
        run::say("  schemas: not given, the SDKs' types judged instead");
        return Ok(());
    };
    let mut wrong = Vec::new();
    for revision in legacy::REVISIONS {
        let kinds = legacy::kinds(revision);
        judge(revision, Path::new(&folder), &kinds, &legacy::collect(revision)?, &mut wrong)?;
    }
    let modern = modern::collect()?;
    judge(modern::REVISION, Path::new(&folder), &modern::KINDS, &modern, &mut wrong)?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// A message, or a part of one, and the definition that it must fit.
pub(super) struct Specimen {
    /// The name in the official schema.
    definition: &'static str,
    /// What was done to get it.
    asked: String,
    value: Value,
}

fn judge(
    revision: &str,
    folder: &Path,
    kinds: &[&str],
    specimens: &[Specimen],
    wrong: &mut Vec<String>,
) -> Outcome {
    let mut schemas = Schemas::read(folder, revision)?;
    let before = wrong.len();
    for specimen in specimens {
        for error in schemas.errors(specimen.definition, &specimen.value)? {
            let Specimen { definition, asked, value } = specimen;
            wrong.push(format!("{revision}: {asked}: no {definition}: {error}; it is {value}"));
        }
    }
    for kind in kinds {
        if !specimens.iter().any(|specimen| specimen.definition == *kind) {
            wrong.push(format!("{revision}: no {kind} was seen, so that none was judged"));
        }
    }
    let bad = wrong.len() - before;
    run::say(&format!(
        "  schemas: {revision}: {} messages of {} kinds judged, {bad} wrong",
        specimens.len(),
        kinds.len()
    ));
    Ok(())
}
