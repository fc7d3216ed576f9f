//! The box: ranges, and whether the plan fits into it.

use middleware::{ByteSize, Mode};

use super::Findings;
use crate::plan::{HardwarePlan, Plan};
use crate::profile::Hardware;
use crate::worst_case::WorstCase;

/// Range of `hardware.memory_bytes`.
const MEMORY_MIN: ByteSize = ByteSize::mib(64);
const MEMORY_MAX: ByteSize = ByteSize::mib(16 << 20);

pub(super) fn hardware(
    hardware: Option<Hardware>,
    findings: &mut Findings<'_>,
) -> Option<HardwarePlan> {
    let hardware = hardware?;
    let memory = hardware.memory_bytes;
    if !(MEMORY_MIN..=MEMORY_MAX).contains(&memory) {
        let message = format!("{memory} is outside of {MEMORY_MIN} to {MEMORY_MAX}");
        findings.problem("hardware.memory_bytes", message);
    }
    let mut within = |name: &str, value: Option<u64>, range| {
        if let Some(value) = value {
            findings.number(&format!("hardware.{name}"), value, range);
        }
        value
    };
    Some(HardwarePlan {
        descriptors: within("descriptors", hardware.descriptors, 64..=10_000_000),
        calls_per_sec: within("calls_per_sec", hardware.calls_per_sec, 1..=100_000_000),
        connections: within("connections", hardware.connections, 1..=1_000_000),
        sessions: within("sessions", hardware.sessions, 1..=10_000_000),
        cores: findings.number("hardware.cores", hardware.cores, 1..=1_024),
        memory_bytes: memory.0,
        mismatch: hardware.mismatch,
    })
}

/// Finds what the plan admits and the box does not carry, and what is expected and the plan does not admit.
pub(super) fn check(plan: &Plan, findings: &mut Findings<'_>) {
    let Some(hardware) = &plan.hardware else { return };
    memory(plan, hardware, findings);
    descriptors(plan, hardware, findings);
    expected(plan, hardware, findings);
}

fn memory(plan: &Plan, hardware: &HardwarePlan, findings: &mut Findings<'_>) {
    let worst = WorstCase::of(plan);
    if worst.bytes() <= hardware.memory_bytes {
        return;
    }
    let lower = worst.largest().map_or("", |term| &term.key);
    let message = format!(
        "the worst case does not fit into {}: {}; the most is saved by {lower}, or begin with the profile of a larger box",
        ByteSize(hardware.memory_bytes),
        worst.line()
    );
    findings.problem("hardware.memory_bytes", message);
}

fn descriptors(plan: &Plan, hardware: &HardwarePlan, findings: &mut Findings<'_>) {
    let Some(descriptors) = hardware.descriptors else { return };
    let connections = plan.connections_max();
    let layer = &plan.layers.connections;
    let reserve = if layer.mode == Mode::Off { 0 } else { layer.descriptors_reserve };
    if connections.saturating_add(reserve) > descriptors {
        let message = format!(
            "{connections} connections and {reserve} descriptors beside them do not fit into {descriptors}; raise this, \
             or lower layer.connections.connections_max"
        );
        findings.problem("hardware.descriptors", message);
    }
}

fn expected(plan: &Plan, hardware: &HardwarePlan, findings: &mut Findings<'_>) {
    let admitted = [
        ("connections", hardware.connections, plan.connections_max(), "connections_max"),
        ("sessions", hardware.sessions, plan.session.sessions_max as u64, "session.sessions_max"),
    ];
    for (name, expected, admitted, key) in admitted {
        if let Some(expected) = expected.filter(|expected| *expected > admitted) {
            let message = format!(
                "{expected} {name} are expected, but the profile lets in {admitted}; lower this or raise {key}"
            );
            findings.problem(format!("hardware.{name}"), message);
        }
    }
    let one_client = plan.layers.rate_limit.calls_per_sec;
    let is_limited = plan.layers.rate_limit.mode == Mode::Enforce && one_client > 0;
    if let Some(calls) =
        hardware.calls_per_sec.filter(|calls| is_limited && *calls < one_client.into())
    {
        let message = format!(
            "{calls} calls each second are expected of all clients, but one alone may send {one_client}; lower \
             layer.rate_limit.calls_per_sec or raise this"
        );
        findings.warning("hardware.calls_per_sec", message);
    }
}
