//! Profile files, and those that they extend.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Failed, Source};
use crate::built_in::{BuiltIn, built_in, built_ins};
use crate::check::nearest;
use crate::origin::{Origin, POSTED};
use crate::problem::{Place, Problem};

/// Longest chain of profiles that extend one another.
const DEPTH_MAX: usize = 8;
/// Most bytes of a profile: it is written by hand.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A text that takes the place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The TOML.
    pub text: String,
    /// The folder that a relative `extends` in it starts from; `None`: that of the file.
    pub folder: Option<PathBuf>,
}

/// Where the text of a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum File {
    BuiltIn(&'static str),
    Path(PathBuf),
    /// What was posted, and in place of what.
    Posted(Posted, Box<Self>),
}

impl File {
    /// What `--profile` or `extends` means: a built-in profile by its bare name, otherwise a path.
    fn named(name: &str, folder: Option<&Path>) -> Self {
        match built_in(name) {
            Some(profile) => Self::BuiltIn(profile.name),
            None => Self::Path(folder.unwrap_or(Path::new("")).join(name)),
        }
    }

    fn origin(&self, line: usize, column: usize) -> Origin {
        match self {
            Self::BuiltIn(name) => Origin::BuiltIn { name, line },
            Self::Path(path) => Origin::File { path: path.clone(), line, column },
            Self::Posted(..) => Origin::Posted { line, column },
        }
    }

    pub(crate) fn label(&self) -> String {
        match self {
            Self::BuiltIn(name) => format!("built-in `{name}`"),
            Self::Path(path) => path.display().to_string(),
            Self::Posted(..) => POSTED.to_owned(),
        }
    }

    /// The folder that relative `extends` of this profile start from.
    fn base_folder(&self) -> Option<&Path> {
        match self {
            Self::Posted(Posted { folder: Some(folder), .. }, _) => Some(folder),
            _ => self.folder(),
        }
    }

    /// The folder that other relative paths of this profile start from.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Path(path) => path.parent(),
            Self::Posted(_, file) => file.folder(),
        }
    }

    /// The name of the profile.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::BuiltIn(name) => (*name).to_owned(),
            Self::Path(path) => path
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            Self::Posted(_, file) => file.name(),
        }
    }

    fn read(&self) -> Result<String, Problem> {
        let path = match self {
            Self::Posted(posted, _) => return Ok(posted.text.clone()),
            Self::BuiltIn(name) => {
                return Ok(built_in(name)
                    .map(|profile| profile.text.to_owned())
                    .unwrap_or_default());
            }
            Self::Path(path) => path,
        };
        let problem = |message: String| Problem {
            place: Place::Source(path.display().to_string()),
            key: String::new(),
            message,
        };
        let unreadable = |error: std::io::Error| {
            let names: Vec<_> = built_ins().iter().map(|BuiltIn { name, .. }| *name).collect();
            let asked = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            let message = match (error.kind(), nearest(&asked, names.iter().copied())) {
                (ErrorKind::NotFound, Some(name)) => format!(
                    "there is no such file; did you mean the built-in profile `{name}`? There are: {}",
                    names.join(", ")
                ),
                (ErrorKind::PermissionDenied, _) => {
                    format!(
                        "cannot read this profile: {error}; let the user who runs toolrack read it"
                    )
                }
                (ErrorKind::InvalidData, _) => {
                    "cannot read this profile: it is not UTF-8; save it as that".to_owned()
                }
                _ => format!(
                    "cannot read this profile: {error}; name a file, or one of the built-in profiles: {}",
                    names.join(", ")
                ),
            };
            problem(message)
        };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > TEXT_BYTES_MAX {
            return Err(problem(format!(
                "{bytes} bytes are more than {TEXT_BYTES_MAX}; this is no profile"
            )));
        }
        std::fs::read_to_string(path).map_err(unreadable)
    }
}

