//! Turns a dynamic library into safe Rust values, or says why not.
