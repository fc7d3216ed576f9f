//! What ours has set itself, and whether it holds.

use load::Era;
use serde::Serialize;

use super::contestants::{ALL, Role};
use super::report::Report;
use super::rounds;
use super::startup::FIVE_PLUGINS;

/// One goal.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    /// What is measured, with its unit.
    pub(crate) what: String,
    /// On which side of `bound` it must be.
    pub(crate) side: Side,
    /// The bound.
    pub(crate) bound: f64,
    /// What was measured; absent when it was not.
    pub(crate) measured: Option<f64>,
}

/// Where a goal is held.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// At the bound or above it.
    AtLeast,
    /// At the bound or below it.
    AtMost,
}

impl Goal {
    /// Whether it is held; `None` when it was not measured.
    pub(crate) fn is_held(&self) -> Option<bool> {
        self.measured.map(|measured| match self.side {
            Side::AtLeast => measured >= self.bound,
            Side::AtMost => measured <= self.bound,
        })
    }
}

fn at_least(bound: f64, what: impl Into<String>, measured: Option<f64>) -> Goal {
    Goal { what: what.into(), side: Side::AtLeast, bound, measured }
}

fn at_most(bound: f64, what: impl Into<String>, measured: Option<f64>) -> Goal {
    Goal { what: what.into(), side: Side::AtMost, bound, measured }
}

/// The name of ours in all tables.
fn ours() -> &'static str {
    name_of(Role::Ours)
}

/// The name of the one that is there for this.
fn name_of(role: Role) -> &'static str {
    ALL.iter().find(|each| each.role == role).map_or("", |each| each.name)
}

/// All goals against what was measured.
pub(crate) fn judge(report: &Report) -> Vec<Goal> {
    let mut goals = throughput(&report.throughput);
    for era in [Era::Session, Era::Modern] {
        let mut rows = report.instructions.iter();
        let row = rows.find(|row| {
            row.server == ours() && row.era == era.name() && row.text_bytes == rounds::SIZES[0]
        });
        let what = format!("user instructions for a call of 64 B, {}", era.name());
        goals.push(at_most(40_000.0, what, row.map(|row| row.instructions)));
    }
    let idle = report.idle.iter().find(|row| row.server == ours());
    let start = report.startup.iter().find(|row| row.server == FIVE_PLUGINS);
    let mebibytes = idle.map(|row| row.resident_bytes as f64 / f64::from(1 << 20));
    let kibibytes = idle.map(|row| row.connection_bytes / 1024.0);
    goals.push(at_most(12.0, "resident memory at idle, MiB", mebibytes));
    let what = "start to first answer with five plugins, ms";
    goals.push(at_most(50.0, what, start.map(|row| row.start_ms)));
    goals.push(at_most(512.0, "idle session, bytes", idle.and_then(|row| row.session_bytes)));
    goals.push(at_most(14.0, "idle connection, KiB", kibibytes));
    let stdio = |size: usize| report.stdio.iter().find(move |row| row.text_bytes == size);
    let small = stdio(rounds::SIZES[0]).map(|row| row.of_bare);
    let large = stdio(rounds::SIZES[1]).map(|row| row.messages_per_second);
    goals.push(at_least(0.4, "stdio, 64 B: of a bare line loop", small));
    goals.push(at_least(95_000.0, "stdio, 4096 B: messages/s", large));
    goals
}

/// Share of its throughput that the appliance keeps behind every layer.
const ALL_LAYERS_LEAVE: f64 = 0.85;

/// For each size and era: as a share of the ceiling, as a multiple of the best peer, and the tail beside the peers'.
fn throughput(rows: &[rounds::Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (text_bytes, of_ceiling, of_best_peer) in [(64, 0.65, 4.0), (4096, 0.5, 3.0)] {
        for era in [Era::Session, Era::Modern] {
            let case: Vec<_> = rows
                .iter()
                .filter(|row| row.text_bytes == text_bytes && row.era == era.name())
                .collect();
            let own = case.iter().find(|row| row.server == ours());
            let peers = case.iter().filter(|row| {
                ALL.iter().any(|each| each.name == row.server && each.role == Role::Peer)
            });
            let best_tail = peers.map(|row| row.p99_us).min_by(f64::total_cmp);
            let tail = own.zip(best_tail).map(|(own, best)| own.p99_us / best);
            let name = format!("{text_bytes} B, {}", era.name());
            let ceiling = own.and_then(|row| row.of_ceiling);
            let peer = own.and_then(|row| row.of_best_peer);
            goals.push(at_least(of_ceiling, format!("{name}: of raw hyper"), ceiling));
            goals.push(at_least(of_best_peer, format!("{name}: times the best peer"), peer));
            goals.push(at_most(1.0, format!("{name}: p99 beside the best peer's"), tail));
            let whole = case.iter().find(|row| row.server == name_of(Role::Whole));
            let left = whole.zip(own).map(|(w, o)| w.requests_per_second / o.requests_per_second);
            let peer = whole.and_then(|row| row.of_best_peer);
            goals.push(at_least(ALL_LAYERS_LEAVE, format!("{name}: left by all layers"), left));
            let what = format!("{name}: all layers, times the best peer");
            goals.push(at_least(of_best_peer, what, peer));
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goal_is_held_at_its_bound() {
        assert_eq!(at_least(4.0, "", Some(4.0)).is_held(), Some(true));
        assert_eq!(at_least(4.0, "", Some(3.9)).is_held(), Some(false));
        assert_eq!(at_most(50.0, "", Some(50.0)).is_held(), Some(true));
        assert_eq!(at_most(50.0, "", Some(50.1)).is_held(), Some(false));
        assert_eq!(at_most(50.0, "", None).is_held(), None);
    }

    fn row(server: &'static str, p99_us: f64) -> rounds::Row {
        rounds::Row {
            server,
            era: Era::Modern.name(),
            text_bytes: 64,
            requests_per_second: 1.0,
            spread: 0.0,
            processor_us: 1.0,
            generator_us: 1.0,
            p50_us: 1.0,
            p99_us,
            p999_us: 1.0,
            errors: 0,
            first_error: None,
            resident_bytes: 1,
            of_ceiling: Some(0.7),
            of_best_peer: None,
        }
    }

    #[test]
    fn tail_is_judged_beside_the_best_peer_and_never_the_ceiling() {
        let rows = [
            row("toolrack", 300.0),
            row("raw-hyper", 100.0),
            row("rmcp", 400.0),
            row("turbomcp", 200.0),
        ];
        let goals = throughput(&rows);
        let tail =
            goals.iter().find(|goal| goal.what == "64 B, modern: p99 beside the best peer's");
        assert_eq!(tail.unwrap().measured, Some(1.5));
        let other = goals.iter().find(|goal| goal.what == "4096 B, modern: of raw hyper");
        assert_eq!(other.unwrap().measured, None);
    }
}
