//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

/// What a text is called that somebody posted in place of a file.
pub(crate) const POSTED: &str = "posted profile";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A profile that is part of the program.
    BuiltIn {
        /// Its name.
        name: &'static str,
        /// Line in it, from 1.
        line: usize,
    },
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A text that somebody posted in place of a file.
    Posted {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// The values of a generation that was kept.
    Generation {
        /// Its number.
        number: u64,
    },
    /// An argument of `--set`.
    Set {
        /// As it was written.
        argument: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::BuiltIn { name, line } => write!(f, "built-in `{name}`, line {line}"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Posted { line, column } => write!(f, "{POSTED}:{line}:{column}"),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Generation { number } => write!(f, "generation {number}"),
            Self::Set { argument } => write!(f, "--set {argument}"),
        }
    }
}
