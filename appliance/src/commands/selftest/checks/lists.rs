//! `server.page_items_max`: how much of a list comes at once.

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Seen};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::Way;

const KEY: &str = "server.page_items_max";
/// What it is lowered to: fewer than the probe has tools.
const FEW: &str = "4";

/// A list that is longer than a page.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let lane = run.open(&[(KEY, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let attack = Attack {
        lane: &lane,
        key: KEY,
        mode: Mode::Enforce,
        expected: Expected::Words(words(lane.plan.server.page_items_max, true)),
        sent: "a request for a list that is longer".to_owned(),
    };
    run.attack(attack, None, |run| page(run, way))
}

fn page(run: &mut Run, way: &Way) -> Seen {
    let request = way.request("tools/list", json!({}));
    let exchanged = run.connect(way).and_then(|mut connection| connection.exchange(&request));
    let answer = match exchanged {
        Ok(answer) => answer,
        Err(failed) => return failed,
    };
    let result = answer.message()["result"].take();
    let Some(tools) = result["tools"].as_array() else { return answer.seen() };
    Seen::Other(words(tools.len(), result["nextCursor"].is_string()))
}

fn words(items: usize, goes_on: bool) -> String {
    let rest = if goes_on { ", and where the rest is" } else { "" };
    format!("{items} items{rest}")
}
