//! Why a plugin does not load, or does not stop.

use std::path::PathBuf;

/// Why a library is not loaded. Each says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message is its documentation.
pub enum LoadError {
    #[error("cannot read `{}`: {source}; name a library that this user can read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is a symbolic link or not a regular file; name the library itself", path.display())]
    NotRegular { path: PathBuf },
    #[error("`{}` belongs to user {owner}; it must belong to root or to the user who runs toolrack: chown it", path.display())]
    ForeignOwner { path: PathBuf, owner: u32 },
    #[error("`{}` can be changed by its group or by everybody; forbid it: chmod go-w '{}'", path.display(), path.display())]
    Writable { path: PathBuf },
    #[error("the folder `{}` can be changed by everybody, so anyone could replace the library in it; forbid it: chmod o-w '{}'", path.display(), path.display())]
    WritableFolder { path: PathBuf },
    #[error("`{}` has {bytes} bytes; the limit is {limit}", path.display())]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
    #[error("`{}` changes while it is read; write it under another name, then move it here", path.display())]
    Changing { path: PathBuf },
    #[error("`{}` is not a plugin: {what}", path.display())]
    NotPlugin { path: PathBuf, what: String },
    #[error("`{}` was built for another system: {what}; build it for this one", path.display())]
    WrongSystem { path: PathBuf, what: String },
    #[error("`{}` is not safe to load: {what}", path.display())]
    Unsafe { path: PathBuf, what: String },
    #[error("`{}` was built for plugin ABI {found}; this toolrack speaks {supported}: rebuild the plugin with the matching SDK", path.display())]
    WrongAbi { path: PathBuf, found: String, supported: String },
    #[error("`{}` cannot run inline: {what}", path.display())]
    NotInline { path: PathBuf, what: &'static str },
    #[error(
        "this process has loaded as many libraries as it can hold ({what}); restart it to load another"
    )]
    Exhausted { what: &'static str },
    #[error(
        "this process has the images of {images_max} libraries, as many as reload.images_max allows, and images stay for good; restart it to load another, or raise that"
    )]
    ImagesFull { images_max: usize },
    #[error("the image of this library is not in memory")]
    NoImage,
    #[error("the system's loader refuses `{}`: {what}", path.display())]
    Loader { path: PathBuf, what: String },
    #[error("the plugin refuses to start: {what}")]
    Create { what: String },
    #[error("the plugin's description is wrong: {what}; this is for its author to mend")]
    Describe { what: String },
    #[error(
        "the plugin did not {what} within {limit_ms} ms; see in its log lines what it waits for, or leave it out"
    )]
    Slow { what: &'static str, limit_ms: u128 },
    #[error("the plugin has stopped")]
    Stopped,
    #[error("no thread for the plugin: {0}")]
    NoThread(std::io::Error),
}

impl LoadError {
    /// Whether another process would load it: this one has loaded as much as it can.
    #[must_use]
    pub const fn takes_a_start(&self) -> bool {
        matches!(self, Self::ImagesFull { .. } | Self::Exhausted { .. })
    }
}

/// Why a plugin did not stop. Its library stays where it is in any case.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// A thread of it is still inside a call.
    #[error("a call of the plugin has not returned")]
    Busy,
    /// It said that it could not end everything it began.
    #[error("the plugin could not end everything it began (code {0})")]
    Refused(i32),
}
