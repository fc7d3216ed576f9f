//! `session.answer_ms` and `request_state`: clients that are asked something, and take their time.

use std::time::{Duration, Instant};

use middleware::Mode;
use serde_json::{Value, json};

use super::super::client::{Session, able, consent};
use super::super::judge::{Expected, Seen};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::{before, in_time, turned};

/// What the time for an answer is shortened to.
const ANSWER_MS: &str = "400";
/// What the time between two rounds is shortened to, which is counted in seconds.
const TTL_MS: &str = "1000";
/// Longest that a question may take to come.
const ASKED_MAX: Duration = Duration::from_secs(2);

const ANSWER: &str = "session.answer_ms";
const TTL: &str = "request_state.ttl_ms";

/// What a call comes to that was answered, and one that was not.
const ANSWERED: &str = "the call goes on";
const GIVEN_UP: &str = "the call is given up";

/// A question that is answered, and one that is not.
pub(in super::super) fn answers(run: &mut Run) -> Checked {
    let lane = run.open(&[(ANSWER, ANSWER_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let deadline = lane.plan.session.answer_deadline;
    let below = match asked(run, way, true) {
        // A busy machine answers too late.
        Ok((_, took)) if took >= deadline => None,
        Ok((seen, _)) | Err(seen) => Some(seen),
    };
    let attack = Attack {
        lane: &lane,
        key: ANSWER,
        mode: Mode::Enforce,
        expected: Expected::Words(GIVEN_UP.to_owned()),
        sent: "an answer to a question, and none".to_owned(),
    };
    run.attack(attack, below, |run| {
        asked(run, way, false)
            .map_or_else(|failed| failed, |(seen, took)| in_time(seen, took, deadline))
    })
}

/// What becomes of a call that asks its client, and how long after the call that was.
fn asked(run: &mut Run, way: &Way, is_answered: bool) -> Result<(Seen, Duration), Seen> {
    let mut session = Session::begin(run, way)?;
    let mut calling = session.beside()?;
    let begun = Instant::now();
    calling.send(&session.request("tools/call", &json!({ "name": "probe_ask", "arguments": {} })));
    if is_answered {
        let question = calling.message_within("elicitation/create", ASKED_MAX);
        let Some(question) = question else { return Err(calling.answer()) };
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": consent() });
        session.post(&answer)?;
    }
    let answer = calling.whole()?;
    let result = answer.message()["result"].take();
    let seen = match result["isError"].as_bool() {
        Some(true) => Seen::Other(GIVEN_UP.to_owned()),
        _ if result.is_object() => Seen::Other(ANSWERED.to_owned()),
        _ => answer.seen(),
    };
    Ok((seen, begun.elapsed()))
}

/// A client that comes back with a state at once, and one that comes back with it later.
pub(in super::super) fn states(run: &mut Run) -> Checked {
    let lane = run.open(&[(TTL, TTL_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let ttl = lane.plan.request_state.ttl;
    let begun = Instant::now();
    let state = match first_round(run, way) {
        Ok(state) => state,
        Err(failed) => {
            run.skip(TTL, format!("there was no state: {failed}"));
            return Ok(());
        }
    };
    let params = json!({
        "name": "probe_ask", "arguments": {},
        "inputResponses": { "go_on": consent() }, "requestState": state,
    });
    let second = able(way, "tools/call", params);
    let below = before(second_round(run, way, &second), begun, ttl);
    let attack = Attack {
        lane: &lane,
        key: TTL,
        mode: Mode::Enforce,
        expected: Expected::Words(NOT_TAKEN.to_owned()),
        sent: format!("a state that is brought back at once, and after {} ms", ttl.as_millis()),
    };
    run.attack(attack, below, |run| {
        let look = |run: &mut Run| second_round(run, way, &second);
        turned(run, begun, ttl, look, |seen| *seen != Seen::Other(TAKEN.to_owned()))
    })
}

/// The state that comes with the first round.
fn first_round(run: &mut Run, way: &Way) -> Result<Value, Seen> {
    let call = able(way, "tools/call", json!({ "name": "probe_ask", "arguments": {} }));
    let answer = run.connect(way)?.exchange(&call)?;
    let state = answer.message()["result"]["requestState"].take();
    if state.is_string() { Ok(state) } else { Err(answer.seen()) }
}

const TAKEN: &str = "taken";
const NOT_TAKEN: &str = "not taken, -32602";

/// Whether a state was taken.
fn second_round(run: &mut Run, way: &Way, request: &[u8]) -> Seen {
    let exchanged =
        run.connect(way).and_then(|mut connection: Connection| connection.exchange(request));
    let answer = match exchanged {
        Ok(answer) => answer,
        Err(failed) => return failed,
    };
    let message = answer.message();
    match message["error"]["code"].as_i64() {
        Some(-32602) => Seen::Other(NOT_TAKEN.to_owned()),
        None if message["result"].is_object() => Seen::Other(TAKEN.to_owned()),
        _ => answer.seen(),
    }
}
