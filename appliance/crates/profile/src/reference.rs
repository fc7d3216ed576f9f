//! The reference of the keys of a profile.

use std::fmt::Write;

use crate::classes::{Class, rule_of};
use crate::schema::all;

/// Every key with its meaning, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Profile reference\n\n\
         Generated from the program by `cargo ci schemas`; change the comments on the types instead.\n\n\
         Keys end in their unit: `_ms` milliseconds, `_us` microseconds, `_bytes` bytes. \
         Times and counts are whole numbers. Sizes are whole numbers or text such as `\"512KiB\"` and `\"4MiB\"`.\n\
         Values come from the base profile (`extends`), then the file, then environment variables \
         (`TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS=5000`), then `--set layer.timeout.deadline_ms=5000`; the last one wins.\n\
         A process that serves takes a changed value over with the next call. Where something is replaced for it, and calls \
         under way end on what was there before, a key is marked *drains*; where only a start takes it over, *restart*.\n",
    );
    for key in all() {
        if key.is_table {
            let text = key.description.replace('\n', " ");
            write!(out, "\n## `[{}]`\n\n{text}\n", key.path).ok();
            continue;
        }
        let text = key.description.replace('\n', " ");
        let class = match rule_of(&key.path).map(|rule| rule.class) {
            Some(class @ (Class::Drains | Class::Restart)) => format!(", {}", class.as_str()),
            Some(Class::Live) | None => String::new(),
        };
        write!(out, "\n### `{}`\n\n*{}{class}.* {text}\n", key.path, key.kind).ok();
    }
    out
}
