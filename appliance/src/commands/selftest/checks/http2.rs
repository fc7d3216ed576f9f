//! `layer.http.http2`: what a connection is told that it may ask for, and floods of frames.

use std::time::{Duration, Instant};

use middleware::Mode;
use middleware::http::Http2;

use super::super::judge::{Expected, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, Stopped, pause};
use super::super::wire::Way;
use super::calls::in_time;
use super::frames::{
    ALIVE, CALMED, Frame, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get,
    ping,
};

/// Most frames or streams of one flood.
const FLOOD_MAX: u32 = 4_000;
/// Streams in one go, with a look whether the connection lives after each: fewer than may be reset unseen.
const STREAMS_AT_ONCE: u32 = 4;
/// What the number of requests on a connection is lowered to.
const REQUESTS: &str = "200";
/// What the window of floods is shortened to, and a pause in which it ends.
const WINDOW_MS: &str = "150";
const WINDOW_PAUSE: Duration = Duration::from_millis(400);
/// What the times of a PING are shortened to.
const PING_MS: &str = "300";

/// Every key.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.http.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    settings(run, &lane, way, &config.http2)?;
    let floods = [
        "client_resets_max",
        "pending_resets_max",
        "local_resets_max",
        "control_frames_max",
        "requests_max",
    ];
    if config.mode == Mode::Enforce {
        floods_of(run, way, &lane, &config.http2)?;
    } else {
        floods
            .into_iter()
            .chain(["flood_window_ms"])
            .for_each(|of| run.skip(key(of), "the layer is not enforced: nobody is cut"));
    }
    pings(run)
}

fn key(of: &str) -> String {
    format!("layer.http.http2.{of}")
}

fn begin(run: &mut Run, way: &Way) -> Result<Frames, Seen> {
    run.connect(way).map(Frames::begin)
}

/// What the server says of itself when a connection begins (RFC 9113, 6.5.2).
fn settings(run: &mut Run, lane: &Lane, way: &Way, config: &Http2) -> Checked {
    let mut client = match begin(run, way) {
        Ok(client) => client,
        Err(failed) => {
            run.skip(key("streams_max"), failed.to_string());
            return Ok(());
        }
    };
    let said =
        client.until(|frame| frame.kind == SETTINGS).map(|frame| frame.payload).unwrap_or_default();
    let told = |setting: u16| {
        let pairs = said.chunks_exact(6).map(|pair| pair.split_at(2));
        let found = pairs
            .filter(|(name, _)| *name == setting.to_be_bytes())
            .map(|(_, value)| value.to_vec())
            .next();
        found.and_then(|value| Some(u32::from_be_bytes(value.try_into().ok()?)))
    };
    let window =
        client.until(|frame| frame.kind == WINDOW_UPDATE).and_then(|frame| frame.number(0));
    // Above what a connection begins with (RFC 9113, 6.9.2).
    let window = window.map(|more| more + 65_535);
    let tried = [
        ("streams_max", told(3), u64::from(config.streams_max)),
        ("stream_window_bytes", told(4), config.stream_window_bytes.0),
        ("frame_bytes_max", told(5), config.frame_bytes_max.0),
        ("header_list_bytes_max", told(6), config.header_list_bytes_max.0),
        ("connection_window_bytes", window, config.connection_window_bytes.0),
    ];
    for (of, told, most) in tried {
        let attack = Attack {
            lane,
            key: &key(of),
            mode: Mode::Enforce,
            expected: Expected::Words(format!("a setting of {most}")),
            sent: "the preface of HTTP/2".to_owned(),
        };
        let told =
            told.map_or_else(|| "no setting".to_owned(), |told| format!("a setting of {told}"));
        run.attack(attack, None, |_| Seen::Other(told))?;
    }
    Ok(())
}

/// Frames that a client sends so often.
struct Flood {
    of: &'static str,
    most: u32,
    at_once: u32,
    what: &'static str,
    frames: fn(u32) -> Vec<u8>,
}

