//! A circuit in every interleaving of two or three threads, and with all that weak orderings let them see.

use std::sync::Arc;

use protocol::sync::atomic::{AtomicU32, Ordering::Relaxed};
use protocol::sync::{explore, thread};

use super::core::{Core, Pass, Phase, Rules, Verdict};
use super::window::Window;

const WELL: Verdict = Verdict::Answered { was_slow: false };
/// Opens at the second call when one of two failed or was slow, closes at the first probe that succeeds.
const RULES: Rules = Rules {
    calls_min: 2,
    failure_percent: 50,
    slow_percent: 50,
    open_ms: 100,
    open_max_ms: 400,
    probes_max: 2,
    probes_needed: 1,
    half_open_ms: 1_000,
};
/// After every time for which a circuit of these rules stays open.
const LATER_MS: u64 = 500;

fn closed() -> Arc<Core> {
    Arc::new(Core::new(2, 7))
}

/// A circuit that calls have opened.
fn opened_by(verdict: Verdict) -> Arc<Core> {
    let core = closed();
    let pass = core.pass_closed().expect("closed");
    (0..2).for_each(|_| settle(&core, pass, verdict, 0));
    assert_eq!(core.look(&RULES, 0).0, Phase::Open);
    core
}

fn settle(core: &Core, pass: Pass, verdict: Verdict, now_ms: u64) {
    core.settle(pass, verdict, &RULES, || now_ms);
}

fn spawn<T: 'static>(
    core: &Arc<Core>,
    work: impl FnOnce(&Core) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let core = Arc::clone(core);
    thread::spawn(move || work(&core))
}

#[test]
fn half_open_lets_no_more_probes_pass_at_once_than_allowed_and_each_settles() {
    explore(|| {
        let core = opened_by(Verdict::Failed);
        let under_way = Arc::new(AtomicU32::new(0));
        let threads = [WELL, Verdict::Failed, Verdict::Void].map(|verdict| {
            let under_way = Arc::clone(&under_way);
            spawn(&core, move |core| {
                let Ok(pass) = core.admit(&RULES, LATER_MS) else { return };
                if pass.is_probe {
                    assert!(under_way.fetch_add(1, Relaxed) < RULES.probes_max);
                    under_way.fetch_sub(1, Relaxed);
                }
                settle(core, pass, verdict, LATER_MS);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        assert_eq!(core.probes_out(), 0, "every probe came back");
    });
}

#[test]
fn calls_that_fail_at_once_open_a_circuit_once() {
    explore(|| {
        let core = closed();
        let pass = core.pass_closed().expect("closed");
        settle(&core, pass, Verdict::Failed, 0);
        let threads =
            [(); 2].map(|()| spawn(&core, move |core| settle(core, pass, Verdict::Failed, 0)));
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let (phase, entered) = core.look(&RULES, 0);
        assert_eq!((phase, entered[Phase::Open as usize]), (Phase::Open, 1));
        assert!(core.pass_closed().is_none());
    });
}

#[test]
fn a_failure_of_an_earlier_era_does_not_open_a_circuit_that_recovered() {
    explore(|| {
        let core = closed();
        let pass = core.pass_closed().expect("closed");
        settle(&core, pass, Verdict::Failed, 0);
        let recovers = spawn(&core, move |core| {
            settle(core, pass, Verdict::Failed, 0);
            let next = core.admit(&RULES, LATER_MS).expect("closed or half-open");
            settle(core, next, WELL, LATER_MS);
            next.is_probe
        });
        settle(&core, pass, Verdict::Failed, 0);
        // Otherwise the other's failure opened it, or will.
        if recovers.join().expect("no thread panics") {
            let (phase, entered) = core.look(&RULES, LATER_MS);
            assert_eq!((phase, entered[Phase::Open as usize]), (Phase::Closed, 1));
        }
    });
}

#[test]
fn who_passes_a_circuit_that_closed_is_not_judged_with_what_came_before() {
    explore(|| {
        let core = opened_by(Verdict::Answered { was_slow: true });
        let probe = core.admit(&RULES, LATER_MS).expect("half-open");
        // The one that looks comes second: of a load, loom forgets that it could have come later.
        let passes = spawn(&core, |core| {
            if let Some(pass) = core.pass_closed() {
                (0..2).for_each(|_| settle(core, pass, WELL, LATER_MS));
            }
        });
        settle(&core, probe, WELL, LATER_MS);
        passes.join().expect("no thread panics");
        assert_eq!(core.look(&RULES, LATER_MS).0, Phase::Closed, "nothing slow since");
    });
}

#[test]
fn a_window_counts_what_it_holds_though_it_is_cleared_meanwhile() {
    explore(|| {
        let window = Arc::new(Window::new(2));
        window.record(true, false);
        let threads = [true, false].map(|has_failed| {
            let window = Arc::clone(&window);
            thread::spawn(move || {
                let tally = window.record(has_failed, !has_failed);
                // Two that it holds and two that are being recorded; a count below zero would be huge.
                assert!(tally.failed <= 4 && tally.slow <= 4, "{tally:?}");
            })
        });
        window.clear();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        assert_eq!(window.tally(), window.recount());
    });
}
