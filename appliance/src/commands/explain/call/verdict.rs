//! What each layer decides about a request.

use std::net::IpAddr;

use middleware::{
    Mode, bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory, origin,
    payload, pre_auth_limit, rate_limit, timeout,
};
use profile::plan::LayersPlan;
use profile::{Loaded, Row};
use protocol::Cause;
use protocol::refusal::CAUSES;
use serde_json::Value;

use super::rehearse::{self, Heard, Weight};
use super::request::{Asked, Way};

/// What a layer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The layer is off, or the request does not meet it.
    NotMet,
    /// It lets the request pass, whatever else is under way.
    Passes,
    /// It refuses.
    Refuses,
    /// It would refuse, and only counts.
    Counts,
    /// Nobody can tell from the request alone.
    Depends,
}

impl Decision {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotMet => "not met",
            Self::Passes => "passes",
            Self::Refuses => "refuses",
            Self::Counts => "counts",
            Self::Depends => "depends",
        }
    }
}

/// A layer at a stage, and what it decides.
pub(super) struct Verdict {
    pub(super) layer: &'static str,
    pub(super) stage: &'static str,
    pub(super) mode: Mode,
    pub(super) decision: Decision,
    /// The error that a refused client hears; null otherwise.
    pub(super) error: Value,
    /// Every reason for which it could refuse.
    pub(super) bounds: Vec<BoundOf>,
}

/// One reason for which a layer could refuse.
pub(super) struct BoundOf {
    pub(super) cause: &'static Cause,
    /// The keys that bear on it, with what the request has of each where that can be measured.
    pub(super) rows: Vec<(Row, Option<u64>)>,
}

/// Asks every layer alone, with all others off, in their order.
///
/// # Errors
/// When there can be no appliance with this plan, or the request is none.
pub(super) fn of_all(
    asked: &Asked<'_>,
    loaded: &Loaded,
    from: IpAddr,
) -> Result<Vec<Verdict>, String> {
    let mut verdicts = Vec::new();
    for (layer, stage) in stack::ORDER {
        let (heard, mode) = ask_alone(layer, asked, loaded, from)?;
        verdicts.push(verdict(layer, stage, mode, &heard, asked, loaded));
    }
    Ok(verdicts)
}

/// What the client would hear if there were no layer but this one, and its own mode.
fn ask_alone(
    layer: &str,
    asked: &Asked<'_>,
    loaded: &Loaded,
    from: IpAddr,
) -> Result<(Heard, Mode), String> {
    let mut plan = loaded.plan.clone();
    let mut its_mode = Mode::Off;
    for (name, mode) in modes(&mut plan.layers) {
        if name == layer {
            its_mode = *mode;
        }
        let is_asked = name == layer && *mode != Mode::Off;
        *mode = if is_asked { Mode::Enforce } else { Mode::Off };
    }
    Ok((rehearse::play(asked, &plan, from)?, its_mode))
}

/// Every layer's mode, by its name.
fn modes(layers: &mut LayersPlan) -> [(&'static str, &mut Mode); 12] {
    [
        (connections::NAME, &mut layers.connections.mode),
        (http::NAME, &mut layers.http.mode),
        (origin::NAME, &mut layers.origin.mode),
        (pre_auth_limit::NAME, &mut layers.pre_auth_limit.mode),
        (payload::NAME, &mut layers.payload.mode),
        (memory::NAME, &mut layers.memory.mode),
        (rate_limit::NAME, &mut layers.rate_limit.mode),
        (fairness::NAME, &mut layers.fairness.mode),
        (concurrency::NAME, &mut layers.concurrency.mode),
        (circuit_breaker::NAME, &mut layers.circuit_breaker.mode),
        (timeout::NAME, &mut layers.timeout.mode),
        (bulkhead::NAME, &mut layers.bulkhead.mode),
    ]
}

fn verdict(
    layer: &'static str,
    stage: &'static str,
    mode: Mode,
    heard: &Heard,
    asked: &Asked<'_>,
    loaded: &Loaded,
) -> Verdict {
    let causes = || CAUSES.iter().filter(|cause| cause.layer == layer && cause.stage == stage);
    let error = &heard.message["error"];
    let refused = causes().find(|cause| is_of(error, cause));
    let is_met = mode != Mode::Off && (stage == "call" || stage == "answer" || is_http(asked));
    let decision = match (is_met, refused, mode) {
        (false, _, _) => Decision::NotMet,
        (true, Some(_), Mode::Shadow) => Decision::Counts,
        (true, Some(_), _) => Decision::Refuses,
        (true, None, _) if causes().all(|cause| cause.state.is_empty()) => Decision::Passes,
        (true, None, _) => Decision::Depends,
    };
    let shown = causes().filter(|cause| is_met && refused.is_none_or(|refused| refused == *cause));
    let error = refused.map_or(Value::Null, |_| error.clone());
    let tool = asked.tool();
    let tool: Vec<_> = tool.iter().map(|name| ("tool", &**name)).collect();
    let bounds = shown.map(|cause| bound(cause, heard.weight, &tool, loaded)).collect();
    Verdict { layer, stage, mode, decision, error, bounds }
}

const fn is_http(asked: &Asked<'_>) -> bool {
    matches!(asked.way, Way::Http { .. })
}

/// Whether an error is the refusal that a cause has.
fn is_of(error: &Value, cause: &Cause) -> bool {
    let data = &error["data"];
    data["refusal"] == cause.kind.as_str()
        && data["layer"] == cause.layer
        && data["scope"].as_str().is_some_and(|scope| cause.covers(scope))
}

/// `tool` is the name of the tool that is called, with its table.
fn bound(cause: &'static Cause, weight: Weight, tool: &[(&str, &str)], loaded: &Loaded) -> BoundOf {
    let rows = cause.keys.iter().flat_map(|key| {
        let measured = measured(key, weight);
        loaded.rows_like(key, tool).into_iter().map(move |row| (row, measured))
    });
    BoundOf { cause, rows: rows.collect() }
}

/// What the request has of what a key bounds.
fn measured(key: &str, weight: Weight) -> Option<u64> {
    let (layer, name) = key.strip_prefix("layer.")?.split_once('.')?;
    let of_head = match (layer, name) {
        (http::NAME, "uri_bytes_max") => weight.uri_bytes,
        (http::NAME, "headers_max") => weight.headers,
        (http::NAME, "header_name_bytes_max") => weight.longest_name_bytes,
        (http::NAME, "header_value_bytes_max") => weight.longest_value_bytes,
        (payload::NAME, "request_bytes_max") => return weight.body_bytes,
        _ => return None,
    };
    Some(of_head as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use profile::Sources;

    use super::*;

    #[test]
    fn every_layer_of_the_order_can_be_asked_alone() {
        let sources = Sources { profile: "dev".to_owned(), ..Sources::default() };
        let mut plan = profile::load(&sources).expect("a good profile").plan;
        let modes: BTreeSet<_> =
            modes(&mut plan.layers).into_iter().map(|(name, _)| name).collect();
        let order: BTreeSet<_> = stack::ORDER.iter().map(|(layer, _)| *layer).collect();
        assert_eq!(modes, order);
    }
}
