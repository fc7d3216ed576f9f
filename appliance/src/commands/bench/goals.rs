//! What an appliance should hold beyond its envelope, and whether this one does.

use load::receipt::{Goal, Receipt, Step};

/// Share of a step's calls that may find no free connection before the load itself was its limit.
const NOT_SENT_SHARE_MAX: f64 = 0.01;

/// Compares the figures with the goals. A goal without figures is not held, nor missed.
pub(super) fn judge(receipt: &Receipt) -> Vec<Goal> {
    let step = |name: &str| receipt.steps.iter().find(|step| step.name == name);
    let is_measured = receipt.envelope.as_ref().is_some_and(|envelope| envelope.is_measured);
    let beside = if is_measured { "the peak" } else { "that at 1x" };
    let mut goals = Vec::new();
    for name in ["2x", "5x", "10x"] {
        let share =
            step(name).zip(peak(receipt)).map(|(step, peak)| 100.0 * step.goodput_per_sec / peak);
        let what = format!("goodput at {name}, % of {beside}");
        goals.push(remark(Goal::new(what, true, 90.0, share), step(name)));
    }
    let last = step("10x");
    let unloaded_ms = receipt.unloaded.as_ref().and_then(|step| step.accepted_latency);
    let bound_ms = unloaded_ms.map_or(20.0, |latency| 2.0 * latency.p99_us / 1e3 + 20.0);
    let accepted = last.and_then(|step| step.accepted_latency).filter(|_| unloaded_ms.is_some());
    let accepted_ms = accepted.map(|latency| latency.p99_us / 1e3);
    let what = "p99 of accepted calls at 10x, ms (twice unloaded and 20)";
    goals.push(remark(Goal::new(what, false, bound_ms, accepted_ms), last));
    let refusal = last.and_then(|step| step.refusal_answer).map(|latency| latency.p99_us / 1e3);
    goals.push(Goal::new("p99 of refusals at 10x, ms", false, 5.0, refusal));
    goals.push(Goal::new(
        "a refusal's processor time, % of a success's",
        false,
        10.0,
        cost(receipt),
    ));
    let health_ms =
        |step: Option<&Step>| step.and_then(|step| step.health).map(|health| health.p99_us / 1e3);
    goals.push(Goal::new("p99 of health at 1x, ms", false, 1.0, health_ms(step("1x"))));
    goals.push(Goal::new("p99 of health at 10x, ms", false, 5.0, health_ms(last)));
    goals.push(Goal::new("health probes lost or not well", false, 0.0, lost(receipt)));
    goals
}

/// Accepted calls a second at the envelope.
fn peak(receipt: &Receipt) -> Option<f64> {
    let measured = receipt.envelope.as_ref().and_then(|envelope| envelope.goodput_per_sec);
    let given = || receipt.steps.first().map(|step| step.goodput_per_sec);
    measured.or_else(given).filter(|peak| *peak > 0.0)
}

/// The dearest refusal beside the cheapest success, in percent.
fn cost(receipt: &Receipt) -> Option<f64> {
    let servers = || receipt.search.iter().chain(&receipt.steps).filter_map(|step| step.server);
    let success = servers().filter_map(|server| server.processor_us_per_accepted);
    let success = success.min_by(f64::total_cmp).filter(|price| *price > 0.0)?;
    let refusal = servers().filter_map(|server| server.processor_us_per_refused);
    Some(100.0 * refusal.max_by(f64::total_cmp)? / success)
}

fn lost(receipt: &Receipt) -> Option<f64> {
    let probed = receipt.steps.iter().filter_map(|step| step.health);
    probed.map(|health| (health.lost + health.not_ok) as f64).reduce(|all, more| all + more)
}

/// Says when the load was too weak to prove anything of the server.
fn remark(goal: Goal, step: Option<&Step>) -> Goal {
    let Some(step) = step else { return goal };
    let share = step.not_sent as f64 / (step.offered.max(1) as f64);
    if share <= NOT_SENT_SHARE_MAX {
        return goal;
    }
    let percent = 100.0 * share;
    goal.with_remark(format!(
        "{percent:.0} % of the calls found no free connection: the load itself was the limit"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::receipt;
    use super::*;

    fn find<'a>(goals: &'a [Goal], what: &str) -> &'a Goal {
        goals.iter().find(|goal| goal.what.starts_with(what)).expect("a goal")
    }

    #[test]
    fn goodput_is_compared_with_the_peak() {
        let mut receipt = receipt();
        let goals = judge(&receipt);
        let goal = find(&goals, "goodput at 10x");
        assert_eq!((goal.measured, goal.is_held), (Some(93.0), Some(true)));
        receipt.steps[3].goodput_per_sec = 899.0;
        assert_eq!(find(&judge(&receipt), "goodput at 10x").is_held, Some(false));
    }

    #[test]
    fn refusal_is_compared_with_the_cheapest_success() {
        let goals = judge(&receipt());
        let goal = find(&goals, "a refusal's processor time");
        assert_eq!((goal.measured, goal.is_held), (Some(8.0), Some(true)));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let mut receipt = receipt();
        receipt.steps.truncate(1);
        let goals = judge(&receipt);
        for what in ["goodput at 10x", "p99 of accepted", "p99 of refusals", "p99 of health at 10x"]
        {
            assert_eq!(find(&goals, what).is_held, None, "{what}");
        }
    }

    #[test]
    fn weak_load_is_remarked_upon() {
        let mut receipt = receipt();
        assert_eq!(find(&judge(&receipt), "goodput at 10x").remark, None);
        receipt.steps[3].not_sent = receipt.steps[3].offered / 2;
        let goals = judge(&receipt);
        let remark = find(&goals, "goodput at 10x").remark.as_deref();
        assert!(remark.is_some_and(|remark| remark.starts_with("50 %")), "{remark:?}");
    }
}
