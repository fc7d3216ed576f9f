//! `layer.pre_auth_limit` and `layer.rate_limit`: bursts from one address, and what comes back in time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::{Mode, rate_limit};
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, pause};
use super::super::wire::{Connection, Way};
use super::counted;

/// Most requests of one burst.
const REQUESTS_MAX: u64 = 20_000;
/// Requests on their way at once.
pub(super) const WINDOW: u64 = 32;
/// Longest that a burst may take.
pub(super) const BURST_MAX: Duration = Duration::from_secs(3);
/// Longest wait for a bucket that fills again.
const REFILL_MAX: Duration = Duration::from_secs(3);

/// One bucket.
struct Bucket {
    layer: &'static str,
    /// What its refusals begin to say that they cover; `None`: the layer has but one.
    scope: Option<&'static str>,
    rate_key: String,
    burst_key: String,
    mode: Mode,
    /// In a second.
    rate: f64,
    burst: u64,
    what: &'static str,
    /// After so many requests another client sends on, so that no limit of a client is in the way.
    of_each_client: u64,
}

/// What a burst came to.
struct Burst {
    admitted: u64,
    took: Duration,
    /// Who sent last.
    client: IpAddr,
    /// The first that was refused, or the last of all.
    last: Seen,
}

/// A bucket in its lane.
struct Spending<'a> {
    lane: &'a Lane,
    way: &'a Way,
    bucket: Bucket,
    request: Vec<u8>,
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
        scope: None,
        rate_key: "layer.pre_auth_limit.requests_per_sec".to_owned(),
        burst_key: "layer.pre_auth_limit.burst_requests".to_owned(),
        mode: config.mode,
        rate: config.requests_per_sec.into(),
        burst: config.burst_requests.into(),
        what: "requests of one address",
        of_each_client: u64::MAX,
    };
    Spending { lane: &lane, way, bucket, request: way.get("/selftest", "") }.spend(run)?;
    counted::addresses(run)
}

/// `layer.rate_limit`: each of its limits in a lane of its own, since one would be in the way of the next.
pub(in super::super) fn rate(run: &mut Run) -> Checked {
    let config = run.open(&[])?.plan.layers.rate_limit;
    if config.mode == Mode::Off {
        return Ok(());
    }
    counted::clients(run)?;
    for bucket in buckets(&config) {
        if bucket.rate == 0.0 {
            run.skip(bucket.rate_key, "0: this limit is off");
            run.skip(bucket.burst_key, "its rate is 0: this limit is off");
            continue;
        }
        let lane = run.open(&[])?;
        let Some(way) = lane.way() else { return Ok(()) };
        let request = match bucket.scope {
            Some("session") => way.initialize(),
            // A call that no limit of a tool counts.
            Some("client") => way.request("tools/list", json!({})),
            _ => way.ordinary(),
        };
        Spending { lane: &lane, way, bucket, request }.spend(run)?;
    }
    Ok(())
}

/// Every limit of the layer.
fn buckets(config: &rate_limit::Config) -> [Bucket; 4] {
    let bucket = |scope, [rate_key, burst_key]: [&str; 2], rate: u32, burst: u32, what| Bucket {
        layer: "rate_limit",
        scope: Some(scope),
        rate_key: format!("layer.rate_limit.{rate_key}"),
        burst_key: format!("layer.rate_limit.{burst_key}"),
        mode: config.mode,
        rate: rate.into(),
        burst: burst.into(),
        what,
        of_each_client: u64::MAX,
    };
    let of_client = ["calls_per_sec", "burst_calls"];
    let of_tool = ["tool_calls_per_sec", "tool_burst_calls"];
    let of_both = ["client_tool_calls_per_sec", "client_tool_burst_calls"];
    let of_sessions = ["sessions_per_min", "burst_sessions"];
    let client = bucket(
        "client",
        of_client,
        config.calls_per_sec,
        config.burst_calls,
        "calls of one client",
    );
    let tool = bucket(
        "tool:",
        of_tool,
        config.tool_calls_per_sec,
        config.tool_burst_calls,
        "calls of one tool",
    );
    let both = bucket(
        "client_tool:",
        of_both,
        config.client_tool_calls_per_sec,
        config.client_tool_burst_calls,
        "calls of one tool by one client",
    );
    let sessions = bucket(
        "session",
        of_sessions,
        config.sessions_per_min,
        config.burst_sessions,
        "sessions of one client",
    );
    let least = client.burst.min(both.burst);
    [
        client,
        Bucket { of_each_client: (least / 2).max(1), ..tool },
        both,
        Bucket { rate: sessions.rate / 60.0, ..sessions },
    ]
}

