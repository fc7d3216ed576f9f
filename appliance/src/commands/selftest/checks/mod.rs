//! The attacks, one file for each kind. Each opens lanes of its own and notes a finding for every key that it tries.

mod calls;
mod circuit;
mod connections;
mod counted;
mod edge;
mod fairness;
mod frames;
mod http2;
mod limits;
mod lists;
mod memory;
mod places;
mod questions;
mod sessions;
mod streams;
mod tasks;
mod waiting;

use super::run::{Checked, Run};

/// A group of checks: the tables whose keys it tries, and how.
pub(super) struct Group {
    /// What its keys begin with.
    pub(super) tables: &'static [&'static str],
    /// Whether it needs the plugin that stands in for others.
    pub(super) needs_probe: bool,
    pub(super) check: fn(&mut Run) -> Checked,
}

const fn group(
    tables: &'static [&'static str],
    needs_probe: bool,
    check: fn(&mut Run) -> Checked,
) -> Group {
    Group { tables, needs_probe, check }
}

/// Every group, the quick ones first: what there is no time for is told.
pub(super) const GROUPS: &[Group] = &[
    group(&["layer.origin."], false, edge::origin),
    group(&["layer.http."], false, edge::heads),
    group(&["layer.http.http2."], false, http2::check),
    group(&["layer.payload."], true, edge::payload),
    group(&["layer.memory."], true, memory::check),
    group(&["layer.pre_auth_limit."], false, limits::pre_auth),
    group(&["layer.rate_limit."], true, limits::rate),
    group(&["layer.timeout."], true, calls::timeout),
    group(&["layer.circuit_breaker."], true, circuit::check),
    group(&["layer.fairness."], true, fairness::check),
    group(&["layer.concurrency."], true, calls::concurrency),
    group(&["layer.bulkhead.", "plugin."], true, places::check),
    group(&["layer.connections."], false, connections::layer),
    group(&["listen."], false, connections::listeners),
    group(&["listen."], false, waiting::check),
    group(&["listen."], true, waiting::unread),
    group(&["listen."], false, counted::proxies),
    group(&["session."], false, sessions::check),
    group(&["session."], true, streams::check),
    group(&["session."], true, questions::answers),
    group(&["request_state."], true, questions::states),
    group(&["tasks."], true, tasks::check),
    group(&["server."], true, lists::check),
];
