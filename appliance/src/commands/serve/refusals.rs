//! What `/admin/explain` says of a refusal.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use profile::Row;
use protocol::RefusalId;
use runtime::Switch;
use serde_json::{Value, json};
use telemetry::{RecentRefusals, Remembered};
use transport::Endpoint;

use super::effective::Effective;

/// Knows the last refusals, and the profile that their bounds stand in.
pub(super) struct Explainer {
    recent: Arc<RecentRefusals>,
    switch: Arc<Switch>,
    effective: Arc<Effective>,
}

impl Explainer {
    pub(super) fn new(effective: &Arc<Effective>, endpoint: &Endpoint) -> Self {
        let switch = Arc::clone(&endpoint.switch);
        let recent = Arc::clone(&switch.load().stack().kit().recent);
        Self { recent, switch, effective: Arc::clone(effective) }
    }

    /// What is known of the refusal, as JSON; `None` when it was forgotten or never was.
    pub(super) fn explain(&self, id: RefusalId) -> Option<Bytes> {
        let refusal = self.recent.find(id)?;
        let generation = self.switch.load();
        let mut names = Vec::new();
        match refusal.scope.split_once(':') {
            Some(("plugin", plugin)) => names.push(("plugin", plugin)),
            Some(("tool" | "client_tool", tool)) => {
                names.push(("tool", tool));
                let owner = generation.stack().catalogue().tool_owner(tool);
                names.extend(owner.map(|owner| ("plugin", &**owner.name())));
            }
            _ => {}
        }
        let shown = self.effective.load();
        let rows = refusal.cause.keys.iter().flat_map(|key| shown.loaded.rows_like(key, &names));
        Some(describe(&refusal, rows).to_string().into())
    }
}

fn describe(refusal: &Remembered, rows: impl Iterator<Item = Row>) -> Value {
    let cause = refusal.cause;
    let keys: Vec<_> = rows
        .map(|Row { key, value, origin }| {
            json!({ "key": key, "value": value, "origin": origin.to_string() })
        })
        .collect();
    json!({
        "request_id": refusal.id.to_string(),
        "at": httpdate::fmt_http_date(UNIX_EPOCH + refusal.at),
        "at_unix_ms": refusal.at.as_millis() as u64,
        "generation": refusal.generation,
        "refusal": cause.kind.as_str(),
        "http_status": cause.kind.http_status(),
        "code": cause.kind.code(),
        "layer": cause.layer,
        "stage": cause.stage,
        "scope": refusal.scope,
        "limit": refusal.limit,
        "retry_after_ms": refusal.retry_after.map(|after| after.as_millis() as u64),
        "principal": refusal.principal.map(|hash| format!("{hash:016x}")),
        "may_have_executed": cause.may_have_executed(),
        "when": cause.when,
        "advice": cause.kind.advice(),
        "keys": keys,
    })
}
