//! What holds in every scenario: the process lives, nobody panics, health answers, and nothing stays behind.

use std::time::{Duration, Instant};

use load::health::Prober;

use super::appliance::{Appliance, Footprint};
use super::findings::Findings;
use super::wait;

/// How long the program may take to give everything back.
const CLEAN: Duration = Duration::from_secs(30);
/// Descriptors and threads that may be more than before.
const SLACK: u64 = 5;
const MIB: f64 = 1_048_576.0;

/// What one scenario is allowed beyond the rules.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Threads that plugins may have started meanwhile.
    pub(crate) threads: u64,
    /// Descriptors that stay: one for each library that was loaded.
    pub(crate) descriptors: u64,
    /// Mebibytes that may be held besides a tenth more than before: what the allocator keeps of a peak.
    pub(crate) mebibytes: u64,
    /// Series that keep their value, by a part of their names: sessions that live on, threads that are lost.
    pub(crate) keeps: &'static [&'static str],
    /// Bounds whose limit comes down by itself, so that they were used beyond what it is by now: by a part of their names.
    pub(crate) moves: &'static [&'static str],
    /// Whether `/readyz` may say no for a while.
    pub(crate) may_be_unready: bool,
    /// Whether probes may go unanswered: the process itself is stopped for a while.
    pub(crate) is_stopped: bool,
}

impl Rules {
    /// Those of most scenarios.
    pub(crate) const USUAL: Self = Self {
        threads: 0,
        descriptors: 0,
        mebibytes: 48,
        keeps: &[],
        moves: &[],
        may_be_unready: false,
        is_stopped: false,
    };

    /// Where plugins start threads of their own.
    pub(crate) const fn with_threads(self, threads: u64) -> Self {
        Self { threads, ..self }
    }

    /// Where so many libraries are loaded: their images stay, and threads of theirs may come later.
    pub(crate) const fn with_libraries(self, libraries: u64) -> Self {
        Self { threads: 8, descriptors: libraries, mebibytes: 48 + 4 * libraries, ..self }
    }

    /// Where these series keep their value.
    pub(crate) const fn keeping(self, keeps: &'static [&'static str]) -> Self {
        Self { keeps, ..self }
    }

    /// Where the limits of these bounds come down by themselves.
    pub(crate) const fn moving(self, moves: &'static [&'static str]) -> Self {
        Self { moves, ..self }
    }
}

/// The eye on one program while a scenario runs.
pub(crate) struct Watch {
    rules: Rules,
    before: Footprint,
    prober: Prober,
}

impl Watch {
    /// Looks at it before the load, and begins to probe.
    pub(crate) fn begin(appliance: &Appliance, rules: Rules) -> Result<Self, String> {
        let before = appliance.footprint()?;
        Ok(Self { rules, before, prober: Prober::start(appliance.control()) })
    }

    /// Judges, after the load.
    pub(crate) fn end(
        self,
        appliance: &mut Appliance,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let health = self.prober.stop()?;
        let has_ended = appliance.has_ended();
        findings.exactly("processes that ended", has_ended.into(), 0);
        findings.exactly("panics in the log", appliance.panics(), 0);
        findings.judge_answers();
        findings.exactly("health probes lost", health.lost, 0);
        if !self.rules.may_be_unready {
            findings.exactly("health probes that said no", health.not_ok, 0);
        }
        findings.show("health probes", health.probes as f64, "");
        let goal_ms = if self.rules.is_stopped { 5_000.0 } else { 5.0 };
        findings.time_ms("health p99", health.p99_us / 1e3, goal_ms, 10_000.0);
        findings.show("slowest health probe", health.max_us / 1e3, "ms");
        findings.show("the prober's own lateness, p99", health.wake_p99_us / 1e3, "ms");
        if has_ended {
            return Err(format!("its last words:\n{}", appliance.last_words().join("\n")));
        }
        clean(self.rules, self.before, appliance, findings)
    }
}

