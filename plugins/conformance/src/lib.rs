//! Plugin: conformance.
