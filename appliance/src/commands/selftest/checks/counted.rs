//! Who is counted: more clients than have a bucket of their own, and clients that say they are others.

use std::time::Instant;

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Seen};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::limits::{BURST_MAX, WINDOW};

/// What the number of keys is lowered to, of which each is an address.
const KEYS: &str = "64";

/// What newcomers do for whom there is no bucket.
const SHARED: &str = "newcomers share buckets";

/// `layer.pre_auth_limit.keys_max`.
pub(super) fn addresses(run: &mut Run) -> Checked {
    let key = "layer.pre_auth_limit.keys_max";
    let lane = run.open(&[(key, KEYS)])?;
    let config = &lane.plan.layers.pre_auth_limit;
    let request = |way: &Way| way.get("/selftest", "");
    keys(run, key, config.mode, config.keys_max, "pre_auth_limit_keys", request)
}

/// `layer.rate_limit.keys_max`.
pub(super) fn clients(run: &mut Run) -> Checked {
    let key = "layer.rate_limit.keys_max";
    let lane = run.open(&[(key, KEYS)])?;
    let config = &lane.plan.layers.rate_limit;
    if config.calls_per_sec == 0 {
        run.skip(key, "`calls_per_sec` is 0: no client is counted");
        return Ok(());
    }
    let request = |way: &Way| way.request("tools/list", json!({}));
    keys(run, key, config.mode, config.keys_max, "rate_limit_client_keys", request)
}

/// As many clients as have a bucket of their own in the lane that is open, and half as many more.
fn keys(
    run: &mut Run,
    key: &str,
    mode: Mode,
    most: u32,
    bound: &str,
    request: impl Fn(&Way) -> Vec<u8>,
) -> Checked {
    if mode != Mode::Enforce {
        run.skip(key, "the layer is not enforced: what newcomers share refuses nobody");
        return Ok(());
    }
    let lane = run.open(&[(key, KEYS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let request = request(way);
    let ask = |run: &mut Run, count: u32| -> Result<Seen, super::super::run::Stopped> {
        for _ in 0..count {
            run.ask(way, &request);
        }
        let full = run.test.count(&format!("toolrack_bound_refused_total{{bound=\"{bound}\""))?;
        let words = if full > 0 { SHARED } else { "everybody has a bucket" };
        Ok(Seen::Other(words.to_owned()))
    };
    let below = ask(run, most)?;
    let beyond = ask(run, most.div_ceil(2))?;
    let attack = Attack {
        lane: &lane,
        key,
        mode,
        expected: Expected::Words(SHARED.to_owned()),
        sent: format!("a request of each of {most} clients, and of half as many more"),
    };
    run.attack(attack, Some(below), |_| beyond)
}

/// `listen.NAME.http.trusted_proxies`: one address that says, as a proxy would, that each request is somebody else's.
pub(in super::super) fn proxies(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let limit = &lane.plan.layers.pre_auth_limit;
    for way in &lane.listeners {
        let key = format!("listen.{}.http.trusted_proxies", way.name);
        let trusted = lane.http(&way.name).map_or(0, |http| http.trusted_proxies.len());
        if trusted > 0 {
            run.skip(key, "a test has no proxy whose address it could have");
            continue;
        }
        if limit.mode != Mode::Enforce {
            run.skip(key, "nobody is refused by address: `layer.pre_auth_limit` is not enforced");
            continue;
        }
        let seen = forge(run, way, limit.burst_requests.into(), limit.requests_per_sec.into());
        let attack = Attack {
            lane: &lane,
            key: &key,
            mode: Mode::Enforce,
            expected: Expected::Words(NOT_BELIEVED.to_owned()),
            sent: "requests of one address, each with another one in X-Forwarded-For".to_owned(),
        };
        run.attack(attack, None, |_| seen)?;
    }
    Ok(())
}

const NOT_BELIEVED: &str = "counted against the address itself";

/// More forged requests than one address may send.
fn forge(run: &mut Run, way: &Way, burst: u64, rate: f64) -> Seen {
    let mut connection: Connection = match run.connect(way) {
        Ok(connection) => connection,
        Err(failed) => return failed,
    };
    let begun = Instant::now();
    let mut sent = 0;
    // What comes in meanwhile may pass as well.
    while (sent as f64) < burst as f64 + rate * begun.elapsed().as_secs_f64() + WINDOW as f64 {
        if begun.elapsed() > BURST_MAX {
            return Seen::Other("its quota lets more pass than a test sends".to_owned());
        }
        let forged = |number: u64| {
            let [.., high, low] = number.to_be_bytes();
            way.get("/selftest", &format!("X-Forwarded-For: 198.18.{high}.{low}\r\n"))
        };
        connection.send(&(sent..sent + WINDOW).flat_map(forged).collect::<Vec<_>>());
        for _ in 0..WINDOW {
            match connection.answer() {
                seen @ (Seen::Closed | Seen::Failed(_)) => return seen,
                seen if seen.refused().is_some_and(|refused| refused.layer == "pre_auth_limit") => {
                    return Seen::Other(NOT_BELIEVED.to_owned());
                }
                _ => sent += 1,
            }
        }
    }
    Seen::Other(format!("{sent} passed"))
}
