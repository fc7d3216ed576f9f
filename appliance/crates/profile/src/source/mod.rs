//! The sources of a profile, each as a tree of values that knows where it stands.

mod environment;
mod file;
mod history;
mod set;

use std::collections::BTreeMap;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile as FigmentProfile, Provider};

use crate::origin::Origin;
use crate::problem::Problem;

pub(crate) use environment::environment;
pub(crate) use file::files;
use file::leniently;
pub use file::{Posted, TEXT_BYTES_MAX, Written, written};
pub use history::history_folder;
pub(crate) use set::set;

/// One source: its values, and the origin of each of them by key path.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) values: Dict,
    pub(crate) origins: BTreeMap<String, Origin>,
}

impl Provider for &Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<FigmentProfile, Dict>, figment::Error> {
        Ok(FigmentProfile::Default.collect(self.values.clone()))
    }
}

/// Puts `value` at a path, making tables on the way. `Err` names the part that is a value already.
pub(crate) fn insert(
    values: &mut Dict,
    path: &[&str],
    value: figment::value::Value,
) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        values.insert((*first).to_owned(), value);
        return Ok(());
    }
    let inner = values.entry((*first).to_owned()).or_insert_with(|| Dict::new().into());
    match inner {
        figment::value::Value::Dict(_, inner) => insert(inner, rest, value),
        _ => Err((*first).to_owned()),
    }
}

/// What a source that failed leaves behind.
pub(crate) type Failed = Vec<Problem>;
