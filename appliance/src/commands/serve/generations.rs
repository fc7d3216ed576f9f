//! The generations that are there: the one that serves, and those that drain.

use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use runtime::Generation;
use serde_json::{Value, json};
use telemetry::{Metric, Samples};
use transport::Endpoint;

/// All of them, with what each still has; `probation` is told as it is.
pub(super) fn to_json(endpoint: &Endpoint, probation: &Value) -> Bytes {
    let current = endpoint.switch.load();
    let reload = &current.plan().reload;
    let draining: Vec<_> = endpoint
        .switch
        .draining()
        .iter()
        .map(|past| {
            let mut shown = shown(past);
            let drains_for = past.replaced().map(|replaced| replaced.elapsed());
            let left = reload.drain.saturating_sub(drains_for.unwrap_or_default());
            let ends = SignedDuration::try_from(left)
                .ok()
                .and_then(|left| Timestamp::now().checked_add(left).ok());
            shown["ends_by"] = ends.map(|ends| ends.to_string()).into();
            shown
        })
        .collect();
    let [_, streams] = endpoint.sessions.bounds();
    let all = json!({
        "current": shown(&current),
        "draining": draining,
        "draining_max": reload.draining_generations_max,
        "streams": streams.used(),
        "probation": probation,
    });
    all.to_string().into()
}

fn shown(generation: &Generation) -> Value {
    let plugins = &generation.stack().kit().plugins;
    let plugins: Vec<_> = plugins
        .iter()
        .map(|plugin| json!({ "name": &**plugin.name(), "start": plugin.start_number(), "state": plugin.state().as_str() }))
        .collect();
    json!({
        "generation": generation.number(),
        "identity": generation.plan().identity,
        "since": generation.since().to_string(),
        "calls": generation.in_flight().used(),
        "plugins": plugins,
    })
}

/// What a scrape shows of them.
pub(super) fn metrics(samples: &mut Samples, endpoint: &Endpoint) {
    let current = endpoint.switch.load();
    let (number, identity) = (current.number(), current.plan().identity.short());
    samples.set(Metric::Generation, &[], number);
    samples.set(Metric::GenerationInfo, &[&number.to_string(), &identity], 1);
    let draining = endpoint.switch.draining();
    samples.set(Metric::GenerationsDraining, &[], draining.len());
    let oldest = draining.first();
    let calls = oldest.map_or(0, |oldest| oldest.in_flight().used());
    samples.set(Metric::GenerationOldestCalls, &[], calls);
    let replaced = oldest.and_then(|oldest| oldest.replaced());
    let seconds =
        replaced.map_or(0.0, |replaced| Instant::now().duration_since(replaced).as_secs_f64());
    samples.set(Metric::GenerationOldestSeconds, &[], format_args!("{seconds:.3}"));
}
