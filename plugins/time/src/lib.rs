//! Plugin: time.
