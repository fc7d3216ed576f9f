//! `toolrack explain`.

mod call;

use std::fmt::Write;
use std::process::ExitCode;

use profile::{Loaded, Row};

use crate::cli::{CallOptions, ProfileOptions};
use crate::exit;

/// Longest key or value that the others are aligned to; longer ones stand out.
const COLUMN_MAX: usize = 60;

/// Shows the layers in their order, and every value with where it came from.
///
/// With a request: what each layer would decide about it.
pub(crate) fn run(options: &ProfileOptions, key: Option<&str>, asked: &CallOptions) -> ExitCode {
    let loaded = match super::load(options) {
        Ok(loaded) => loaded,
        Err(problems) => return super::complain_of_all(&problems),
    };
    if let Some(file) = &asked.call {
        return call::run(&loaded, file, asked);
    }
    let rows = loaded.rows(key);
    let mut out = String::new();
    match key {
        None => layers(&loaded, &mut out),
        Some(key) => {
            let meaning = loaded.meaning(key);
            if rows.is_empty() && meaning.is_none() {
                let meant = loaded.nearest_key(key);
                let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
                let why = format!(
                    "{key}: there is no such key{} `toolrack explain` without a key shows all",
                    meant.as_deref().unwrap_or(";")
                );
                return super::failed(exit::USAGE, &why);
            }
            if let Some(meaning) = meaning {
                writeln!(out, "{meaning}\n").ok();
            }
            if rows.is_empty() {
                writeln!(out, "  {key} is not set, and has no default.").ok();
            }
        }
    }
    table(&rows, &mut out);
    super::say(&out)
}

fn layers(loaded: &Loaded, out: &mut String) {
    writeln!(out, "Layers, the first meets a request first:").ok();
    let width = stack::ORDER.iter().map(|(layer, _)| layer.len()).max().unwrap_or(0);
    for (layer, stage) in stack::ORDER {
        // An absent table has no rows: the layer is off.
        let rows = loaded.rows(Some(&format!("layer.{layer}.mode")));
        let mode = rows.first().map_or("off", |row| row.value.trim_matches('"'));
        writeln!(out, "  {stage:<6}  {layer:<width$}  {mode}").ok();
    }
    writeln!(out, "\n{}", super::memory_table(&loaded.plan)).ok();
    writeln!(out, "Values, and where each came from:").ok();
}

fn table(rows: &[Row], out: &mut String) {
    let width = |text: fn(&Row) -> &str| {
        rows.iter().map(|row| text(row).chars().count().min(COLUMN_MAX)).max().unwrap_or(0)
    };
    let (keys, values) = (width(|row| &row.key), width(|row| &row.value));
    for Row { key, value, origin } in rows {
        writeln!(out, "  {key:<keys$}  {value:<values$}  {origin}").ok();
    }
}
