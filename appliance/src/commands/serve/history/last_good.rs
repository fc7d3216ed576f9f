//! A start without a good profile: on the newest kept generation that works.

use std::sync::Arc;

use ::history::{Folder, Records, Store};
use runtime::Source;

use super::super::{Beginning, Failed};
use crate::cli::ProfileOptions;
use crate::{commands, exit};

/// Serves the newest kept generation that works, after a start that `failed`. Its warnings say why.
///
/// # Errors
/// The same as before when none works, with what became of those that are kept.
pub(in super::super) fn start(
    options: &ProfileOptions,
    mut failed: Failed,
    mut begin: impl FnMut(Beginning) -> Result<u8, Failed>,
) -> Result<u8, Failed> {
    let records = match kept(options) {
        Ok(records) => records,
        Err(why) => {
            failed.hint = Some(why);
            return Err(failed);
        }
    };
    let problems = failed.lines.len();
    for record in records.good() {
        let of_it = |line: &String| format!("generation {}: {line}", record.number);
        let lines = match commands::load_kept(record, options) {
            Ok(loaded) => {
                let mut warnings = failed.lines.clone();
                warnings.push(format!(
                    "What the profile says cannot be served; generation {}, of {:.0}, is tried instead.",
                    record.number, record.at
                ));
                let source = Source::LastGood;
                match begin(Beginning { loaded, source, problems, warnings }) {
                    Err(next) if next.code == exit::CONFIG => next.lines,
                    ended => return ended,
                }
            }
            Err(lines) => lines,
        };
        failed.lines.extend(lines.iter().map(of_it));
    }
    if records.newest().is_none() {
        failed.hint = Some("in history.folder no generation is kept yet".to_owned());
    }
    Err(failed)
}

/// What to say to whoever did not ask for the last good one; `None` when there is none.
pub(in super::super) fn hint(options: &ProfileOptions) -> Option<String> {
    let records = kept(options).ok()?;
    let newest = records.good().next()?;
    Some(format!(
        "--allow-last-good serves the newest kept generation that works; the newest is {}, of {:.0}",
        newest.number, newest.at
    ))
}

/// The generations in the folder that the options name, or the profile as far as that key can be read.
fn kept(options: &ProfileOptions) -> Result<Records, String> {
    let sources = commands::sources(options).map_err(|lines| lines.join(" "))?;
    let path = profile::history_folder(&sources).ok_or(
        "there is no last good one, since no history.folder can be read; name it with --set history.folder=FOLDER",
    )?;
    let folder =
        Folder::open_existing(&path).map_err(|error| format!("history.folder: {error}"))?;
    let found = Store::new(folder).read().map_err(|error| format!("history.folder: {error}"))?;
    let mut records = Records::new(found.records.len());
    found.records.into_iter().for_each(|record| records.add(Arc::new(record)));
    Ok(records)
}
