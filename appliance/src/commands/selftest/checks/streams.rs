//! `session`: what a stream keeps for a client that comes back, and what a session may follow.

use std::time::{Duration, Instant};

use middleware::Mode;
use serde_json::json;

use super::super::client::{Session, seen};
use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, pause};
use super::super::wire::Way;
use super::calls::before;

/// What the messages that a stream keeps are lowered to, and what a session may follow.
const FEW: &str = "4";
/// What their bytes are lowered to.
const BYTES: &str = "1024";
/// What the time after the end of a stream is shortened to, which is counted in seconds.
const REPLAY_MS: &str = "1000";
/// Messages that are more than so few bytes.
const SPOKEN: usize = 16;
/// Fewer bytes are not two messages.
const BYTES_LEAST: usize = 512;
/// A client that comes back puts the end of a stream off: looks are further apart than it is kept, and one more second.
const LOOK_AFTER: Duration = Duration::from_millis(2_200);
/// Looks at most.
const LOOKS: usize = 2;

const EVENTS_MAX: &str = "session.replay_events_max";
const BYTES_MAX: &str = "session.replay_bytes_max";
const REPLAY: &str = "session.replay_ms";
const FOLLOWED_MAX: &str = "session.subscriptions_max";

/// A session's refusal stands in an answer of its own.
const EXHAUSTED: Refusal = Refusal {
    layer: "session",
    kind: "sessions_exhausted",
    status: 200,
    code: -32014,
    says_when: true,
};

/// Every key.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    events(run)?;
    bytes(run)?;
    replay(run)?;
    followed(run)
}

fn attack<'a>(lane: &'a Lane, key: &'a str, expected: Expected, sent: String) -> Attack<'a> {
    Attack { lane, key, mode: Mode::Enforce, expected, sent }
}

/// A session, and the name of the event before the first of so many messages in a stream of it that is over.
fn spoken<'a>(run: &mut Run, way: &'a Way, messages: usize) -> Result<(Session<'a>, String), Seen> {
    let mut session = Session::begin(run, way)?;
    let params = json!({
        // The last one is the answer.
        "name": "probe_speak", "arguments": { "times": messages.saturating_sub(1) },
        "_meta": { "progressToken": "selftest" },
    });
    let answer = session.ask("tools/call", &params)?;
    let text = answer.text();
    let first = text.lines().find_map(|line| line.strip_prefix("id: "));
    first.map(|id| (session, id.to_owned())).ok_or_else(|| answer.seen())
}

/// What is still there of so many messages, oldest first.
fn kept(run: &mut Run, way: &Way, messages: usize) -> Result<Vec<String>, Seen> {
    let (session, first) = spoken(run, way, messages)?;
    let answer = session.resume(&first)?;
    match answer.seen() {
        Seen::Answer { status: 200, refused: None } => {
            let text = answer.text();
            let messages = text.lines().filter_map(|line| line.strip_prefix("data: "));
            Ok(messages.filter(|message| message.starts_with('{')).map(str::to_owned).collect())
        }
        other => Err(other),
    }
}

/// How many of so many messages are still there.
fn counted(run: &mut Run, way: &Way, messages: usize) -> Seen {
    kept(run, way, messages)
        .map_or_else(|failed| failed, |kept| Seen::Other(words(kept.len(), messages)))
}

fn words(kept: usize, messages: usize) -> String {
    format!("{kept} of {messages} messages kept")
}

/// As many messages as a stream keeps, and more.
fn events(run: &mut Run) -> Checked {
    let lane = run.open(&[(EVENTS_MAX, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let session = &lane.plan.session;
    let most = session.replay_events_max;
    if most < 2 || session.replay_bytes_max < most * BYTES_LEAST {
        run.skip(
            EVENTS_MAX,
            "the newest alone is kept, or `session.replay_bytes_max` is reached first",
        );
        return Ok(());
    }
    let more = 2 * most;
    let below = all(counted(run, way, most), most);
    let sent = format!("a client that comes back for {most} and for {more} messages");
    let expected = Expected::Words(words(most, more));
    run.attack(attack(&lane, EVENTS_MAX, expected, sent), Some(below), |run| {
        counted(run, way, more)
    })
}

/// What is within a bound: that all were kept.
fn all(seen: Seen, messages: usize) -> Seen {
    match seen {
        Seen::Other(said) if said != words(messages, messages) => Seen::Failed(said),
        seen => seen,
    }
}

/// Messages that are together more bytes than a stream keeps.
fn bytes(run: &mut Run) -> Checked {
    let lane = run.open(&[(BYTES_MAX, BYTES)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let (most, events_max) =
        (lane.plan.session.replay_bytes_max, lane.plan.session.replay_events_max);
    if most < BYTES_LEAST || events_max < SPOKEN {
        run.skip(BYTES_MAX, "no two messages fit, or `session.replay_events_max` is reached first");
        return Ok(());
    }
    let below = all(counted(run, way, 2), 2);
    let within = format!("the newest of {SPOKEN} messages, within {most} bytes");
    let sent = format!("a client that comes back for 2 and for {SPOKEN} messages");
    let expected = Expected::Words(within.clone());
    run.attack(attack(&lane, BYTES_MAX, expected, sent), Some(below), |run| {
        let kept = match kept(run, way, SPOKEN) {
            Ok(kept) => kept,
            Err(failed) => return failed,
        };
        let bytes: usize = kept.iter().map(String::len).sum();
        let has_newest = kept.last().is_some_and(|message| message.contains("\"result\""));
        let is_within = has_newest && bytes <= most && kept.len() < SPOKEN;
        Seen::Other(if is_within {
            within
        } else {
            format!("{}, {bytes} bytes", words(kept.len(), SPOKEN))
        })
    })
}

/// A client that comes back at once, and one that comes back too late.
fn replay(run: &mut Run) -> Checked {
    let lane = run.open(&[(REPLAY, REPLAY_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let time = lane.plan.session.replay;
    if lane.plan.session.idle < LOOK_AFTER {
        run.skip(REPLAY, "`session.idle_ms` ends the session first");
        return Ok(());
    }
    let (session, first) = match spoken(run, way, 2) {
        Ok(spoken) => spoken,
        Err(failed) => {
            run.skip(REPLAY, format!("there was no stream: {failed}"));
            return Ok(());
        }
    };
    let begun = Instant::now();
    let below = before(seen(session.resume(&first)), begun, time);
    let sent =
        format!("a client that comes back at once, and later than after {} ms", time.as_millis());
    run.attack(attack(&lane, REPLAY, Expected::Status(400), sent), below, |_| {
        let mut last = Seen::Closed;
        for _ in 0..LOOKS {
            pause(LOOK_AFTER);
            last = seen(session.resume(&first));
            if last != (Seen::Answer { status: 200, refused: None }) {
                break;
            }
        }
        if begun.elapsed() < time { Seen::Other(format!("{last}, too early")) } else { last }
    })
}

/// As many resources as a session may follow, and one more.
fn followed(run: &mut Run) -> Checked {
    let lane = run.open(&[(FOLLOWED_MAX, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.session.subscriptions_max;
    let Some(mut session) = Session::begin_for(run, way, FOLLOWED_MAX) else { return Ok(()) };
    let mut follow = |number: usize| {
        let params = json!({ "uri": format!("probe://followed/{number}") });
        seen(session.ask("resources/subscribe", &params))
    };
    let below = (0..most).map(&mut follow).last();
    let sent = format!("resource {most} and resource {}", most + 1);
    let attack = attack(&lane, FOLLOWED_MAX, Expected::Refusal(EXHAUSTED), sent);
    run.attack(attack, below, |_| follow(most))
}
