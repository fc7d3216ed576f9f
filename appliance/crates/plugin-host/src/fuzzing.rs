//! What fuzz targets reach: the parsers of what plugins give, without a plugin. Not in ordinary builds.

use bytes::Bytes;
use protocol::{Method, Outcome, Revision};

use crate::outcome::{Asked, judge};
use crate::slots::Completion;

/// How a call ended, as a plugin would say it.
#[derive(Debug)]
pub struct Completed<'a> {
    /// One of [`plugin_abi::status`], or none of them.
    pub status: i32,
    /// One of [`plugin_abi::format`], or none of them.
    pub format: u32,
    /// Whether a MIME type comes with it.
    pub has_mime: bool,
    /// What the plugin wrote.
    pub body: &'a [u8],
}

/// Reads a library's manifest.
pub fn manifest(bytes: &[u8]) {
    drop(crate::Manifest::from_elf(bytes));
}

/// Reads what a plugin says of itself.
pub fn description(json: &[u8]) {
    drop(crate::describe::read(json));
}

/// Judges what a plugin gave back; `None` when it was rejected or refused.
#[must_use]
pub fn outcome(method: Method, revision: Revision, completed: Completed<'_>) -> Option<Outcome> {
    let asked = Asked { method, revision, name: b"\"name\"" };
    let completion = Completion {
        status: completed.status,
        format: completed.format,
        is_public: false,
        ttl_ms: 0,
        body: Bytes::copy_from_slice(completed.body),
        state: Bytes::new(),
        mime: completed.has_mime.then(|| "text/plain".into()),
    };
    judge(asked, completion, "fuzzed", usize::MAX).ok()?.ok()
}
