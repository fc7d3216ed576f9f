//! One generation that was served, and the text that it is kept as.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// What a record begins with; the number of the format follows.
const HEAD: &str = "# toolrack generation, format ";
/// Between that number and the digest of everything below the first line.
const DIGEST: &str = ", sha256 ";
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// A generation that was served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number, which only grows over the processes that share a folder.
    pub number: u64,
    /// Since when it served.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub at: Timestamp,
    /// What asked for it.
    pub trigger: String,
    /// Whether it took back the generation before it.
    pub takes_back: bool,
    /// The version of the program that served it.
    pub program: String,
    /// Digest of the effective values.
    pub identity: String,
    /// Keys that it had otherwise than the generation before it.
    pub changed: Vec<String>,
    /// The name of the profile.
    pub name: String,
    /// The folder that relative paths of the profile begin in; none for one that is part of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// SHA-256 of the library of each plugin, in hexadecimal.
    pub libraries: BTreeMap<String, String>,
    /// The effective profile: merged values. Secrets are references.
    pub profile: toml::Table,
}

/// Why a file is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else.
    #[error("it is no record of a generation")]
    Foreign,
    /// Written by a version that writes them otherwise.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    /// Not all of it is there, or not as it was written.
    #[error("it is torn, or was changed after it was written")]
    Torn,
    /// Whole, and not what a record holds.
    #[error("it holds something else than a record does: {0}")]
    Misfit(String),
}

impl Record {
    /// Whether both are made of the same profile and the same libraries, byte for byte.
    #[must_use]
    pub fn is_same_content(&self, other: &Self) -> bool {
        self.identity == other.identity && self.libraries == other.libraries
    }

    /// The first twelve digits of its identity: enough for people to tell profiles apart.
    #[must_use]
    pub fn short_identity(&self) -> &str {
        self.identity.get(..12).unwrap_or(&self.identity)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When a value has no place in TOML: a path that is not UTF-8, for example.
    pub fn encode(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string(self)?;
        Ok(format!("{HEAD}{FORMAT}{DIGEST}{}\n{body}", digest(body.as_bytes())))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Why it is no record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(Fault::Foreign)?;
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        let head = str::from_utf8(head).ok().and_then(|head| head.strip_prefix(HEAD));
        let (format, expected) =
            head.and_then(|head| head.split_once(DIGEST)).ok_or(Fault::Foreign)?;
        let format = format.parse().map_err(|_| Fault::Foreign)?;
        if format != FORMAT {
            return Err(Fault::Format(format));
        }
        if digest(body) != expected {
            return Err(Fault::Torn);
        }
        toml::from_slice(body).map_err(|error| Fault::Misfit(error.message().to_owned()))
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

fn write_time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
