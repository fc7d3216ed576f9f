//! The verdict over a change: a function of two windows and the thresholds.
//!
//! A share that grew beyond its threshold counts when chance does not make such a difference: a test of two proportions,
//! at five standard errors. Latencies are compared as the share of calls that are slow by what was usual before, which
//! one call that was held up does not move.

use profile::plan::ProbationPlan;
use protocol::RefusalKind;
use telemetry::CallReading;

use super::{Intended, Window};

/// How many standard errors a difference must be for it to be none of chance: once in three million looks.
const STANDARD_ERRORS: f64 = 5.0;
/// Least microseconds by which a call is longer that counts as slow: what a busy host does to any call.
const SLOWER_US_MIN: u64 = 20_000;
/// A threshold at which nothing is compared.
const NEVER: usize = 100;

/// What became worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Plugins did what they may not.
    PluginFaults,
    /// Calls fail.
    Errors,
    /// Requests are refused.
    Refusals,
    /// Calls are slow.
    Latency,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::PluginFaults, Self::Errors, Self::Refusals, Self::Latency];

    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PluginFaults => "plugin_faults",
            Self::Errors => "errors",
            Self::Refusals => "refusals",
            Self::Latency => "latency",
        }
    }
}

/// A change that made something worse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What.
    pub reason: Reason,
    /// A sentence with the numbers and the key of the threshold.
    pub text: String,
}

/// The first thing that became worse by more than `plan` allows; `None` when nothing did, or too little is known.
#[must_use]
pub fn judge(
    before: &Window,
    after: &Window,
    intended: &Intended,
    plan: &ProbationPlan,
) -> Option<Breach> {
    plugin_faults(before, after, plan)
        .or_else(|| errors(before, after, plan))
        .or_else(|| refusals(before, after, intended, plan))
        .or_else(|| latency(before, after, plan))
}

fn plugin_faults(before: &Window, after: &Window, plan: &ProbationPlan) -> Option<Breach> {
    let (faults, usual) = (after.counts.plugin_faults, before.counts.plugin_faults);
    let most = usual.saturating_add(plan.plugin_faults_max);
    (faults > most).then(|| Breach {
        reason: Reason::PluginFaults,
        text: format!(
            "plugins had {faults} faults, {usual} as long before (reload.probation.plugin_faults_max)"
        ),
    })
}

fn errors(before: &Window, after: &Window, plan: &ProbationPlan) -> Option<Breach> {
    let share = |window: &Window| Share {
        part: window.counts.calls.failed,
        whole: window.counts.calls.passed,
    };
    let what = "calls failed";
    let key = "errors_increase_percent";
    worse(share(before), share(after), plan.errors_increase_percent, plan, what, key)
        .map(|text| Breach { reason: Reason::Errors, text })
}

fn refusals(
    before: &Window,
    after: &Window,
    intended: &Intended,
    plan: &ProbationPlan,
) -> Option<Breach> {
    let is_busier = is_busier(before, after);
    let share = |window: &Window, may_be_meant: bool| {
        let is_part = |kind: &RefusalKind| {
            // What starts, stops or drains refuses so, which is no fault of a profile.
            let is_lifecycle = *kind == RefusalKind::Draining;
            !is_lifecycle && (is_busier || intended.has(*kind)) == may_be_meant
        };
        let part = RefusalKind::ALL.iter().filter(|kind| is_part(kind));
        let part = part.map(|kind| window.counts.refusals[*kind as usize]).sum();
        Share { part, whole: window.requests() }
    };
    [
        (false, plan.refusals_increase_percent, "refusals_increase_percent"),
        (true, plan.intended_increase_percent, "intended_increase_percent"),
    ]
    .into_iter()
    .find_map(|(may_be_meant, points, key)| {
        let (before, after) = (share(before, may_be_meant), share(after, may_be_meant));
        worse(before, after, points, plan, "requests were refused", key)
    })
    .map(|text| Breach { reason: Reason::Refusals, text })
}

fn latency(before: &Window, after: &Window, plan: &ProbationPlan) -> Option<Breach> {
    if is_busier(before, after) {
        return None;
    }
    let ends = CallReading::ENDS_US;
    let times = &before.counts.calls.times;
    // The upper end of the range that the slowest hundredth begins in.
    let mut below = 0;
    let usual = times.iter().position(|count| {
        below += count;
        below * 100 >= before.timed() * 99
    })?;
    let usual_us = *ends.get(usual)?;
    let more_us = (usual_us * plan.latency_increase_percent as u64 / 100).max(SLOWER_US_MIN);
    let slow = ends.iter().position(|end| *end >= usual_us + more_us)?;
    let share = |window: &Window| Share {
        part: window.counts.calls.times[slow + 1..].iter().sum(),
        whole: window.timed(),
    };
    let what = format!("calls took longer than {} ms", ends[slow] / 1_000);
    let key = "slow_increase_percent";
    worse(share(before), share(after), plan.slow_increase_percent, plan, &what, key)
        .map(|text| Breach { reason: Reason::Latency, text })
}

/// Whether more than twice as many requests come in as before: then much changes that is none of a profile's.
fn is_busier(before: &Window, after: &Window) -> bool {
    let rate = |window: &Window| {
        window.requests() as f64 / window.took.as_secs_f64().max(f64::MIN_POSITIVE)
    };
    rate(after) > 2.0 * rate(before)
}

/// So many of so many.
#[derive(Clone, Copy)]
struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    fn of_one(self) -> f64 {
        self.part as f64 / (self.whole as f64).max(1.0)
    }

    fn percent(self) -> f64 {
        self.of_one() * 100.0
    }
}

/// A sentence, when a share grew by more than so many points and by more than chance makes of it.
fn worse(
    before: Share,
    after: Share,
    points: usize,
    plan: &ProbationPlan,
    what: &str,
    key: &str,
) -> Option<String> {
    let is_known = before.whole.min(after.whole) >= plan.calls_min;
    let growth = after.of_one() - before.of_one();
    let is_worse = points < NEVER
        && is_known
        && growth * 100.0 > points as f64
        && growth > STANDARD_ERRORS * standard_error(before, after);
    is_worse.then(|| {
        format!(
            "{:.1} % of {} {what}, {:.1} % of {} before (reload.probation.{key} = {points})",
            after.percent(),
            after.whole,
            before.percent(),
            before.whole,
        )
    })
}

/// Of the difference of two shares that are the same but for chance.
fn standard_error(before: Share, after: Share) -> f64 {
    let (one, other) = (before.whole as f64, after.whole as f64);
    let share = (before.part + after.part) as f64 / (one + other);
    (share * (1.0 - share) * (1.0 / one + 1.0 / other)).max(0.0).sqrt()
}