impl Spending<'_> {
    fn attack<'a>(&'a self, key: &'a str, sent: String) -> Attack<'a> {
        let refusal = Refusal {
            layer: self.bucket.layer,
            kind: "rate_limited",
            status: 429,
            code: -32010,
            says_when: true,
        };
        let expected = Expected::Refusal(refusal);
        Attack { lane: self.lane, key, mode: self.bucket.mode, expected, sent }
    }

    /// Says of both keys that nothing was shown.
    fn skip(&self, run: &mut Run, why: &str) -> Checked {
        run.skip(&*self.bucket.burst_key, why);
        run.skip(&*self.bucket.rate_key, why);
        Ok(())
    }

    /// Whether it is this bucket that is empty.
    fn is_ours(&self, seen: &Seen) -> bool {
        seen.refused().is_some_and(|refused| {
            let is_scope = self.bucket.scope.is_none_or(|scope| match scope.strip_suffix(':') {
                Some(_) => refused.scope.starts_with(scope),
                None => refused.scope == scope,
            });
            refused.layer == self.bucket.layer && is_scope
        })
    }

    /// Spends the bucket, and waits until it has filled by one.
    fn spend(&self, run: &mut Run) -> Checked {
        let Bucket { mode, rate, burst: most, what, .. } = self.bucket;
        if most + WINDOW > REQUESTS_MAX {
            return self.skip(run, &format!("{most} {what} are too many for a test"));
        }
        if mode == Mode::Shadow {
            return self.spend_in_shadow(run);
        }
        let sent = format!("{what} in a row until one is refused, {most} at once");
        let burst = match self.flood(run, REQUESTS_MAX, |seen| !seen.passes()) {
            Ok(burst) => burst,
            Err(failed) => {
                return run.attack(self.attack(&self.bucket.burst_key, sent), None, |_| failed);
            }
        };
        let quota = most as f64 + rate * burst.took.as_secs_f64() + 1.0;
        let (admitted, took_ms) = (burst.admitted, burst.took.as_millis());
        let is_ours = self.is_ours(&burst.last);
        if burst.last.passes() && admitted as f64 <= quota {
            let why =
                format!("its quota lets more pass than a test sends: {admitted} in {took_ms} ms");
            return self.skip(run, &why);
        }
        if !is_ours && let Some(other) = burst.last.refused() {
            let why =
                format!("`{}` refuses first ({} of {})", other.layer, other.kind, other.scope);
            return self.skip(run, &why);
        }
        let passed = format!("{admitted} passed in {took_ms} ms");
        let is_at_its_place = admitted >= most && admitted as f64 <= quota;
        let key = self.attack(&self.bucket.burst_key, sent);
        if !is_at_its_place {
            let seen = format!("{passed}, of which {most} to {quota:.0} should");
            return run.attack(key, None, |_| Seen::Other(seen));
        }
        let refused = burst.last.clone();
        run.attack(key, Some(Seen::Other(passed)), |_| refused)?;
        self.refill(run, &burst)
    }

    /// One more request when the refusal said that it could pass.
    fn refill(&self, run: &mut Run, burst: &Burst) -> Checked {
        let begun = Instant::now();
        let mut seen = burst.last.clone();
        // What was on its way behind the refusal may have taken what came in meanwhile.
        while self.is_ours(&seen) {
            let wait =
                seen.refused().and_then(|refused| refused.retry_after_ms).unwrap_or_default();
            let wait = Duration::from_millis(wait);
            if begun.elapsed() + wait > REFILL_MAX {
                run.skip(
                    &*self.bucket.rate_key,
                    "its bucket fills by one more slowly than a test waits",
                );
                return Ok(());
            }
            pause(wait);
            seen = Run::ask_from(self.way, burst.client, &self.request);
        }
        let sent =
            format!("one more after the refusal, and {} ms later", begun.elapsed().as_millis());
        let refused = burst.last.clone();
        run.attack(self.attack(&self.bucket.rate_key, sent), Some(seen), |_| refused)
    }

    /// More than may pass, of which none is refused.
    fn spend_in_shadow(&self, run: &mut Run) -> Checked {
        let Bucket { layer, rate, burst, what, .. } = self.bucket;
        let asked = burst + WINDOW + (rate / 2.0) as u64;
        let sent = format!("{asked} {what}");
        let key = self.attack(&self.bucket.burst_key, sent);
        run.attack(key, None, |run| {
            let flood = self.flood(run, asked.min(REQUESTS_MAX), |_| false);
            flood.map_or_else(|failed| failed, |burst| burst.last)
        })?;
        let series = format!(
            "toolrack_refusals_total{{layer=\"{layer}\",kind=\"rate_limited\",mode=\"shadow\"}}"
        );
        let counted = run.test.count(&series)?;
        let why = format!("mode `shadow`: would have refused {counted} times");
        run.skip(&*self.bucket.rate_key, why);
        Ok(())
    }

    /// Sends requests in windows until one `is_enough`, so many were sent, or the time is over.
    fn flood(
        &self,
        run: &mut Run,
        requests_max: u64,
        is_enough: impl Fn(&Seen) -> bool,
    ) -> Result<Burst, Seen> {
        let connect = |client: IpAddr| Connection::open(self.way, client);
        let begun = Instant::now();
        let mut client = run.client();
        let mut connection = connect(client)?;
        let (mut admitted, mut of_client) = (0, 0);
        let mut last = Seen::Closed;
        while admitted < requests_max && begun.elapsed() < BURST_MAX {
            if of_client >= self.bucket.of_each_client {
                client = run.client();
                connection = connect(client)?;
                of_client = 0;
            }
            let left = (requests_max - admitted).min(self.bucket.of_each_client - of_client);
            let count = WINDOW.min(left);
            connection.send(&self.request.repeat(count as usize));
            for _ in 0..count {
                last = connection.answer();
                if is_enough(&last) || matches!(last, Seen::Closed | Seen::Failed(_)) {
                    return Ok(Burst { admitted, took: begun.elapsed(), client, last });
                }
                admitted += 1;
                of_client += 1;
            }
        }
        Ok(Burst { admitted, took: begun.elapsed(), client, last })
    }
}
