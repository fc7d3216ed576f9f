//! `toolrack explain`.

use std::fmt::Write;
use std::process::ExitCode;

use middleware::Mode;
use profile::{Loaded, Row};

use crate::cli::ProfileOptions;
use crate::exit;

/// Shows the layers in their order, and every value with where it came from.
pub(crate) fn run(options: &ProfileOptions, key: Option<&str>) -> ExitCode {
    let loaded = match super::load(options) {
        Ok(loaded) => loaded,
        Err(problems) => return super::complain_of_all(&problems),
    };
    let rows = loaded.rows(key);
    let mut out = String::new();
    match key {
        None => stack(&loaded, &mut out),
        Some(key) => {
            let meaning = loaded.meaning(key);
            if rows.is_empty() && meaning.is_none() {
                super::complain(&format!(
                    "{key}: there is no such key; `toolrack explain` without a key shows all"
                ));
                return ExitCode::from(exit::USAGE);
            }
            if let Some(meaning) = meaning {
                writeln!(out, "{meaning}\n").ok();
            }
        }
    }
    table(&rows, &mut out);
    super::say(&out)
}

fn stack(loaded: &Loaded, out: &mut String) {
    let layers = &loaded.plan.layers;
    writeln!(out, "Layers, the first meets a request first:").ok();
    for (layer, stage) in stack::ORDER {
        let mode = match *layer {
            "origin" => layers.origin.mode,
            "payload" => layers.payload.mode,
            "concurrency" => layers.concurrency.mode,
            _ => layers.timeout.mode,
        };
        let mode = match mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
            Mode::Off => "off",
        };
        writeln!(out, "  {stage:<7} {layer:<12} {mode}").ok();
    }
    writeln!(out, "\nValues, and where each came from:").ok();
}

fn table(rows: &[Row], out: &mut String) {
    let width = |length: fn(&Row) -> usize| rows.iter().map(length).max().unwrap_or(0).min(60);
    let (keys, values) = (width(|row| row.key.len()), width(|row| row.value.len()));
    for Row { key, value, origin } in rows {
        writeln!(out, "  {key:<keys$}  {value:<values$}  {origin}").ok();
    }
}
