//! `cargo ci reload`: the evidence that a profile can be changed while it serves.
//!
//! `promises.rs` maps each promise to the tests and scenarios that hold it; the scenarios play the parts of it that take
//! a load.

mod live;
mod promises;
mod scenarios;
mod streams;

use crate::stage::{Choice, Suite};

const SUITE: Suite = Suite { task: "reload", scenarios: scenarios::ALL };
/// None of them soaks.
const SOAK_MINUTES: u64 = 0;

/// Changes of a profile that serves, under load.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Say which promises there are, and what holds each of them.
    #[arg(long)]
    list: bool,
}

/// The short run on what the tests have built.
pub(crate) fn check() -> crate::Outcome {
    SUITE.run(&Choice::CHECK, SOAK_MINUTES)
}

/// Plays what is asked for, or says what is promised.
pub(crate) fn run(arguments: &Arguments) -> crate::Outcome {
    if arguments.list {
        promises::list();
        return Ok(());
    }
    SUITE.run(&arguments.choice, SOAK_MINUTES)
}
