//! The numbers of a lane that its test may have smaller than the live plan's: times, and bounds that are too large for a
//! test to reach. What is made smaller shows that the key is heeded, not its number; the report tells both numbers.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use middleware::ByteSize;
use profile::Plan;
use profile::plan::HttpPlan;
use serde::Serialize;
use serde_json::{Value, json};

use super::wishes::http;

/// A number of a plan, as its room keeps it.
enum Number<'a> {
    Small(&'a mut u32),
    Large(&'a mut u64),
    Count(&'a mut usize),
    Calls(&'a mut NonZeroUsize),
    Ms(&'a mut NonZeroU64),
    /// Of milliseconds in the profile.
    Time(&'a mut Duration),
    Size(&'a mut Option<ByteSize>),
}

impl Number<'_> {
    /// Takes the smaller of both; before and after, if it was larger.
    fn lower(self, most: NonZeroU64) -> Option<(Value, Value)> {
        let count = NonZeroUsize::try_from(most).unwrap_or(NonZeroUsize::MAX);
        match self {
            Self::Small(value) => told(value, u32::try_from(most.get()).unwrap_or(u32::MAX)),
            Self::Large(value) => told(value, most.get()),
            Self::Count(value) => told(value, count.get()),
            Self::Calls(value) => told(value, count),
            Self::Ms(value) => told(value, most),
            Self::Time(value) => {
                let (before, after) = lower(value, Duration::from_millis(most.get()))?;
                Some((json!(before.as_millis() as u64), json!(after.as_millis() as u64)))
            }
            Self::Size(value) => {
                let most = ByteSize(most.get());
                // What is not set is a share of the memory.
                let Some(size) = value else {
                    *value = Some(most);
                    return Some((json!("a share of the memory"), json!(most)));
                };
                told(size, most)
            }
        }
    }
}

/// Takes the smaller of both; before and after, if it was larger.
pub(super) fn lower<T: Ord + Copy>(value: &mut T, most: T) -> Option<(T, T)> {
    (*value > most).then(|| (std::mem::replace(value, most), most))
}

fn told<T: Ord + Copy + Serialize>(value: &mut T, most: T) -> Option<(Value, Value)> {
    lower(value, most).map(|(before, after)| (json!(before), json!(after)))
}

/// Lowers what `key` names to `most`, wherever it is larger, and notes it in `changed`. `false`: the key names no such
/// number.
pub(super) fn lower_key(
    plan: &mut Plan,
    key: &str,
    most: NonZeroU64,
    changed: &mut Vec<Value>,
) -> bool {
    if let Some(number) = of_plan(plan, key) {
        note(changed, key, number.lower(most));
        return true;
    }
    let Some(of) = key.strip_prefix("listen.http.") else { return false };
    let mut is_known = false;
    for (name, http) in http(&mut plan.listeners) {
        let Some(number) = of_listener(http, of) else { return false };
        note(changed, &format!("listen.{name}.http.{of}"), number.lower(most));
        is_known = true;
    }
    is_known
}

fn of_plan<'a>(plan: &'a mut Plan, key: &str) -> Option<Number<'a>> {
    let layers = &mut plan.layers;
    Some(match key {
        "layer.bulkhead.queue_wait_ms" => Number::Large(&mut layers.bulkhead.queue_wait_ms),
        "layer.circuit_breaker.half_open_ms" => {
            Number::Large(&mut layers.circuit_breaker.half_open_ms)
        }
        "layer.circuit_breaker.open_max_ms" => {
            Number::Large(&mut layers.circuit_breaker.open_max_ms)
        }
        "layer.circuit_breaker.open_ms" => Number::Large(&mut layers.circuit_breaker.open_ms),
        "layer.concurrency.calls_max" => Number::Calls(&mut layers.concurrency.calls_max),
        "layer.connections.age_max_ms" => Number::Large(&mut layers.connections.age_max_ms),
        "layer.connections.connections_max" => {
            Number::Count(&mut layers.connections.connections_max)
        }
        "layer.fairness.client_calls_max" => Number::Small(&mut layers.fairness.client_calls_max),
        "layer.fairness.client_queue_calls_max" => {
            Number::Small(&mut layers.fairness.client_queue_calls_max)
        }
        "layer.fairness.queue_calls_max" => Number::Small(&mut layers.fairness.queue_calls_max),
        "layer.fairness.wait_ms" => Number::Large(&mut layers.fairness.wait_ms),
        "layer.http.http2.flood_window_ms" => Number::Large(&mut layers.http.http2.flood_window_ms),
        "layer.http.http2.ping_answer_ms" => Number::Large(&mut layers.http.http2.ping_answer_ms),
        "layer.http.http2.ping_ms" => Number::Large(&mut layers.http.http2.ping_ms),
        "layer.http.http2.requests_max" => Number::Small(&mut layers.http.http2.requests_max),
        "layer.memory.ledger_bytes_max" => Number::Size(&mut layers.memory.ledger_bytes_max),
        "layer.pre_auth_limit.keys_max" => Number::Small(&mut layers.pre_auth_limit.keys_max),
        "layer.rate_limit.keys_max" => Number::Small(&mut layers.rate_limit.keys_max),
        "layer.timeout.deadline_ms" => Number::Ms(&mut layers.timeout.deadline_ms),
        "request_state.ttl_ms" => Number::Time(&mut plan.request_state.ttl),
        "server.page_items_max" => Number::Count(&mut plan.server.page_items_max),
        "session.answer_ms" => Number::Time(&mut plan.session.answer_deadline),
        "session.idle_ms" => Number::Time(&mut plan.session.idle),
        "session.replay_bytes_max" => Number::Count(&mut plan.session.replay_bytes_max),
        "session.replay_events_max" => Number::Count(&mut plan.session.replay_events_max),
        "session.replay_ms" => Number::Time(&mut plan.session.replay),
        "session.sessions_max" => Number::Count(&mut plan.session.sessions_max),
        "session.streams_max" => Number::Count(&mut plan.session.streams_max),
        "session.subscriptions_max" => Number::Count(&mut plan.session.subscriptions_max),
        "tasks.bytes_max" => Number::Count(&mut plan.tasks.bytes_max),
        "tasks.count_max" => Number::Count(&mut plan.tasks.count_max),
        "tasks.deadline_ms" => Number::Time(&mut plan.tasks.deadline),
        "tasks.ttl_ms" => Number::Time(&mut plan.tasks.ttl),
        _ => return None,
    })
}

fn of_listener<'a>(http: &'a mut HttpPlan, key: &str) -> Option<Number<'a>> {
    Some(match key {
        "body_ms" => Number::Time(&mut http.body_deadline),
        "body_window_ms" => Number::Time(&mut http.body_window),
        "connections_max" => Number::Count(&mut http.connections_max),
        "first_byte_ms" => Number::Time(&mut http.first_byte_deadline),
        "head_ms" => Number::Time(&mut http.head_deadline),
        "heartbeat_ms" => Number::Time(&mut http.heartbeat),
        "idle_ms" => Number::Time(&mut http.idle_deadline),
        "write_ms" => Number::Time(&mut http.write_deadline),
        _ => return None,
    })
}

/// Tells the test what of a key is not as in the live plan.
pub(super) fn note(changed: &mut Vec<Value>, key: &str, values: Option<(Value, Value)>) {
    let Some((live, lane)) = values else { return };
    // A key that is lowered twice is told once, with the number that lives.
    if let Some(told) = changed.iter_mut().find(|told| told["key"] == key) {
        told["lane"] = lane;
        return;
    }
    changed.push(json!({ "key": key, "live": live, "lane": lane }));
}
