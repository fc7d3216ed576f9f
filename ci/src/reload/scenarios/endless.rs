//! H21: generations that are over are given back, though streams go on for ever.

use std::time::Duration;

use crate::Outcome;
use crate::reload::live::{ON_REQUEST, play};
use crate::reload::streams::Streams;
use crate::stage::clients::Clients;
use crate::stage::figure::Side;
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Reloads beside streams that never end.
pub(super) const ENDLESS: Scenario = Scenario {
    name: "endless",
    title: "reloads without end beside a hundred streams without end: nothing piles up",
    left: "",
    play: endless,
};

/// Generations that may live at once.
const ALIVE: f64 = 4.0;
const MIB: f64 = 1_048_576.0;

fn endless(stage: &mut Stage<'_>) -> Outcome {
    let reloads = stage.pick(40, 1_000);
    let tables = |number: u32| format!("{ON_REQUEST}{}", mark(number));
    play(stage, &tables(0), Rules::USUAL, |live, findings| {
        let streams = Streams::open(live, 100)?;
        // What the first ones need once is not what piles up.
        (1..=reloads / 10).try_for_each(|number| live.applies(&tables(number)).map(drop))?;
        Clients::echo(8).press(live.appliance, Duration::from_millis(500))?;
        let before = live.appliance.footprint()?;
        for number in 1..=reloads {
            live.applies(&tables(reloads + number))?;
        }
        let after = live.appliance.footprint()?;
        let draining = live.appliance.metric_by_now("toolrack_generations_draining")?;
        findings.show("reloads", reloads.into(), "");
        findings.exactly("streams that ended", streams.ended(), 0);
        findings.at_most("generations that are alive", draining + 1.0, ALIVE);
        findings.at_most("descriptors", after.descriptors as f64, before.descriptors as f64 + 2.0);
        findings.at_most("threads", after.threads as f64, before.threads as f64 + 2.0);
        let grown = after.resident_bytes.saturating_sub(before.resident_bytes) as f64 / MIB;
        findings.measure("memory more than before", grown, Side::AtMost, 10.0, "MiB");
        streams.close(live)
    })
}
