//! Plugin: filesystem.
