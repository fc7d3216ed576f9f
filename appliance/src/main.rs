//! `toolrack`
fn main() {}
