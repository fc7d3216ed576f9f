//! `layer.pre_auth_limit` and `layer.rate_limit`: bursts from one address, and what comes back in time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::Mode;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, pause};
use super::super::wire::{Connection, Way};

/// Most requests of one burst.
const REQUESTS_MAX: u64 = 20_000;
/// Requests on their way at once.
const WINDOW: u64 = 32;
/// Longest that a burst may take.
const BURST_MAX: Duration = Duration::from_secs(3);
/// Longest wait for a bucket that fills again.
const REFILL_MAX: Duration = Duration::from_secs(3);

/// One bucket.
struct Bucket {
    layer: &'static str,
    kind: &'static str,
    /// What its keys begin with, and their names.
    rate_key: String,
    burst_key: String,
    mode: Mode,
    /// In a second.
    rate: f64,
    burst: u64,
    what: &'static str,
}

/// What a burst came to.
struct Burst {
    admitted: u64,
    took: Duration,
    /// The first that was refused, or the last of all.
    last: Seen,
    connection: Connection,
}

/// `layer.pre_auth_limit`.
pub(in super::super) fn pre_auth(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.pre_auth_limit.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let bucket = Bucket {
        layer: "pre_auth_limit",
        kind: "rate_limited",
        rate_key: "layer.pre_auth_limit.requests_per_sec".to_owned(),
        burst_key: "layer.pre_auth_limit.burst_requests".to_owned(),
        mode: config.mode,
        rate: f64::from(config.requests_per_sec),
        burst: config.burst_requests.into(),
        what: "requests of one address",
    };
    let request = way.get("/selftest", "");
    run.skip(
        "layer.pre_auth_limit.keys_max",
        "so many addresses are too many for a test, and nobody is refused for being one more",
    );
    spend(run, &lane, way, &bucket, &request)
}

/// `layer.rate_limit`: each of its limits in a lane of its own, since one would be in the way of the next.
pub(in super::super) fn rate(run: &mut Run) -> Checked {
    let config = run.open(&[])?.plan.layers.rate_limit;
    if config.mode == Mode::Off {
        return Ok(());
    }
    run.skip(
        "layer.rate_limit.keys_max",
        "so many clients are too many for a test, and nobody is refused for being one more",
    );
    let second = |rate: u32| f64::from(rate);
    let buckets = [
        (
            "calls_per_sec",
            "burst_calls",
            second(config.calls_per_sec),
            config.burst_calls,
            "calls of one client",
        ),
        (
            "tool_calls_per_sec",
            "tool_burst_calls",
            second(config.tool_calls_per_sec),
            config.tool_burst_calls,
            "calls of one tool",
        ),
        (
            "client_tool_calls_per_sec",
            "client_tool_burst_calls",
            second(config.client_tool_calls_per_sec),
            config.client_tool_burst_calls,
            "calls of one tool by one client",
        ),
        (
            "sessions_per_min",
            "burst_sessions",
            second(config.sessions_per_min) / 60.0,
            config.burst_sessions,
            "sessions of one client",
        ),
    ];
    for (rate_key, burst_key, rate, burst, what) in buckets {
        let key = |name: &str| format!("layer.rate_limit.{name}");
        if rate == 0.0 {
            run.skip(key(rate_key), "0: this limit is off");
            run.skip(
                key(burst_key),
                format!("`layer.rate_limit.{rate_key}` is 0: this limit is off"),
            );
            continue;
        }
        let lane = run.open(&[])?;
        let Some(way) = lane.way() else { return Ok(()) };
        let request = if what.starts_with("sessions") { way.initialize() } else { way.ordinary() };
        let bucket = Bucket {
            layer: "rate_limit",
            kind: "rate_limited",
            rate_key: key(rate_key),
            burst_key: key(burst_key),
            mode: config.mode,
            rate,
            burst: burst.into(),
            what,
        };
        // A limit of the client is in the way of the tool's.
        let clients = if what == "calls of one tool" {
            u64::from(config.burst_calls.max(1)) / 2
        } else {
            u64::MAX
        };
        spend_by(run, &lane, way, &bucket, &request, clients.max(1))?;
    }
    Ok(())
}

fn spend(run: &mut Run, lane: &Lane, way: &Way, bucket: &Bucket, request: &[u8]) -> Checked {
    spend_by(run, lane, way, bucket, request, u64::MAX)
}

