//! The judge, over windows that are made up.

use std::time::Duration;

use profile::plan::{ProbationMode, ProbationPlan};
use proptest::prelude::*;
use protocol::RefusalKind;

use super::*;

fn plan() -> ProbationPlan {
    ProbationPlan {
        mode: ProbationMode::On,
        watch: Duration::from_secs(10),
        calls_min: 200,
        errors_increase_percent: 1,
        refusals_increase_percent: 5,
        intended_increase_percent: 50,
        latency_increase_percent: 100,
        slow_increase_percent: 10,
        plugin_faults_max: 3,
    }
}

/// Calls that passed, all within the same range of times.
fn window(passed: u64, failed: u64, range: usize) -> Window {
    let mut window = Window { took: Duration::from_secs(10), ..Window::default() };
    window.counts.calls.passed = passed;
    window.counts.calls.failed = failed;
    window.counts.calls.times[range] = passed;
    window
}

fn refusing(passed: u64, kind: RefusalKind, refused: u64) -> Window {
    let mut window = window(passed, 0, 0);
    window.counts.refusals[kind as usize] = refused;
    window
}

fn verdict(before: &Window, after: &Window, changed: &[&str]) -> Option<Reason> {
    let changed: Vec<_> = changed.iter().map(ToString::to_string).collect();
    judge(before, after, &Intended::of(&changed), &plan()).map(|breach| breach.reason)
}

#[test]
fn calls_that_fail_are_a_breach_from_their_threshold_on() {
    let before = window(10_000, 100, 0);
    assert_eq!(verdict(&before, &window(10_000, 190, 0), &[]), None);
    assert_eq!(verdict(&before, &window(10_000, 300, 0), &[]), Some(Reason::Errors));
    // Less is never worse.
    assert_eq!(verdict(&window(10_000, 300, 0), &before, &[]), None);
}

#[test]
fn few_calls_are_not_judged() {
    assert_eq!(verdict(&window(199, 0, 0), &window(5_000, 5_000, 0), &[]), None);
    assert_eq!(verdict(&window(5_000, 0, 0), &window(199, 199, 0), &[]), None);
    assert_eq!(verdict(&window(200, 0, 0), &window(200, 200, 0), &[]), Some(Reason::Errors));
}

#[test]
fn refusals_that_the_change_did_not_mean_are_a_breach() {
    let before = refusing(1_000, RefusalKind::RateLimited, 0);
    let after = refusing(900, RefusalKind::RateLimited, 100);
    assert_eq!(verdict(&before, &after, &["layer.timeout"]), Some(Reason::Refusals));
    assert_eq!(verdict(&before, &after, &["layer.rate_limit.calls_per_sec"]), None);
}

#[test]
fn a_limit_that_refuses_most_of_everything_is_a_slip_even_when_it_was_touched() {
    let before = refusing(1_000, RefusalKind::RateLimited, 0);
    let after = refusing(300, RefusalKind::RateLimited, 700);
    let changed = ["layer.rate_limit.calls_per_sec"];
    assert_eq!(verdict(&before, &after, &changed), Some(Reason::Refusals));
}

#[test]
fn a_plugin_that_cannot_serve_is_never_meant() {
    let before = refusing(1_000, RefusalKind::PluginUnavailable, 0);
    let after = refusing(900, RefusalKind::PluginUnavailable, 100);
    assert_eq!(verdict(&before, &after, &["plugin.echo"]), Some(Reason::Refusals));
}

#[test]
fn more_load_excuses_refusals_and_slow_calls_but_no_errors() {
    let before = refusing(1_000, RefusalKind::Overloaded, 0);
    assert_eq!(verdict(&before, &refusing(2_200, RefusalKind::Overloaded, 300), &[]), None);
    let slow = window(3_000, 0, 15);
    assert_eq!(verdict(&window(1_000, 0, 0), &slow, &[]), None);
    assert_eq!(verdict(&window(1_000, 0, 0), &window(3_000, 300, 0), &[]), Some(Reason::Errors));
    // Whoever is refused and comes back at once makes load as well.
    let stormy = refusing(100, RefusalKind::Overloaded, 9_000);
    assert_eq!(verdict(&before, &stormy, &[]), Some(Reason::Refusals));
}

