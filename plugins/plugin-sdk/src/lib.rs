//! The contract made pleasant for authors of plugins in Rust.
