//! What is wrong with a profile, where, and how to mend it.

use std::fmt::{self, Write};

use crate::origin::Origin;

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a value.
    Value(Origin),
    /// In a source as a whole: a file that cannot be read, for example.
    Source(String),
}

/// One thing that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, for example `layer.timeout.deadline_ms`; empty when it is about more than one.
    pub key: String,
    /// What is wrong and how to mend it: one sentence.
    pub message: String,
}

impl Problem {
    /// The same of a source that was asked for by `extends` at `origin`, which is where it is to be mended.
    #[must_use]
    pub(crate) fn asked_for_at(self, origin: Option<Origin>) -> Self {
        let (Some(origin), Place::Source(source)) = (origin, &self.place) else { return self };
        let message = format!("{source}: {}", self.message);
        Self { place: Place::Value(origin), key: "extends".to_owned(), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        match &self.place {
            Place::Value(Origin::Default) => {}
            Place::Value(origin) => write!(line, "{origin}: ")?,
            Place::Source(source) => write!(line, "{source}: ")?,
        }
        if !self.key.is_empty() {
            write!(line, "{}: ", self.key)?;
        }
        line.write_str(&self.message)
    }
}

/// Writes control characters as escapes: a problem is one line, whatever stands in the keys and paths that it names.
struct OneLine<'f, 'a>(&'f mut fmt::Formatter<'a>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())
            } else {
                self.0.write_char(character)
            }
        })
    }
}

/// Everything that is wrong with a profile: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
