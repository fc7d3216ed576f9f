//! Plugin: misbehave.
