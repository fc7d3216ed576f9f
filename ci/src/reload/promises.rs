//! tbd
pub(super) fn list() {}
