//! H22: clients hear once of each list that changed, and of nothing else.

use serde_json::json;

use crate::Outcome;
use crate::reload::live::{ON_REQUEST, ask, play};
use crate::reload::streams::{List, Streams};
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Lists that change and lists that do not.
pub(super) const LISTS: Scenario = Scenario {
    name: "lists",
    title: "a hundred listeners hear once of each change that they can see",
    left: "",
    play: lists,
};

const TIME: &str = "[plugin.time]\nlibrary = \"libtime.so\"\n";

fn lists(stage: &mut Stage<'_>) -> Outcome {
    // Each of them loads a plugin or stops one, and images stay.
    let changes = stage.pick(4, 14);
    let rules = Rules::USUAL.with_libraries(changes.into());
    play(stage, ON_REQUEST, rules, |live, findings| {
        let streams = Streams::open(live, 100)?;
        let mut client = live.client()?;
        let event = live.call_of("test_trigger_prompt_change", json!({}));
        let mut heard = true;
        for change in 1..=changes {
            let time = if change % 2 == 1 { TIME } else { "" };
            live.applies(&format!("{ON_REQUEST}{time}{}", mark(change)))?;
            heard &= streams.all_hear(List::Tools, change.into());
            // What no client sees: another number, and a comment.
            live.applies(&format!("{ON_REQUEST}{time}{}# seen by nobody\n", mark(1_000 + change)))?;
            live.reload_with(&format!("{ON_REQUEST}{time}{}", mark(1_000 + change)))?;
            // Whoever hears of this has heard of all that was told before.
            let (status, said) = ask(&mut client, &event)?;
            if status != 200 {
                return Err(format!("no event: status {status}, {said}"));
            }
            heard &= streams.all_hear(List::Prompts, change.into());
        }
        findings.show("changes of the tools", changes.into(), "");
        findings.exactly("everybody heard in time", heard.into(), 1);
        findings.exactly(
            "missed or repeated, of the tools",
            streams.misheard(List::Tools, changes.into()),
            0,
        );
        findings.exactly(
            "missed or repeated, of the prompts",
            streams.misheard(List::Prompts, changes.into()),
            0,
        );
        findings.exactly("streams that ended", streams.ended(), 0);
        streams.close(live)
    })
}