/// Reads the profile `name`, or what was posted in its place, and everything that it extends: the base first.
pub(crate) fn files(name: &str, posted: Option<&Posted>) -> Result<(File, Vec<Source>), Failed> {
    let file = File::named(name, None);
    let file = match posted {
        Some(posted) => File::Posted(posted.clone(), Box::new(file)),
        None => file,
    };
    let mut sources = Vec::new();
    let mut seen = Vec::new();
    let mut next = Some(file.clone());
    // Where the file was asked for; unknown of the first.
    let mut asked_at: Option<Origin> = None;
    while let Some(file) = next.take() {
        if seen.contains(&file) || seen.len() == DEPTH_MAX {
            let message = format!(
                "this chain of `extends` comes back to itself, or is longer than {DEPTH_MAX}"
            );
            return Err(vec![Problem {
                place: Place::Source(file.label()),
                key: "extends".to_owned(),
                message,
            }]);
        }
        let text = file.read().map_err(|problem| vec![problem.asked_for_at(asked_at.take())])?;
        let source = parse(&file, &text)?;
        asked_at = source.origins.get("extends").cloned();
        if let Some(base) = source.values.get("extends").and_then(Value::as_str) {
            next = Some(File::named(base, file.base_folder()));
        }
        sources.push(source);
        seen.push(file);
    }
    sources.reverse();
    Ok((file, sources))
}

/// A file of a profile as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it; `None` when it cannot be read.
    pub text: Option<String>,
}

/// The files that the profile `name` consists of, as far as they can be followed: it and what it extends. A profile that
/// is part of the program has none.
#[must_use]
pub fn written(name: &str) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    let mut next = Some(File::named(name, None));
    while let Some(File::Path(path)) = next.take() {
        if all.len() == DEPTH_MAX || all.iter().any(|known| known.path == path) {
            break;
        }
        let file = File::Path(path.clone());
        let text = file.read().ok();
        // What does not parse yet extends nothing yet.
        let values = text.as_deref().and_then(|text| parse(&file, text).ok());
        let base = values.as_ref().and_then(|source| source.values.get("extends"));
        next = base.and_then(Value::as_str).map(|base| File::named(base, file.folder()));
        all.push(Written { path, text });
    }
    all
}

/// The values of the profile `name` and of what it extends as far as they can be read, the profile first; and where
/// relative paths begin. For whoever looks for one value in a profile that is wrong otherwise.
pub(super) fn leniently(name: &str) -> (Option<PathBuf>, Vec<Dict>) {
    let mut next = Some(File::named(name, None));
    let folder = next.as_ref().and_then(File::folder).map(PathBuf::from);
    let mut all = Vec::new();
    while let Some(file) = next.take() {
        if all.len() == DEPTH_MAX {
            break;
        }
        let Ok(text) = file.read() else { break };
        let (table, _) = DeTable::parse_recoverable(&text);
        let values = dict(table.get_ref(), "", &mut |_, _| {});
        let base = values.get("extends").and_then(Value::as_str);
        next = base.map(|base| File::named(base, file.folder()));
        all.push(values);
    }
    (folder, all)
}

fn parse(file: &File, text: &str) -> Result<Source, Failed> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| {
                let (line, column) = lines.place(error.span().map_or(0, |span| span.start));
                Problem {
                    place: Place::Value(file.origin(line, column)),
                    key: String::new(),
                    message: format!("not TOML: {}", error.message()),
                }
            })
            .collect());
    }
    let mut origins = BTreeMap::new();
    let values = dict(table.get_ref(), "", &mut |path, span| {
        let (line, column) = lines.place(span.start);
        origins.insert(path, file.origin(line, column));
    });
    Ok(Source { name: file.label(), values, origins })
}

fn dict(table: &DeTable<'_>, path: &str, note: &mut impl FnMut(String, Range<usize>)) -> Dict {
    let mut values = Dict::new();
    for (key, value) in table {
        let name = key.get_ref().to_string();
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        note(path.clone(), key.span());
        values.insert(name, convert(value, &path, note));
    }
    values
}

fn convert(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    note: &mut impl FnMut(String, Range<usize>),
) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(value) => Value::from(value.to_string()),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix());
            number.map_or_else(|_| Value::from(integer.as_str()), Value::from)
        }
        DeValue::Float(float) => {
            let number = float.as_str().replace('_', "").parse::<f64>();
            number.map_or_else(|_| Value::from(float.as_str()), Value::from)
        }
        DeValue::Array(items) => {
            let items: Vec<Value> = items.iter().map(|item| convert(item, path, note)).collect();
            Value::from(items)
        }
        DeValue::Table(table) => Value::from(dict(table, path, note)),
    }
}

/// Where lines begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}
