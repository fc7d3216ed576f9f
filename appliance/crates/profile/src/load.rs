//! From sources to a plan: later sources win, key by key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Figment;
use serde_json::Value;

use crate::check;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::plan::Plan;
use crate::problem::{Place, Problem, Problems};
use crate::profile::Profile;
use crate::resolve::{Context, resolve};
use crate::shown;
use crate::source::{Posted, Source, environment, files, set};

/// What a profile is made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A built-in profile's name, or a path.
    pub profile: String,
    /// What takes the place of the text of that profile.
    pub posted: Option<Posted>,
    /// Environment variables; only those that begin with `TOOLRACK_` count.
    pub environment: Vec<(String, String)>,
    /// `key=value`.
    pub set: Vec<String>,
    /// Where bare library names are looked for, after the profile's own folder.
    pub library_search: Vec<PathBuf>,
}

/// A profile that was found good.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to build.
    pub plan: Plan,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
    /// The merged values, defaults included.
    pub(crate) values: Value,
    /// Where each value came from, by key path.
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// Loads a profile.
///
/// # Errors
/// Everything that is wrong with it, in the order of the places.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut failed = Vec::new();
    let mut keep = |result: Result<Source, Vec<Problem>>| match result {
        Ok(source) => Some(source),
        Err(problems) => {
            failed.extend(problems);
            None
        }
    };
    let environment = keep(environment(&sources.environment));
    let set = keep(set(&sources.set));
    let (file, mut all) = match files(&sources.profile, sources.posted.as_ref()) {
        Ok(found) => found,
        Err(problems) => {
            failed.extend(problems);
            return Err(Problems(failed));
        }
    };
    all.extend(environment);
    all.extend(set);
    if !failed.is_empty() {
        return Err(Problems(failed));
    }
    let found =
        Found { label: file.label(), name: file.name(), folder: file.folder().map(PathBuf::from) };
    assemble(&all, found, sources.library_search.clone())
}

/// What was found of a profile besides its values.
pub(crate) struct Found {
    /// For problems that are nowhere in it.
    pub(crate) label: String,
    /// Its name.
    pub(crate) name: String,
    /// Where its relative paths begin.
    pub(crate) folder: Option<PathBuf>,
}

/// Merges sources, the first being the base, and makes a plan of them.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn assemble(
    all: &[Source],
    found: Found,
    library_search: Vec<PathBuf>,
) -> Result<Loaded, Problems> {
    let figment = all.iter().fold(Figment::new(), |figment, source| figment.merge(source));
    let mut origins = BTreeMap::new();
    for source in all {
        origins.extend(source.origins.clone());
    }
    let profile: Profile = figment.extract().map_err(|error| {
        let mut problems = misfits(&figment, &error, &origins);
        // What nobody wrote is missing in the profile that was asked for.
        for problem in &mut problems {
            if problem.place == Place::Value(Origin::Default) {
                problem.place = Place::Source(found.label.clone());
            }
        }
        Problems(problems)
    })?;
    let values = serde_json::to_value(&profile).unwrap_or_default();
    let context = Context {
        name: found.name,
        identity: Identity::of(&values),
        folder: found.folder,
        library_search,
        origins: &origins,
    };
    let (plan, mut problems, warnings) = resolve(profile, &context);
    problems.extend(shown::still_hidden(&values).into_iter().map(|key| Problem {
        place: check::place(&key, &origins),
        key,
        message: "this stands where a secret is hidden; write the secret in its place".to_owned(),
    }));
    if !problems.is_empty() {
        return Err(Problems(sorted(problems)));
    }
    Ok(Loaded { plan, warnings: sorted(warnings), values, origins })
}

/// Everything that is wrong with values that are no profile. The types refuse at the first misfit, the schema names
/// them all; it is asked only now, because a good profile need not pay for its validator.
fn misfits(
    figment: &Figment,
    error: &figment::Error,
    origins: &BTreeMap<String, Origin>,
) -> Vec<Problem> {
    let problems = match figment.extract::<Value>() {
        Ok(merged) => check::check(&merged, origins),
        Err(_) => Vec::new(),
    };
    if problems.is_empty() {
        return error.clone().into_iter().map(|error| of_figment(&error, origins)).collect();
    }
    sorted(problems)
}

fn of_figment(error: &figment::Error, origins: &BTreeMap<String, Origin>) -> Problem {
    let key = error.path.join(".");
    Problem { place: check::place(&key, origins), message: error.kind.to_string(), key }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match &problem.place {
        Place::Value(Origin::BuiltIn { line, .. }) => (0, *line),
        Place::Value(Origin::File { line, .. } | Origin::Posted { line, .. }) => (1, *line),
        _ => (2, 0),
    });
    problems
}
