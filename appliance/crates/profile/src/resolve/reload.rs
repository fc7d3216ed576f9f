//! `[reload]`.

use super::{DAY_MS, Findings};
use crate::plan::{Plan, ProbationPlan, ReloadPlan};
use crate::profile::{Probation, Reload};

/// One hour in milliseconds: longer between two changes is a profile that cannot be changed.
const HOUR_MS: u64 = 3_600_000;

pub(super) fn reload(reload: &Reload, findings: &mut Findings<'_>) -> ReloadPlan {
    let generations = reload.draining_generations_max;
    ReloadPlan {
        watch: reload.watch,
        stage_deadline: findings.time(
            "reload.stage_deadline_ms",
            reload.stage_deadline_ms,
            1..=600_000,
        ),
        interval: findings.time("reload.interval_ms", reload.interval_ms, 0..=HOUR_MS),
        draining_generations_max: findings.number(
            "reload.draining_generations_max",
            generations,
            1..=16,
        ),
        drain: findings.time("reload.drain_ms", reload.drain_ms, 0..=DAY_MS),
        images_max: findings.number("reload.images_max", reload.images_max, 1..=1_024),
        probation: probation(&reload.probation, findings),
    }
}

/// Every plugin has an image of its own, and whatever is loaded instead of it one more: an image stays for good.
pub(super) fn check(plan: &Plan, findings: &mut Findings<'_>) {
    let (plugins, most) = (plan.plugins.len(), plan.reload.images_max);
    if plugins > most {
        let message =
            format!("{plugins} plugins need as many images, and {most} are allowed; raise it");
        findings.problem("reload.images_max", message);
    } else if plugins == most {
        let message = format!(
            "{plugins} plugins take all {most} images, so one that changes takes a restart of the process; raise it"
        );
        findings.warning("reload.images_max", message);
    }
}

fn probation(probation: &Probation, findings: &mut Findings<'_>) -> ProbationPlan {
    let mut number =
        |key: &str, value, range| findings.number(&format!("reload.probation.{key}"), value, range);
    ProbationPlan {
        mode: probation.mode,
        calls_min: number("calls_min", probation.calls_min, 1..=1_000_000) as u64,
        errors_increase_percent: number(
            "errors_increase_percent",
            probation.errors_increase_percent,
            0..=100,
        ),
        refusals_increase_percent: number(
            "refusals_increase_percent",
            probation.refusals_increase_percent,
            0..=100,
        ),
        intended_increase_percent: number(
            "intended_increase_percent",
            probation.intended_increase_percent,
            0..=100,
        ),
        latency_increase_percent: number(
            "latency_increase_percent",
            probation.latency_increase_percent,
            0..=10_000,
        ),
        slow_increase_percent: number(
            "slow_increase_percent",
            probation.slow_increase_percent,
            0..=100,
        ),
        plugin_faults_max: number("plugin_faults_max", probation.plugin_faults_max, 0..=1_000_000)
            as u64,
        watch: findings.time("reload.probation.watch_ms", probation.watch_ms, 1_000..=600_000),
    }
}
