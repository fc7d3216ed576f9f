//! What the appliance is trained on: clients of both eras over HTTP/1.1, HTTP/2 and standard input, small and large
//! calls, every kind of message, with few layers and with all, and refusals. And as the generator of `toolrack bench`.
//!
//! What is not in here counts as rare and is compiled to be small. The whole also runs against the debug build in the
//! tests, so that no part of it stops working unnoticed.

mod generator;
mod http;
mod http2;
mod messages;
mod stdio;

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::run;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Of each load whose pace is the server's.
    pub(crate) load: Duration,
    /// How often each message is sent that is not part of a load.
    pub(crate) times: usize,
}

impl Amount {
    /// Enough for counts that differ by what is common and what is rare.
    pub(crate) const WHOLE: Self = Self { load: Duration::from_secs(3), times: 400 };
    /// A look at whether it works.
    pub(crate) const LOOK: Self = Self { load: Duration::from_millis(200), times: 3 };
}

/// Everything that decides what is counted.
const SOURCES: [&str; 10] = [
    include_str!("mod.rs"),
    include_str!("generator.rs"),
    include_str!("http.rs"),
    include_str!("http2.rs"),
    include_str!("messages.rs"),
    include_str!("stdio.rs"),
    include_str!("../../../release/plain.toml"),
    include_str!("../../../release/whole.toml"),
    include_str!("../../../release/strict.toml"),
    include_str!("../../../release/stdio.toml"),
];

/// Names this training.
pub(super) fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    SOURCES.iter().for_each(|source| hasher.write(source.as_bytes()));
    hasher.finish()
}

/// Trains the program in `folder`.
pub(crate) fn run(folder: &Path, amount: Amount) -> Outcome {
    let program = folder.join("toolrack");
    for profile in ["plain", "whole"] {
        run::say(&format!("   {profile}"));
        http::serve(&program, profile, |target| {
            http::loads(target, amount)?;
            messages::send(target, amount)?;
            http2::send(target, amount)
        })?;
    }
    run::say("   strict");
    http::serve(&program, "strict", |target| http::refusals(target, amount))?;
    run::say("   stdio");
    stdio::talk(&program, amount)?;
    run::say("   generator");
    generator::bench(&program, amount)
}
