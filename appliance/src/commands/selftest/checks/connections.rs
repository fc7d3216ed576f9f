//! `layer.connections`, and the cap on connections of each listener.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::Mode;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::in_time;

/// What caps of connections are lowered to.
const CONNECTIONS: usize = 200;
/// What the age of connections is shortened to.
const AGE_MS: &str = "600";

/// `layer.connections`.
pub(in super::super) fn layer(run: &mut Run) -> Checked {
    let config = run.open(&[])?.plan.layers.connections;
    if config.mode == Mode::Off {
        return Ok(());
    }
    per_address(run, config.per_address_max)?;
    all(run, config.per_address_max)?;
    age(run)
}

/// Connections that say nothing, from addresses with at most so many each.
fn silent(
    run: &mut Run,
    way: &Way,
    count: usize,
    of_each: usize,
) -> Result<(Vec<Connection>, IpAddr), Seen> {
    let mut held = Vec::with_capacity(count);
    let mut client = run.client();
    for number in 0..count {
        if number > 0 && number % of_each == 0 {
            client = run.client();
        }
        held.push(Connection::open(way, client)?);
    }
    Ok((held, client))
}

/// One more connection that asks for something.
fn one_more(way: &Way, client: IpAddr, held: &mut Vec<Connection>) -> Seen {
    match Connection::open(way, client) {
        Ok(mut connection) => {
            let seen = connection.ask(&way.get("/selftest", ""));
            held.push(connection);
            seen
        }
        Err(failed) => failed,
    }
}

/// So many connections, and one more.
fn fill(
    run: &mut Run,
    lane: &Lane,
    key: &str,
    most: usize,
    of_each: usize,
    refusal: Refusal,
    mode: Mode,
) -> Checked {
    let Some(way) = way_of(lane, key) else { return Ok(()) };
    let (mut held, client) = match silent(run, way, most - 1, of_each) {
        Ok(held) => held,
        Err(failed) => {
            run.skip(key, format!("{most} connections could not be opened: {failed}"));
            return Ok(());
        }
    };
    let next = |run: &mut Run, number: usize| {
        if number.is_multiple_of(of_each) { run.client() } else { client }
    };
    let last = next(run, most - 1);
    let below = one_more(way, last, &mut held);
    // Of one address it is the same that wants one more; of all it is another.
    let beyond = if of_each == most { last } else { run.client() };
    let attack = Attack {
        lane,
        key,
        mode,
        expected: Expected::Refusal(refusal),
        sent: format!("connection {most} and connection {}", most + 1),
    };
    run.attack(attack, Some(below), |_| one_more(way, beyond, &mut held))
}

/// The listener that a key names, or the first.
fn way_of<'a>(lane: &'a Lane, key: &str) -> Option<&'a Way> {
    let named = |way: &&Way| key == format!("listen.{}.http.connections_max", way.name);
    lane.listeners.iter().find(named).or_else(|| lane.way())
}

fn per_address(run: &mut Run, most: usize) -> Checked {
    let lane = run.open(&[])?;
    let key = "layer.connections.per_address_max";
    let config = &lane.plan.layers.connections;
    let others = lane.listeners.first().and_then(|way| lane.http(&way.name));
    let room = others.map_or(0, |http| http.connections_max).min(config.connections_max);
    if most >= room {
        run.skip(
            key,
            format!("another cap is reached first: a lane has {room} connections at most"),
        );
        return Ok(());
    }
    let refusal = Refusal {
        layer: "connections",
        kind: "address_exhausted",
        status: 429,
        code: -32011,
        says_when: true,
    };
    fill(run, &lane, key, most, most, refusal, config.mode)
}

const EXHAUSTED: Refusal = Refusal {
    layer: "connections",
    kind: "connections_exhausted",
    status: 503,
    code: -32017,
    says_when: true,
};

fn all(run: &mut Run, per_address_max: usize) -> Checked {
    let key = "layer.connections.connections_max";
    let lane = run.open(&[(key, &run.few(CONNECTIONS))])?;
    let most = lane.plan.layers.connections.connections_max;
    let of_listener = lane.listeners.first().and_then(|way| lane.http(&way.name));
    let of_listener = of_listener.map_or(0, |http| http.connections_max);
    if most >= of_listener {
        run.skip(key, "the cap of the listener is reached first");
        return Ok(());
    }
    fill(
        run,
        &lane,
        key,
        most,
        spread(per_address_max, most),
        EXHAUSTED,
        lane.plan.layers.connections.mode,
    )
}

/// How many connections one address may have, so that no address is full and no burst is noticed.
const fn spread(per_address_max: usize, most: usize) -> usize {
    let each = if per_address_max > 8 { 8 } else { per_address_max };
    if each >= most { if most > 1 { most - 1 } else { 1 } } else { each }
}

fn age(run: &mut Run) -> Checked {
    let lane = run.open(&[("layer.connections.age_max_ms", AGE_MS)])?;
    let key = "layer.connections.age_max_ms";
    let config = &lane.plan.layers.connections;
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode != Mode::Enforce {
        run.skip(key, "mode `shadow`: no connection ends for its age");
        return Ok(());
    }
    let age = Duration::from_millis(config.age_max_ms);
    let mut connection = match run.connect(way) {
        Ok(connection) => connection,
        Err(failed) => {
            run.skip(key, failed.to_string());
            return Ok(());
        }
    };
    let begun = Instant::now();
    let below = connection.ask(&way.get("/selftest", ""));
    let attack = Attack {
        lane: &lane,
        key,
        mode: Mode::Enforce,
        expected: Expected::Closed,
        sent: "a request on a new connection, and nothing more".to_owned(),
    };
    run.attack(attack, Some(below), |_| closed_at(&mut connection, begun, age))
}

/// That the connection was closed at its time or up to a tenth sooner.
pub(super) fn closed_at(connection: &mut Connection, begun: Instant, at: Duration) -> Seen {
    match connection.closed_within(at + Duration::from_secs(3)) {
        Some(_) => in_time(Seen::Closed, begun.elapsed(), at * 9 / 10),
        None => Seen::Other(format!("still open after {} ms", begun.elapsed().as_millis())),
    }
}

/// The cap of each listener.
pub(in super::super) fn listeners(run: &mut Run) -> Checked {
    let names: Vec<_> = run.open(&[])?.listeners.iter().map(|way| way.name.clone()).collect();
    for name in names {
        let key = format!("listen.{name}.http.connections_max");
        let lane = run.open(&[("listen.http.connections_max", &run.few(CONNECTIONS))])?;
        let layer = &lane.plan.layers.connections;
        let most = lane.http(&name).map_or(0, |http| http.connections_max);
        if layer.mode == Mode::Enforce && layer.connections_max <= most {
            run.skip(key, "`layer.connections.connections_max` is reached first");
            continue;
        }
        let refusal = Refusal { layer: "listen", ..EXHAUSTED };
        fill(run, &lane, &key, most, spread(layer.per_address_max, most), refusal, Mode::Enforce)?;
    }
    Ok(())
}
