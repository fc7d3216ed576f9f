//! `toolrack generations`: the generations that an appliance has served and can be rolled back to.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::control::Control;
use super::failed;
use crate::cli::GenerationsOptions;
use crate::exit;

/// How long the appliance may take to say.
const PATIENCE: Duration = Duration::from_secs(20);
/// Digits of an identity that people tell profiles apart by.
const SHORT: usize = 12;

/// Asks, and prints what is there.
pub(crate) fn run(options: &GenerationsOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    match control.ask("GET", "/admin/history", PATIENCE) {
        Err(why) => failed(exit::TEMPORARY, &why),
        Ok((200, history)) if options.json => super::say(&format!("{history:#}\n")),
        Ok((200, history)) => super::say(&table(&history)),
        Ok((status, body)) => failed(exit::TEMPORARY, &control.why_not(status, &body)),
    }
}

/// For people, the newest first.
fn table(history: &Value) -> String {
    let mut rows = vec![
        ["GENERATION", "IDENTITY", "SINCE (UTC)", "TRIGGER", "OUTCOME", "CHANGED"]
            .map(String::from),
    ];
    for generation in history["generations"].as_array().into_iter().flatten().rev() {
        rows.push(row(generation));
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    if history["kept"] == "memory" {
        out.push_str("\nThey end with the process; history.folder in the profile keeps them.\n");
    }
    out
}

fn row(generation: &Value) -> [String; 6] {
    let text = |key: &str| generation[key].as_str().unwrap_or_default().to_owned();
    let mut identity = text("identity");
    identity.truncate(SHORT);
    let changed = generation["changed"].as_array().into_iter().flatten();
    let changed: Vec<_> = changed.filter_map(Value::as_str).collect();
    // Whole seconds are enough for people.
    let since = text("since").split('.').next().unwrap_or_default().replace('T', " ");
    [
        generation["generation"].to_string(),
        identity,
        since.trim_end_matches('Z').to_owned(),
        text("trigger"),
        text("outcome").replace('_', " "),
        changed.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::table;

    #[test]
    fn generations_are_told_the_newest_first() {
        let history = json!({ "kept": "memory", "generations": [
            { "generation": 9, "identity": "a".repeat(64), "since": "2026-11-21T17:00:00.123Z",
              "trigger": "start", "outcome": "rolled_back", "changed": [] },
            { "generation": 10, "identity": "b".repeat(64), "since": "2026-11-21T18:00:00Z",
              "trigger": "rollback", "outcome": "serving", "changed": ["layer.timeout.deadline_ms", "plugin.echo"] },
        ]});
        let expected = "\
GENERATION  IDENTITY      SINCE (UTC)          TRIGGER   OUTCOME      CHANGED
10          bbbbbbbbbbbb  2026-11-21 18:00:00  rollback  serving      layer.timeout.deadline_ms, plugin.echo
9           aaaaaaaaaaaa  2026-11-21 17:00:00  start     rolled back

They end with the process; history.folder in the profile keeps them.
";
        assert_eq!(table(&history), expected);
    }
}