/// Spends a bucket, by another client after each so many requests, and waits until it has filled by one.
fn spend_by(
    run: &mut Run,
    lane: &Lane,
    way: &Way,
    bucket: &Bucket,
    request: &[u8],
    of_each_client: u64,
) -> Checked {
    let Bucket { layer, kind, mode, rate, burst: most, what, .. } = *bucket;
    if most + WINDOW > REQUESTS_MAX {
        for key in [&bucket.burst_key, &bucket.rate_key] {
            run.skip(key, format!("{most} {what} are too many for a test"));
        }
        return Ok(());
    }
    let expected =
        Expected::Refusal(Refusal { layer, kind, status: 429, code: -32010, says_when: true });
    let attack = |key, sent| Attack { lane, key, mode, expected: expected.clone(), sent };
    let mut left = None;
    let mut burst = None;
    let sent = format!("{what} in a row until one is refused, {most} at once");
    let series =
        format!("toolrack_refusals_total{{layer=\"{layer}\",kind=\"{kind}\",mode=\"shadow\"}}");
    if mode == Mode::Shadow {
        return run
            .attack(attack(&bucket.burst_key, sent), None, |run| {
                let asked = most + WINDOW + (rate / 4.0) as u64;
                let last = flood(run, way, request, asked, of_each_client, |_| false)
                    .map(|burst| burst.last);
                last.unwrap_or_else(|failed| failed)
            })
            .and_then(|()| {
                let counted = run.test.count(&series)?;
                run.skip(
                    &bucket.rate_key,
                    format!("mode `shadow`: would have refused {counted} times"),
                );
                Ok(())
            });
    }
    let asked = REQUESTS_MAX;
    match flood(run, way, request, asked, of_each_client, |seen| !seen.passes()) {
        Ok(done) => burst = Some(done),
        Err(failed) => left = Some(failed),
    }
    let Some(mut burst) = burst else {
        let failed = left.unwrap_or(Seen::Closed);
        return run.attack(attack(&bucket.burst_key, sent), None, |_| failed);
    };
    let quota = most as f64 + rate * burst.took.as_secs_f64() + 1.0;
    if burst.last.passes() && quota >= burst.admitted as f64 {
        for key in [&bucket.burst_key, &bucket.rate_key] {
            run.skip(
                key,
                format!(
                    "the quota lets more pass than a test can send: {} {what} in {} ms",
                    burst.admitted,
                    burst.took.as_millis()
                ),
            );
        }
        return Ok(());
    }
    let (admitted, took_ms) = (burst.admitted, burst.took.as_millis());
    let is_ours = burst.last.refused().is_some_and(|refused| refused.layer == layer);
    let below = if is_ours && (admitted < most || admitted as f64 > quota) {
        // Told as what it is: neither side of the edge is where the key says.
        return run.attack(attack(&bucket.burst_key, sent), None, |_| {
            Seen::Other(format!("{admitted} passed in {took_ms} ms, of which at least {most} and at most {quota:.0} should"))
        });
    } else {
        Seen::Other(format!("{admitted} passed in {took_ms} ms"))
    };
    let refused = burst.last.clone();
    run.attack(attack(&bucket.burst_key, sent), Some(below.clone()), |_| refused.clone())?;
    let wait = refused.refused().and_then(|refused| refused.retry_after_ms);
    let wait = Duration::from_millis(wait.unwrap_or_default());
    if !is_ours || wait > REFILL_MAX {
        let why = if is_ours {
            "the bucket fills by one more slowly than a test waits"
        } else {
            "its burst was not reached"
        };
        run.skip(&bucket.rate_key, why);
        return Ok(());
    }
    pause(wait);
    let after = burst.connection.ask(request);
    let attack = attack(
        &bucket.rate_key,
        format!(
            "one more after the refusal, and another after the {} ms that it said",
            wait.as_millis()
        ),
    );
    run.attack(attack, Some(after), |_| refused)
}

/// Sends requests in windows until one `is_enough`, so many were sent, or the time is over. A connection of a fresh
/// client takes over after each so many.
fn flood(
    run: &mut Run,
    way: &Way,
    request: &[u8],
    requests_max: u64,
    of_each_client: u64,
    is_enough: impl Fn(&Seen) -> bool,
) -> Result<Burst, Seen> {
    let connect = |client: IpAddr| {
        Connection::open(way, client).map_err(|error| Seen::Failed(error.to_string()))
    };
    let begun = Instant::now();
    let mut connection = connect(run.client())?;
    let (mut admitted, mut of_client) = (0, 0);
    let mut last = Seen::Closed;
    while admitted < requests_max && begun.elapsed() < BURST_MAX {
        if of_client >= of_each_client {
            connection = connect(run.client())?;
            of_client = 0;
        }
        let count = WINDOW.min(requests_max - admitted).min(of_each_client - of_client);
        connection.send(&request.repeat(count as usize));
        for _ in 0..count {
            let seen = connection.answer();
            if is_enough(&seen) || matches!(seen, Seen::Closed | Seen::Failed(_)) {
                let took = begun.elapsed();
                // What is still on its way is read, so that the connection can be used again.
                return Ok(Burst {
                    admitted,
                    took,
                    last: seen,
                    connection: fresh(connection, way, run)?,
                });
            }
            last = seen;
            admitted += 1;
            of_client += 1;
        }
    }
    Ok(Burst { admitted, took: begun.elapsed(), last, connection })
}

/// A new connection of the same client, in place of one with answers that nobody waits for.
fn fresh(connection: Connection, way: &Way, run: &mut Run) -> Result<Connection, Seen> {
    let client = connection.client().unwrap_or_else(|| run.client());
    drop(connection);
    Connection::open(way, client).map_err(|error| Seen::Failed(error.to_string()))
}