fn floods_of(run: &mut Run, way: &Way, lane: &Lane, config: &Http2) -> Checked {
    let reset = |number: u32| {
        let cancel = 8_u32.to_be_bytes();
        let stream = 2 * number + 1;
        [get(stream), frame(RST_STREAM, 0, stream, &cancel)].concat()
    };
    // A window beyond its largest: the server has to reset the stream itself.
    let provoke = |number: u32| {
        let stream = 2 * number + 1;
        let overflow = 0x7fff_ffff_u32.to_be_bytes();
        [get(stream), frame(WINDOW_UPDATE, 0, stream, &overflow)].concat()
    };
    let pending = u32::try_from(config.pending_resets_max).unwrap_or(u32::MAX);
    let local = u32::try_from(config.local_resets_max).unwrap_or(u32::MAX);
    let floods = [
        Flood {
            of: "client_resets_max",
            most: config.client_resets_max,
            at_once: STREAMS_AT_ONCE.min(pending),
            what: "streams that their client resets",
            frames: reset,
        },
        Flood {
            of: "local_resets_max",
            most: local,
            at_once: STREAMS_AT_ONCE,
            what: "streams that the server has to reset",
            frames: provoke,
        },
        Flood {
            of: "control_frames_max",
            most: config.control_frames_max,
            at_once: 64,
            what: "PING frames",
            frames: |_| ping(),
        },
    ];
    for flood in floods {
        if flood.most > FLOOD_MAX {
            run.skip(
                key(flood.of),
                format!("{} {} are too many for a test", flood.most, flood.what),
            );
            continue;
        }
        let within = sent(run, way, &flood, flood.most / 2);
        // What the connection itself says and earns blurs the edge a little.
        let beyond_count = flood.most + flood.most / 4 + 16;
        let attack = Attack {
            lane,
            key: &key(flood.of),
            mode: Mode::Enforce,
            expected: Expected::Words(CALMED.to_owned()),
            sent: format!("{} and {beyond_count} {}", flood.most / 2, flood.what),
        };
        run.attack(
            attack,
            Some(within).filter(|seen| *seen == Seen::Other(ALIVE.to_owned())),
            |run| sent(run, way, &flood, beyond_count),
        )?;
    }
    at_one_moment(run, way, lane, pending, config.client_resets_max, reset)?;
    window(run, config.control_frames_max)?;
    requests(run)
}

/// Sends a flood in parts, until it is over or the connection is.
fn sent(run: &mut Run, way: &Way, flood: &Flood, count: u32) -> Seen {
    let mut client = match begin(run, way) {
        Ok(client) => client,
        Err(failed) => return failed,
    };
    let mut state = Seen::Other(ALIVE.to_owned());
    let mut number = 0;
    while number < count && state == Seen::Other(ALIVE.to_owned()) {
        let next = count.min(number + flood.at_once.max(1));
        let frames: Vec<u8> = (number..next).flat_map(flood.frames).collect();
        client.send(&frames);
        number = next;
        state = client.state();
    }
    state
}

/// Streams that are reset before anybody has looked at them.
fn at_one_moment(
    run: &mut Run,
    way: &Way,
    lane: &Lane,
    most: u32,
    resets_max: u32,
    reset: fn(u32) -> Vec<u8>,
) -> Checked {
    let of = "pending_resets_max";
    let count = most + most / 2 + 4;
    if count > resets_max.min(FLOOD_MAX) {
        run.skip(key(of), "`client_resets_max` is reached first, or it is too many for a test");
        return Ok(());
    }
    let flood = |at_once| Flood { of, most, at_once, what: "", frames: reset };
    let within = sent(run, way, &flood(most / 2), most / 2);
    let attack = Attack {
        lane,
        key: &key(of),
        mode: Mode::Enforce,
        expected: Expected::Words(CALMED.to_owned()),
        sent: format!("{} and {count} streams that are reset in one go", most / 2),
    };
    run.attack(attack, Some(within).filter(|seen| *seen == Seen::Other(ALIVE.to_owned())), |run| {
        sent(run, way, &flood(count), count)
    })
}

