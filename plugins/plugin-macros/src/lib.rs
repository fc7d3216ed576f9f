//! The attribute macros of plugin-sdk.
