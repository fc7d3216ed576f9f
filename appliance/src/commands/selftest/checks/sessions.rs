//! `session`: how many sessions and streams there may be, and how long a session waits for its client.

use std::time::{Duration, Instant};

use middleware::Mode;
use serde_json::json;

use super::super::client::{Session, seen};
use super::super::judge::{Expected, Refusal, Seen};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::Connection;
use super::calls::before;

/// What the number of sessions is lowered to.
const SESSIONS: &str = "200";
/// What the time without a request is shortened to, which is counted in seconds.
const IDLE_MS: &str = "1000";
/// How much later than it should a session may end: its clock has steps, and sessions are looked through now and then.
const LATE_MAX: Duration = Duration::from_secs(5);
/// Sessions that ended because nobody asked anything of them.
const ENDED: &str = "toolrack_sessions_ended_total{reason=\"idle\"}";
/// What the number of streams is lowered to, of which each needs a connection.
const STREAMS: usize = 50;

const EXHAUSTED: Refusal = Refusal {
    layer: "session",
    kind: "sessions_exhausted",
    status: 429,
    code: -32014,
    says_when: true,
};

/// Both caps, and the end of a session.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    sessions(run)?;
    streams(run)?;
    idle(run)
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
    let request = way.request("subscriptions/listen", json!({ "notifications": {} }));
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

/// A session that is asked something at once, and not for too long.
fn idle(run: &mut Run) -> Checked {
    let key = "session.idle_ms";
    let lane = run.open(&[(key, IDLE_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let idle = lane.plan.session.idle;
    let Some(mut session) = Session::begin_for(run, way, key) else { return Ok(()) };
    let begun = Instant::now();
    let mut ping = || seen(session.ask("ping", &json!({})));
    let below = before(ping(), begun, idle);
    run.reaches(ENDED, 1, idle + LATE_MAX)?;
    let took = begun.elapsed();
    let attack = Attack {
        lane: &lane,
        key,
        mode: Mode::Enforce,
        expected: Expected::Status(404),
        sent: format!("a ping at once, and one later than after {} ms", idle.as_millis()),
    };
    run.attack(attack, below, |_| {
        if took < idle {
            Seen::Other(format!("ended after {} ms", took.as_millis()))
        } else {
            ping()
        }
    })
}
