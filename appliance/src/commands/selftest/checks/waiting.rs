//! `listen.NAME.http`: clients that are slow or silent.

use std::time::{Duration, Instant};

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::in_time;
use super::connections::closed_at;

/// What the deadlines of a listener are shortened to.
const DEADLINE_MS: &str = "500";
/// Answers that nobody reads: together more than the buffers of both sides hold.
const UNREAD_BYTES: usize = 12 << 20;
/// One of them.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const TOO_SLOW: Refusal =
    Refusal { layer: "listen", kind: "body_too_slow", status: 408, code: -32600, says_when: false };

/// The deadlines of every listener.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let names: Vec<_> = run.open(&[])?.listeners.iter().map(|way| way.name.clone()).collect();
    for name in names {
        silent(run, &name)?;
        for (key, of) in
            [("body_ms", "listen.http.body_ms"), ("body_window_ms", "listen.http.body_window_ms")]
        {
            slow_body(run, &name, key, of)?;
        }
        beat(run, &name)?;
        elsewhere(run, &name)?;
    }
    Ok(())
}

/// Answers of every listener that nobody reads.
pub(in super::super) fn unread(run: &mut Run) -> Checked {
    let names: Vec<_> = run.open(&[])?.listeners.iter().map(|way| way.name.clone()).collect();
    names.iter().try_for_each(|name| slow_reader(run, name))
}

/// A request that goes to another path.
fn elsewhere(run: &mut Run, name: &str) -> Checked {
    let lane = run.open(&[])?;
    let Some((way, _)) = of_name(&lane, name) else { return Ok(()) };
    // Answered whichever plugins there are.
    let discover = |way: &Way| way.request("server/discover", json!({}));
    let below = run.ask(way, &discover(way));
    let other = Way { path: format!("{}-selftest", way.path), ..way.clone() };
    let key = format!("listen.{name}.http.path");
    let sent = format!("a request at {} and at {}", way.path, other.path);
    let attack = attack(&lane, &key, Expected::Status(404), &sent);
    run.attack(attack, Some(below), |run| run.ask(&other, &discover(&other)))
}

fn attack<'a>(lane: &'a Lane, key: &'a str, expected: Expected, sent: &str) -> Attack<'a> {
    Attack { lane, key, mode: Mode::Enforce, expected, sent: sent.to_owned() }
}

/// Connections that say nothing, too little, or nothing more: all at once, since each only waits.
fn silent(run: &mut Run, name: &str) -> Checked {
    let wishes = ["first_byte_ms", "head_ms", "idle_ms"].map(|of| format!("listen.http.{of}"));
    let wishes: Vec<_> = wishes.iter().map(|key| (&**key, DEADLINE_MS)).collect();
    let lane = run.open(&wishes)?;
    let Some((way, http)) = of_name(&lane, name) else { return Ok(()) };
    let opened = [(); 3].map(|()| run.connect(way));
    let [Ok(mut first), Ok(mut head), Ok(mut idle)] = opened else {
        run.skip(format!("listen.{name}.http.first_byte_ms"), "no connection could be opened");
        return Ok(());
    };
    let begun = Instant::now();
    let request = way.get("/selftest", "");
    head.send(&request[..request.len() / 2]);
    let answered = idle.ask(&request);
    let mut asked = run.ask(way, &request);
    if asked.refused().is_none() {
        asked = answered.clone();
    }
    let tried = [
        ("first_byte_ms", &mut first, http.first_byte_deadline, asked.clone(), "nothing at all"),
        ("head_ms", &mut head, http.head_deadline, asked, "half of a head"),
        ("idle_ms", &mut idle, http.idle_deadline, answered, "a request, and nothing more"),
    ];
    for (of, connection, deadline, below, what) in tried {
        let key = format!("listen.{name}.http.{of}");
        let attack = attack(&lane, &key, Expected::Closed, what);
        run.attack(attack, Some(below), |_| closed_at(connection, begun, deadline))?;
    }
    Ok(())
}