/// Waits until nothing is left of the load; what is left after that breaks a promise.
fn clean(
    rules: Rules,
    before: Footprint,
    appliance: &Appliance,
    findings: &mut Findings,
) -> Result<(), String> {
    let (descriptors_max, threads_max) =
        (before.descriptors + SLACK + rules.descriptors, before.threads + SLACK + rules.threads);
    let resident_max = before.resident_bytes as f64 * 1.1 + rules.mebibytes as f64 * MIB;
    let mut left = Vec::new();
    let begun = Instant::now();
    wait::until(CLEAN, || {
        left = match appliance.metrics() {
            Ok(metrics) => metrics
                .into_iter()
                .filter(|(series, value)| *value > 0.0 && is_held(series, rules.keeps))
                .map(|(series, value)| format!("{series} {value}"))
                .collect(),
            Err(error) => vec![error],
        };
        let fits = appliance.footprint().is_ok_and(|now| {
            now.descriptors <= descriptors_max
                && now.threads <= threads_max
                && now.resident_bytes as f64 <= resident_max
        });
        left.is_empty() && fits
    });
    findings.show("until clean", begun.elapsed().as_secs_f64() * 1e3, "ms");
    if !left.is_empty() {
        findings.note(format!("held after the load: {}", left.join(", ")));
    }
    findings.exactly("permits not returned", left.len() as u64, 0);
    let now = appliance.footprint()?;
    findings.at_most("descriptors after", now.descriptors as f64, descriptors_max as f64);
    findings.at_most("threads after", now.threads as f64, threads_max as f64);
    let mebibytes = now.resident_bytes as f64 / MIB;
    findings.at_most("resident memory after, MiB", mebibytes, resident_max / MIB);
    let above: Vec<_> = beyond_limits(&appliance.metrics()?, rules.moves);
    if !above.is_empty() {
        findings.note(format!("peaks above their limits: {}", above.join(", ")));
    }
    findings.exactly("bounds whose peak was above their limit", above.len() as u64, 0);
    Ok(())
}

/// Whether a series counts what somebody holds. Keys of limiters are swept over minutes.
fn is_held(series: &str, keeps: &[&str]) -> bool {
    let is_hold = series.starts_with("toolrack_bound_used")
        || series.starts_with("toolrack_plugin_calls_in_flight")
        || series.starts_with("toolrack_plugin_calls_stuck")
        || series.starts_with("toolrack_plugin_calls_abandoned");
    is_hold && !series.contains("_keys\"") && !keeps.iter().any(|kept| series.contains(kept))
}

/// Bounds that were ever used beyond their limit.
fn beyond_limits(metrics: &std::collections::BTreeMap<String, f64>, moves: &[&str]) -> Vec<String> {
    let peaks = metrics.iter().filter_map(|(series, peak)| {
        let labels = series.strip_prefix("toolrack_bound_peak")?;
        if moves.iter().any(|moved| labels.contains(moved)) {
            return None;
        }
        let limit = metrics.get(&format!("toolrack_bound_limit{labels}"))?;
        (peak > limit).then(|| format!("{labels} {peak} of {limit}"))
    });
    peaks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_held_and_keys_of_limiters_are_not() {
        assert!(is_held("toolrack_bound_used{bound=\"concurrency_calls\"}", &[]));
        assert!(!is_held("toolrack_bound_used{bound=\"rate_limit_client_keys\"}", &[]));
        assert!(!is_held("toolrack_bound_used{bound=\"sessions\"}", &["\"sessions\""]));
        assert!(!is_held("toolrack_bound_peak{bound=\"sessions\"}", &[]));
    }

    #[test]
    fn peak_above_its_limit_is_found() {
        let series = |name: &str, value| (format!("toolrack_bound_{name}{{bound=\"a\"}}"), value);
        let metrics = |peak| [series("limit", 4.0), series("peak", peak)].into();
        assert_eq!(beyond_limits(&metrics(4.0), &[]), Vec::<String>::new());
        assert_eq!(beyond_limits(&metrics(5.0), &["\"b\""]), ["{bound=\"a\"} 5 of 4"]);
        assert_eq!(beyond_limits(&metrics(5.0), &["\"a\""]), Vec::<String>::new());
    }
}
