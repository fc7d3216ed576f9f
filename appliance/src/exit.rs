//! The exit codes of every command (sysexits.h, and below 64 those of what was asked).

/// Everything went as asked.
pub(crate) const OK: u8 = 0;
/// A self-test saw a protection that does not do what the profile says.
pub(crate) const MISBEHAVED: u8 = 1;
/// `toolrack diff`: what changes holds from the next call on.
pub(crate) const CHANGES_LIVE: u8 = 3;
/// `toolrack diff`: something is replaced, and drains.
pub(crate) const DRAINS: u8 = 4;
/// `toolrack diff`: something takes a restart.
pub(crate) const RESTARTS: u8 = 5;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 64;
/// A fault of ours.
pub(crate) const INTERNAL: u8 = 70;
/// Not now, or not whole: a port is in use, a self-test has no probe. Trying again can help, once that is mended.
pub(crate) const TEMPORARY: u8 = 75;
/// The profile, or something that it names, is wrong.
pub(crate) const CONFIG: u8 = 78;
