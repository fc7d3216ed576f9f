//! `session`: how many sessions and streams there may be.

use middleware::Mode;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::Connection;

/// What the number of sessions is lowered to.
const SESSIONS: &str = "200";
/// What the number of streams is lowered to, of which each needs a connection.
const STREAMS: usize = 50;

const EXHAUSTED: Refusal = Refusal {
    layer: "session",
    kind: "sessions_exhausted",
    status: 429,
    code: -32014,
    says_when: true,
};

/// Both caps.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    sessions(run)?;
    streams(run)
}

fn sessions(run: &mut Run) -> Checked {
    let key = "session.sessions_max";
    let lane = run.open(&[(key, SESSIONS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.session.sessions_max;
    let request = way.initialize();
    let below = (0..most).map(|_| run.ask(way, &request)).last();
    let attack = Attack {
        lane: &lane,
        key,
        mode: Mode::Enforce,
        expected: Expected::Refusal(EXHAUSTED),
        sent: format!("session {most} and session {}", most + 1),
    };
    run.attack(attack, below, |run| run.ask(way, &request))
}

fn streams(run: &mut Run) -> Checked {
    let key = "session.streams_max";
    let lane = run.open(&[(key, &run.few(STREAMS))])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.session.streams_max;
    let request = way.request("subscriptions/listen", serde_json::json!({ "notifications": {} }));
    let mut held: Vec<Connection> = Vec::new();
    let mut listen = |run: &mut Run| match run.connect(way) {
        Ok(mut connection) => {
            connection.send(&request);
            let seen = connection.head();
            held.push(connection);
            seen
        }
        Err(failed) => failed,
    };
    let below = (0..most).map(|_| listen(run)).last();
    let attack = Attack {
        lane: &lane,
        key,
        mode: Mode::Enforce,
        expected: Expected::Refusal(EXHAUSTED),
        sent: format!("stream {most} and stream {}", most + 1),
    };
    run.attack(attack, below, |run| -> Seen { listen(run) })
}