/// A body that stops before its end, by one of the two deadlines.
fn slow_body(run: &mut Run, name: &str, of: &str, wish: &str) -> Checked {
    let lane = run.open(&[(wish, DEADLINE_MS)])?;
    let Some((way, http)) = of_name(&lane, name) else { return Ok(()) };
    let key = format!("listen.{name}.http.{of}");
    let is_rate = of == "body_window_ms";
    let deadline = if is_rate { http.body_window } else { http.body_deadline };
    if is_rate && http.body_bytes_per_sec_min == 0 {
        run.skip(key, "body_bytes_per_sec_min is 0: no bound");
        run.skip(format!("listen.{name}.http.body_bytes_per_sec_min"), "0: no bound");
        return Ok(());
    }
    if is_rate != (http.body_window < http.body_deadline) && http.body_bytes_per_sec_min > 0 {
        run.skip(key, "the other deadline of a body comes first");
        return Ok(());
    }
    let request = way.ordinary();
    let below = run.ask(way, &request);
    let slow = |run: &mut Run| {
        let begun = Instant::now();
        match run.connect(way) {
            Ok(mut connection) => {
                let seen = connection.ask(&request[..request.len() - 8]);
                in_time(seen, begun.elapsed(), deadline)
            }
            Err(failed) => failed,
        }
    };
    let sent = "a body that comes whole, and one that stops before its end";
    let expected = || Expected::Refusal(TOO_SLOW);
    let mut seen = None;
    run.attack(attack(&lane, &key, expected(), sent), Some(below.clone()), |run| {
        seen.insert(slow(run)).clone()
    })?;
    if let Some(seen) = seen.filter(|_| is_rate) {
        let key = format!("listen.{name}.http.body_bytes_per_sec_min");
        run.attack(attack(&lane, &key, expected(), sent), Some(below), |_| seen)?;
    }
    Ok(())
}

/// A client that does not take what it asked for.
fn slow_reader(run: &mut Run, name: &str) -> Checked {
    let lane = run.open(&[("listen.http.write_ms", DEADLINE_MS)])?;
    let Some((way, http)) = of_name(&lane, name) else { return Ok(()) };
    let key = format!("listen.{name}.http.write_ms");
    let answer_bytes =
        (lane.plan.layers.payload.response_bytes_max.bytes() / 2).min(ANSWER_BYTES_MAX);
    let request = way.call("probe_large", &json!({ "bytes": answer_bytes }));
    let client = run.client();
    let mut connection = match Connection::open_small(way, client) {
        Ok(connection) => connection,
        Err(error) => {
            run.skip(key, error.to_string());
            return Ok(());
        }
    };
    let below = run.ask(way, &request);
    let answers = (UNREAD_BYTES / answer_bytes.max(1)).min(256);
    connection.send(&request.repeat(answers));
    let series =
        format!("toolrack_connections_closed_total{{listener=\"{name}\",reason=\"write_stall\"}}");
    let begun = Instant::now();
    let is_cut = run.reaches(&series, 1, http.write_deadline + Duration::from_secs(3))?;
    let seen = if is_cut {
        in_time(Seen::Closed, begun.elapsed(), http.write_deadline / 2)
    } else {
        Seen::Other("still open".to_owned())
    };
    let sent = "answers that are read, and answers that are not";
    run.attack(attack(&lane, &key, Expected::Closed, sent), Some(below), |_| seen)
}

/// A stream on which nothing happens.
fn beat(run: &mut Run, name: &str) -> Checked {
    let lane = run.open(&[("listen.http.heartbeat_ms", DEADLINE_MS)])?;
    let Some((way, http)) = of_name(&lane, name) else { return Ok(()) };
    let key = format!("listen.{name}.http.heartbeat_ms");
    let seen = match run.connect(way) {
        Ok(mut connection) => {
            connection.send(&way.request("subscriptions/listen", json!({ "notifications": {} })));
            match connection.head() {
                Seen::Answer { refused: None, .. } => beaten(&mut connection, http.heartbeat),
                refused => refused,
            }
        }
        Err(failed) => failed,
    };
    let attack = attack(
        &lane,
        &key,
        Expected::Words("a comment line".to_owned()),
        "a stream on which nothing happens",
    );
    run.attack(attack, None, |_| seen)
}

fn beaten(connection: &mut Connection, heartbeat: Duration) -> Seen {
    let found = connection.reads_within("\n: \n", heartbeat + Duration::from_secs(2));
    Seen::Other(if found { "a comment line" } else { "silence" }.to_owned())
}

fn of_name<'a>(lane: &'a Lane, name: &str) -> Option<(&'a Way, &'a super::super::lane::HttpPlan)> {
    Some((lane.listeners.iter().find(|way| way.name == name)?, lane.http(name)?))
}