/// Twice fewer frames than are a flood, but together more: in one window, and with the window's end between.
fn window(run: &mut Run, most: u32) -> Checked {
    let (part, key) = (most / 4 * 3, key("flood_window_ms"));
    if part == 0 || most > FLOOD_MAX {
        run.skip(key, format!("{most} PING frames are too few or too many for a test"));
        return Ok(());
    }
    let twice = |run: &mut Run, wishes: &[(&str, &str)]| -> Result<(Lane, Seen), Stopped> {
        let lane = run.open(wishes)?;
        let way = lane.way().ok_or_else(|| Stopped("no listener".to_owned()))?;
        let seen = match begin(run, way) {
            Ok(mut client) => {
                let frames = ping().repeat(part as usize);
                client.send(&frames);
                let first = client.state();
                if first == Seen::Other(ALIVE.to_owned()) {
                    pause(WINDOW_PAUSE);
                    client.send(&frames);
                    client.state()
                } else {
                    first
                }
            }
            Err(failed) => failed,
        };
        Ok((lane, seen))
    };
    let (live, beyond) = twice(run, &[])?;
    if Duration::from_millis(live.plan.layers.http.http2.flood_window_ms) < 4 * WINDOW_PAUSE {
        run.skip(key, "the window is too short for two parts of a flood");
        return Ok(());
    }
    let (lane, below) = twice(run, &[(&key, WINDOW_MS)])?;
    let attack = Attack {
        lane: &lane,
        key: &key,
        mode: Mode::Enforce,
        expected: Expected::Words(CALMED.to_owned()),
        sent: format!("{part} PING frames twice, in two windows and in one"),
    };
    let below = Some(below).filter(|seen| *seen == Seen::Other(ALIVE.to_owned()));
    run.attack(attack, below, |_| beyond)
}

/// Requests until the connection ends in order.
fn requests(run: &mut Run) -> Checked {
    let lane = run.open(&[(&key("requests_max"), REQUESTS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.layers.http.http2.requests_max;
    let mut client = match begin(run, way) {
        Ok(client) => client,
        Err(failed) => {
            run.skip(key("requests_max"), failed.to_string());
            return Ok(());
        }
    };
    let is_next = |frame: &Frame| frame.kind == HEADERS || frame.kind == GOAWAY;
    let mut answered = 0;
    let mut is_over = false;
    while answered < most && !is_over {
        client.send(&get(2 * answered + 1));
        let Some(came) = client.until(is_next) else { break };
        is_over = came.kind == GOAWAY;
        answered += u32::from(!is_over);
    }
    let is_told = is_over || client.until(|frame| frame.kind == GOAWAY).is_some();
    let seen =
        if is_told { format!("GOAWAY after {answered} answers") } else { "no GOAWAY".to_owned() };
    let is_in_place = is_told && answered + 1 >= most;
    let expected = if is_in_place { seen.clone() } else { format!("GOAWAY after {most} answers") };
    let attack = Attack {
        lane: &lane,
        key: &key("requests_max"),
        mode: Mode::Enforce,
        expected: Expected::Words(expected),
        sent: format!("{most} requests on one connection"),
    };
    run.attack(attack, None, |_| Seen::Other(seen))
}

/// A silent client is pinged, and cut when it does not answer.
fn pings(run: &mut Run) -> Checked {
    let wishes = ["ping_ms", "ping_answer_ms"].map(key);
    let lane = run.open(&[(&wishes[0], PING_MS), (&wishes[1], PING_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let http2 = &lane.plan.layers.http.http2;
    let [ping_at, answer_in] = [http2.ping_ms, http2.ping_answer_ms].map(Duration::from_millis);
    let mut client = match begin(run, way) {
        Ok(client) => client,
        Err(failed) => {
            run.skip(wishes[0].clone(), failed.to_string());
            return Ok(());
        }
    };
    let begun = Instant::now();
    let pinged = client.until(Frame::is_ping).is_some();
    let seen = Seen::Other(if pinged { "a PING" } else { "no PING" }.to_owned());
    let attack = |key, expected, sent: &str| Attack {
        lane: &lane,
        key,
        mode: Mode::Enforce,
        expected,
        sent: sent.to_owned(),
    };
    let words = Expected::Words("a PING".to_owned());
    let seen = in_time(seen, begun.elapsed(), ping_at / 2);
    run.attack(attack(&wishes[0], words, "nothing after the preface"), None, |_| seen)?;
    let begun = Instant::now();
    let closed = client.closed_within(answer_in + Duration::from_secs(3));
    let seen = if closed.is_some() {
        in_time(Seen::Closed, begun.elapsed(), answer_in / 2)
    } else {
        Seen::Other("still open".to_owned())
    };
    run.attack(attack(&wishes[1], Expected::Closed, "no answer to that PING"), None, |_| seen)
}
