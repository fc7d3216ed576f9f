//! `cargo ci stress`: hostile and heavy load on the real program; each scenario with its figures, held against goals.
//!
//! Promises are counts: breaking one fails the run. Times are measured on whatever machine this is: one beyond its goal
//! is printed as missed, and in the short run fails beyond a bound that no machine has a reason to pass.

mod frames;
mod peer;
mod scenarios;

use crate::run;
use crate::stage::scenario::choose;
use crate::stage::{Choice, Suite};

const SUITE: Suite = Suite { task: "stress", scenarios: scenarios::ALL };
/// How long the soak of the long run lasts by default, in minutes.
const SOAK_MINUTES: u64 = 10;

/// Hostile and heavy load on the real program.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Say which there are, and what of each waits for later parts of the program.
    #[arg(long)]
    list: bool,
    /// Minutes of the soak in the long run; the reference says 120.
    #[arg(long, default_value_t = SOAK_MINUTES)]
    soak_minutes: u64,
}

/// The short run on what the tests have built.
pub(crate) fn check() -> crate::Outcome {
    SUITE.run(&Choice::CHECK, SOAK_MINUTES)
}

/// Plays what is asked for, or says what there is.
pub(crate) fn run(arguments: &Arguments) -> crate::Outcome {
    if !arguments.list {
        return SUITE.run(&arguments.choice, arguments.soak_minutes);
    }
    for scenario in choose(SUITE.scenarios, &arguments.choice.only)? {
        run::say(&format!("{:12} {}", scenario.name, scenario.title));
        if !scenario.left.is_empty() {
            run::say(&format!("{:12}   later: {}", "", scenario.left));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own() {
        let mut names: Vec<_> = SUITE.scenarios.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let seeds = (1..=20).map(|number| format!("s{number:02}"));
        assert!(seeds.into_iter().all(|seed| names.contains(&seed.as_str())), "{names:?}");
    }

    #[test]
    fn only_what_is_named_is_played() {
        let named = |name: &str| choose(SUITE.scenarios, &[name.to_owned()]);
        let chosen = named("s03").unwrap();
        assert_eq!(chosen.iter().map(|scenario| scenario.name).collect::<Vec<_>>(), ["s03"]);
        assert!(named("s99").is_err());
    }
}