#[test]
fn calls_that_are_slow_are_a_breach_and_those_a_little_slower_are_none() {
    let before = window(1_000, 0, 3);
    let ends = CallReading::ENDS_US;
    let range = |us: u64| ends.partition_point(|end| *end < us);
    assert_eq!(verdict(&before, &window(1_000, 0, range(100_000)), &[]), Some(Reason::Latency));
    assert_eq!(verdict(&before, &window(1_000, 0, range(20_000)), &[]), None, "the floor");
    let mut tail = window(1_000, 0, 3);
    tail.counts.calls.times[range(1_000_000)] = 90;
    assert_eq!(verdict(&before, &tail, &[]), None, "one in twelve");
    let slow = window(1_000, 0, range(500_000));
    assert_eq!(verdict(&slow, &window(1_000, 0, range(1_000_000)), &[]), None, "not twice");
    let third = window(1_000, 0, range(2_500_000));
    assert_eq!(verdict(&slow, &third, &[]), Some(Reason::Latency));
}

#[test]
fn faults_of_plugins_count_without_calls_and_beside_those_that_are_usual() {
    let faults = |plugin_faults| Window {
        counts: Counts { plugin_faults, ..Counts::default() },
        ..Window::default()
    };
    assert_eq!(verdict(&faults(0), &faults(3), &[]), None);
    assert_eq!(verdict(&faults(0), &faults(4), &[]), Some(Reason::PluginFaults));
    assert_eq!(verdict(&faults(10), &faults(13), &[]), None);
}

#[test]
fn at_a_hundred_nothing_is_compared() {
    let plan = ProbationPlan {
        errors_increase_percent: 100,
        refusals_increase_percent: 100,
        intended_increase_percent: 100,
        slow_increase_percent: 100,
        ..plan()
    };
    let mut after = window(1_000, 1_000, 20);
    after.counts.refusals = [500; KINDS];
    assert_eq!(judge(&window(1_000, 0, 0), &after, &Intended::default(), &plan), None);
}

#[test]
fn a_window_holds_what_came_since() {
    let before = window(10, 2, 0).counts;
    let mut now = window(25, 3, 0).counts;
    now.plugin_faults = 4;
    let window = now.since(&before, Duration::from_secs(1));
    assert_eq!((window.counts.calls.passed, window.counts.calls.failed), (15, 1));
    assert_eq!((window.requests(), window.timed()), (15, 15));
    // Other plugins count anew.
    assert_eq!(before.since(&now, Duration::ZERO).counts.plugin_faults, 0);
}

/// Which of a thousand things happen to a call, and so what comes of `calls` of them.
fn drawn(calls: &[u16], failing: u16, refused: u16, slow: u16) -> Window {
    let mut window = Window { took: Duration::from_secs(10), ..Window::default() };
    for draw in calls {
        let draw = draw % 1_000;
        if draw < refused {
            window.counts.refusals[RefusalKind::Overloaded as usize] += 1;
            continue;
        }
        window.counts.calls.passed += 1;
        window.counts.calls.failed += u64::from(draw - refused < failing);
        let range = if draw >= 1_000 - slow { 16 } else { 4 };
        window.counts.calls.times[range] += 1;
    }
    window
}

proptest! {
    #[test]
    fn what_is_the_same_but_for_chance_is_no_breach(
        before in prop::collection::vec(0_u16..60_000, 0..3_000),
        after in prop::collection::vec(0_u16..60_000, 0..3_000),
        failing in 0_u16..300,
        refused in 0_u16..300,
        slow in 0_u16..300,
    ) {
        let (before, after) =
            (drawn(&before, failing, refused, slow), drawn(&after, failing, refused, slow));
        prop_assert_eq!(judge(&before, &after, &Intended::default(), &plan()), None);
    }

    #[test]
    fn what_is_far_worse_is_a_breach(
        before in prop::collection::vec(0_u16..60_000, 400..2_000),
        after in prop::collection::vec(0_u16..60_000, 400..2_000),
        worse in 0_usize..3,
    ) {
        let more = |which| if worse == which { 400 } else { 0 };
        let (before, after) =
            (drawn(&before, 5, 5, 0), drawn(&after, 5 + more(0), 5 + more(1), more(2)));
        let found = judge(&before, &after, &Intended::default(), &plan());
        let reason = found.map(|breach| breach.reason);
        // More than twice the load excuses all but errors.
        if !(worse > 0 && after.requests() > 2 * before.requests()) {
            prop_assert_eq!(reason, Some([Reason::Errors, Reason::Refusals, Reason::Latency][worse]));
        }
    }
}
