//! How attempts are told: as JSON, in the log, in metrics. Values stand in JSON alone, and secrets nowhere.

use std::sync::Arc;

use profile::Change;
use runtime::probation::Reason;
use runtime::{Attempt, Attempts, Trigger, Verdict};
use serde_json::{Value, json};
use telemetry::{Metric, Samples};

/// An attempt, for `/admin/reloads` and for whoever waits for it.
pub(super) fn json(attempt: &Attempt) -> Value {
    let changed = &attempt.changed[..attempt.changed.len().min(Attempts::CHANGES_SHOWN)];
    json!({
        "attempt": attempt.number,
        "trigger": attempt.trigger.as_str(),
        "source": attempt.source.as_str(),
        "at": attempt.at.to_string(),
        "took_ms": attempt.took.as_millis() as u64,
        "result": attempt.verdict.as_str(),
        "generation": attempt.generation,
        "identity": attempt.identity,
        "changed": changed.iter().map(|change| &*change.key).collect::<Vec<_>>(),
        "changes": changes(changed),
        "changes_left_out": changed.len() < attempt.changed.len(),
        "tools_changed": attempt.tools_changed,
        "plugins_loaded": attempt.plugins.iter().map(|name| &**name).collect::<Vec<_>>(),
        "problems": attempt.problems,
    })
}

/// What changes, for `/admin/reloads` and for `toolrack diff`.
pub(super) fn changes(changes: &[Change]) -> Vec<Value> {
    let shown = |change: &Change| {
        json!({
            "key": change.key,
            "class": change.class.as_str(),
            "before": change.before,
            "after": change.after,
            "effect": change.effect,
        })
    };
    changes.iter().map(shown).collect()
}

/// One line for the attempt, and one for each problem.
pub(super) fn log(attempt: &Attempt) {
    let Attempt { number, generation, .. } = *attempt;
    let (trigger, result) = (attempt.trigger.as_str(), attempt.verdict.as_str());
    let identity = attempt.identity.short();
    let took_ms = attempt.took.as_millis() as u64;
    let keys = attempt.changed.iter().take(Attempts::CHANGES_SHOWN).map(|change| &*change.key);
    let changed = keys.collect::<Vec<_>>().join(", ");
    for problem in &attempt.problems {
        tracing::warn!(attempt = number, generation, identity, "{problem}");
    }
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                attempt = number,
                trigger,
                result,
                generation,
                identity,
                took_ms,
                changed,
                $message
            )
        };
    }
    match attempt.verdict {
        Verdict::Applied if attempt.trigger == Trigger::Rollback => {
            line!(
                warn,
                "A generation serves again that served before. The files of the profile come in again when they change, by `toolrack reload` or by a restart."
            );
        }
        Verdict::Applied | Verdict::Unchanged => line!(info, "Profile read again."),
        Verdict::Refused | Verdict::RestartRequired | Verdict::Superseded => {
            line!(warn, "Changed profile not applied; what was there before serves on.");
        }
        Verdict::RolledBack => {
            line!(warn, "Changed profile taken back; what was there before serves again.");
        }
    }
}

/// What a scrape shows.
pub(super) fn metrics(
    attempts: &Attempts,
    rollbacks: [u64; Reason::ALL.len()],
    is_on_probation: bool,
) -> String {
    let mut samples = Samples::new();
    samples.set(Metric::Probation, &[], u8::from(is_on_probation));
    for (reason, count) in Reason::ALL.into_iter().zip(rollbacks) {
        samples.set(Metric::ProbationRollbacks, &[reason.as_str()], count);
    }
    for (verdict, count) in attempts.counts() {
        samples.set(Metric::Reloads, &[Verdict::as_str(verdict)], count);
    }
    if let Some(good_at) = attempts.good_at() {
        let seconds = good_at.as_millisecond() as f64 / 1_000.0;
        samples.set(Metric::ReloadGoodTimestampSeconds, &[], format_args!("{seconds:.3}"));
    }
    // One that came too late says nothing of what serves.
    let is_told = |attempt: &&Arc<Attempt>| attempt.verdict != Verdict::Superseded;
    if let Some(last) = attempts.last().iter().rev().find(is_told) {
        samples.set(Metric::ReloadIsGood, &[], u8::from(last.verdict.is_good()));
        let took = last.took.as_secs_f64();
        samples.set(Metric::ReloadSeconds, &[], format_args!("{took:.3}"));
    }
    let mut out = String::new();
    samples.render(&mut out);
    out
}
