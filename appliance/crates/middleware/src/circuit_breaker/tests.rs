//! The layer around a service that fails as told; the core by a model of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use protocol::{Fault, Target, TargetItem};

use super::*;
use crate::roster::Places;
use crate::testing::{Inner, call, reply};

const RULES: Rules = Rules {
    calls_min: 4,
    failure_percent: 50,
    slow_percent: 80,
    open_ms: 100,
    open_max_ms: 400,
    probes_max: 3,
    probes_needed: 5,
    half_open_ms: 1_000,
};
const WINDOW: u32 = 10;
/// The longest that a circuit of these rules stays open: a tenth above its bound.
const OPEN_MOST_MS: u64 = 440;

/// What is done to a circuit.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// The call that began as the n-th of those under way ends.
    End(usize, Verdict),
    Wait(u64),
    Force(bool, u64),
    Release,
}

/// What must be true whatever the circuit does: how many calls are under way, and what time it is.
#[derive(Clone, Debug, Default)]
struct Model {
    under_way: usize,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let verdict = prop_oneof![
            3 => Just(Verdict::Failed),
            3 => Just(Verdict::Answered { was_slow: false }),
            1 => Just(Verdict::Answered { was_slow: true }),
            1 => Just(Verdict::Void),
        ];
        let under_way = state.under_way.max(1);
        prop_oneof![
            8 => Just(Step::Begin),
            8 => (0..under_way, verdict).prop_map(|(at, verdict)| Step::End(at, verdict)),
            2 => (1..600_u64).prop_map(Step::Wait),
            1 => (any::<bool>(), 1..300_u64).prop_map(|(open, lasts)| Step::Force(open, lasts)),
            1 => Just(Step::Release),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match step {
            // An upper bound: a call that is refused is never under way.
            Step::Begin => state.under_way += 1,
            Step::End(..) => state.under_way = state.under_way.saturating_sub(1),
            Step::Wait(_) | Step::Force(..) | Step::Release => {}
        }
        state
    }
}

/// A circuit with the calls under way, and the phase that it was last seen in.
struct Driven {
    core: Core,
    passes: VecDeque<Pass>,
    now_ms: u64,
    phase: Phase,
    entered: [u64; Phase::ALL.len()],
    owner: Arc<str>,
}

impl Driven {
    fn phase(&self) -> Phase {
        self.core.look(&RULES, self.now_ms).0
    }

    fn settle(&self, pass: Pass, verdict: Verdict) {
        self.core.settle(pass, verdict, &RULES, || self.now_ms);
    }

    /// Only legal steps from phase to phase happen; forces begin and end anywhere.
    fn check_transition(&mut self) {
        let (phase, entered) = self.core.look(&RULES, self.now_ms);
        let steps: u64 = entered.iter().sum::<u64>() - self.entered.iter().sum::<u64>();
        let is_legal = match (self.phase, phase) {
            (before, after) if before == after && steps == 0 => true,
            (Phase::Closed | Phase::HalfOpen, Phase::Open)
            | (Phase::Open, Phase::HalfOpen)
            | (Phase::HalfOpen, Phase::Closed) => true,
            (Phase::ForcedOpen | Phase::ForcedClosed, _)
            | (_, Phase::ForcedOpen | Phase::ForcedClosed) => true,
            // At one look: probes hung, the circuit opened; the time of that was over, too.
            (Phase::HalfOpen, Phase::HalfOpen) => steps.is_multiple_of(2),
            _ => false,
        };
        assert!(is_legal, "{:?} -> {phase:?} in {steps}", self.phase);
        (self.phase, self.entered) = (phase, entered);
    }

    fn begin(&mut self) {
        let before = self.phase();
        match self.core.admit(&RULES, self.now_ms) {
            Ok(pass) => {
                assert!(!matches!(before, Phase::Open | Phase::ForcedOpen), "{before:?}");
                assert_eq!(pass.is_probe, before == Phase::HalfOpen);
                self.passes.push_back(pass);
            }
            Err(left_ms) => {
                assert!(!matches!(before, Phase::Closed | Phase::ForcedClosed), "{before:?}");
                assert!(left_ms >= 1);
            }
        }
    }

    /// From wherever it is: when every call under way ends and all that come succeed, it closes in time.
    fn recovers(mut self) {
        while let Some(pass) = self.passes.pop_front() {
            self.settle(pass, Verdict::Void);
        }
        assert_eq!(self.core.probes_out(), 0, "every probe came back");
        self.core.release(&self.owner);
        let last_ms = self.now_ms + OPEN_MOST_MS + RULES.half_open_ms;
        while self.phase() != Phase::Closed {
            assert!(self.now_ms <= last_ms, "stuck in {:?}", self.phase());
            if let Ok(pass) = self.core.admit(&RULES, self.now_ms) {
                self.settle(pass, Verdict::Answered { was_slow: false });
            }
            self.now_ms += 10;
        }
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = Driven;
    type Reference = Model;

    fn init_test(_: &Model) -> Driven {
        Driven {
            core: Core::new(WINDOW, 7),
            passes: VecDeque::new(),
            now_ms: 1,
            phase: Phase::Closed,
            entered: [0; Phase::ALL.len()],
            owner: "somebody".into(),
        }
    }

    fn apply(mut driven: Driven, _: &Model, step: Step) -> Driven {
        match step {
            Step::Begin => driven.begin(),
            Step::End(at, verdict) => {
                if let Some(pass) = driven.passes.remove(at) {
                    driven.settle(pass, verdict);
                }
            }
            Step::Wait(ms) => driven.now_ms += ms,
            Step::Force(is_open, lasts_ms) => {
                let until_ms = driven.now_ms + lasts_ms;
                let forced = driven.core.force(is_open, &driven.owner, driven.now_ms, until_ms);
                assert!(forced.is_some());
            }
            Step::Release => driven.core.release(&driven.owner),
        }
        driven.check_transition();
        driven
    }

    fn check_invariants(driven: &Driven, _: &Model) {
        let probes = driven.passes.iter().filter(|pass| pass.is_probe).count();
        assert_eq!(driven.core.probes_out() as usize, probes);
        assert!(probes <= RULES.probes_max as usize, "{probes} probes at once");
    }

    fn teardown(driven: Driven, _: Model) {
        driven.recovers();
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_its_promises_whatever_is_done_to_it(sequential 1..80 => Machine);
}

fn fail(core: &Core, calls: u32, now_ms: u64) {
    for _ in 0..calls {
        let pass = core.admit(&RULES, now_ms).expect("closed");
        core.settle(pass, Verdict::Failed, &RULES, || now_ms);
    }
}

#[test]
fn opens_for_twice_as_long_each_time_until_the_bound() {
    let core = Core::new(WINDOW, 7);
    fail(&core, RULES.calls_min, 0);
    let mut now_ms = 0;
    for expected_ms in [100, 200, 400, 400] {
        let left_ms = core.admit(&RULES, now_ms).expect_err("open");
        assert!(left_ms.abs_diff(expected_ms) <= expected_ms / 10, "{left_ms}, {expected_ms}");
        now_ms += left_ms;
        let probe = core.admit(&RULES, now_ms).expect("half-open");
        core.settle(probe, Verdict::Failed, &RULES, || now_ms);
    }
}

#[test]
fn fewer_calls_than_the_least_are_not_judged() {
    let core = Core::new(WINDOW, 7);
    fail(&core, RULES.calls_min - 1, 0);
    assert!(core.pass_closed().is_some());
    fail(&core, 1, 0);
    assert!(core.pass_closed().is_none());
}

#[test]
fn never_lets_more_probes_pass_at_once_than_allowed_from_many_threads() {
    let core = Core::new(WINDOW, 7);
    fail(&core, RULES.calls_min, 0);
    let under_way = AtomicU8::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let Ok(pass) = core.admit(&RULES, 500) else { continue };
                    if pass.is_probe {
                        let before = under_way.fetch_add(1, Relaxed);
                        assert!(u32::from(before) < RULES.probes_max);
                        std::thread::yield_now();
                        under_way.fetch_sub(1, Relaxed);
                    }
                    core.settle(pass, Verdict::Void, &RULES, || 500);
                }
            });
        }
    });
    assert_eq!(core.probes_out(), 0);
}

#[test]
fn a_decision_of_another_owner_stands_until_its_time() {
    let core = Core::new(WINDOW, 7);
    let (operator, house): (Arc<str>, Arc<str>) = ("operator".into(), "house".into());
    assert_eq!(core.force(false, &operator, 0, 90), Some(true));
    assert_eq!(core.force(false, &operator, 20, 100), Some(false), "prolonged");
    assert_eq!(core.force(true, &house, 50, 500), None);
    core.release(&house);
    assert_eq!(core.look(&RULES, 99).0, Phase::ForcedClosed);
    assert_eq!(core.force(true, &house, 100, 500), Some(true));
    assert_eq!(core.admit(&RULES, 200), Err(300));
    assert_eq!(core.look(&RULES, 500).0, Phase::Closed);
}

fn roster() -> Roster {
    let places = Places { concurrent_calls: 1, queue_calls: 0 };
    let deadline = Duration::from_millis(1_000);
    let unit =
        |tool: Option<&str>| Unit { plugin: 0, tool: tool.map(Into::into), deadline, places };
    let tools = vec![unit(Some("sick")), unit(Some("well"))];
    Roster::new(vec![("files".into(), places)], tools, vec![unit(None)])
}

fn config(mode: Mode) -> Config {
    Config { mode, window_calls: 10, calls_min: 4, ..Config::default() }
}

/// A call of the tool with this number.
fn calling(tool: u32) -> Call {
    let mut call = call();
    call.target = Some(Target { plugin: 0, item: TargetItem::Tool(tool), runs_here: false });
    call
}

/// Answers the first tool with `fault`, and others well.
fn inner(fault: Fault) -> Inner<impl Fn(Call) -> std::future::Ready<Result<Reply, Refusal>>> {
    let sick = calling(0).target;
    Inner::new(move |call: Call| {
        let answer =
            if call.target == sick { Outcome::Failed(fault.clone()).into() } else { reply(1) };
        std::future::ready(Ok(answer))
    })
}

#[tokio::test]
async fn a_tool_that_fails_is_refused_and_its_neighbour_is_not() {
    let config = config(Mode::Enforce);
    let layer = CircuitBreakerLayer::new(&config, &roster(), State::new(&config));
    let service = layer.layer(inner(Fault::internal("broken")));
    for _ in 0..4 {
        assert!((&service).call(calling(0)).await.is_ok());
    }
    let refusal = (&service).call(calling(0)).await.expect_err("open");
    assert_eq!((refusal.kind, &*refusal.scope), (RefusalKind::CircuitOpen, "tool:sick"));
    assert_eq!((refusal.kind.http_status(), refusal.kind.code()), (503, -32016));
    assert!(refusal.retry_after_secs().is_some_and(|after| (5..=6).contains(&after)));
    assert_eq!(service.inner.calls.load(Relaxed), 4, "the last never reached the plugin");
    assert!((&service).call(calling(1)).await.is_ok());
    assert!((&service).call(call()).await.is_ok(), "a call that no plugin answers");
}

#[tokio::test]
async fn what_is_known_of_a_tool_survives_a_generation() {
    let config = config(Mode::Enforce);
    let state = State::new(&config);
    let first = CircuitBreakerLayer::new(&config, &roster(), state.clone());
    let service = first.layer(inner(Fault::internal("broken")));
    for _ in 0..4 {
        assert!((&service).call(calling(0)).await.is_ok());
    }
    let next = CircuitBreakerLayer::new(&config, &roster(), state.clone());
    let service = next.layer(inner(Fault::internal("broken")));
    assert!((&service).call(calling(0)).await.is_err());
    let report = state.report();
    let phases: Vec<_> =
        report.iter().map(|circuit| (circuit.tool.as_deref(), circuit.phase)).collect();
    let expected =
        [(None, Phase::Closed), (Some("sick"), Phase::Open), (Some("well"), Phase::Closed)];
    assert_eq!(phases, expected);
}

#[tokio::test]
async fn an_open_circuit_is_open_where_it_is_restored() {
    let config = config(Mode::Enforce);
    let (before, after) = (State::new(&config), State::new(&config));
    let first = CircuitBreakerLayer::new(&config, &roster(), before.clone());
    let service = first.layer(inner(Fault::internal("broken")));
    for _ in 0..4 {
        assert!((&service).call(calling(0)).await.is_ok());
    }
    let next = CircuitBreakerLayer::new(&config, &roster(), after.clone());
    let service = next.layer(inner(Fault::internal("broken")));
    let openings = before.openings();
    assert_eq!((openings.len(), openings[0].tool.as_deref()), (1, Some("sick")));
    let gone = Opening { tool: Some("gone".into()), ..openings[0].clone() };
    after.restore(&[openings[0].clone(), gone]);
    let refusal = (&service).call(calling(0)).await.expect_err("open");
    assert!(refusal.retry_after_secs().is_some_and(|after| (5..=6).contains(&after)));
    assert!((&service).call(calling(1)).await.is_ok(), "the other is closed");
    assert_eq!(after.openings()[0].opened, 1);
}

#[tokio::test]
async fn faults_of_clients_and_cancelled_calls_are_not_counted() {
    let config = config(Mode::Enforce);
    let layer = CircuitBreakerLayer::new(&config, &roster(), State::new(&config));
    let service = layer.layer(inner(Fault::invalid_params("no")));
    let hung = layer.layer(Inner::new(|_| std::future::pending()));
    for _ in 0..20 {
        assert!((&service).call(calling(0)).await.is_ok());
        drop((&hung).call(calling(0)));
    }
    assert_eq!(service.inner.calls.load(Relaxed), 20);
}

#[tokio::test]
async fn timeouts_and_plugins_that_cannot_serve_are_counted_and_our_refusals_are_not() {
    for (kind, opens) in [
        (RefusalKind::TimedOut, true),
        (RefusalKind::PluginUnavailable, true),
        (RefusalKind::PluginBusy, false),
        (RefusalKind::PayloadTooLarge, false),
    ] {
        let config = config(Mode::Enforce);
        let layer = CircuitBreakerLayer::new(&config, &roster(), State::new(&config));
        let service = layer.layer(Inner::new(move |_| {
            let cause = kind.causes().next().expect("every kind has one");
            std::future::ready(Err(Refusal::new(kind, cause.layer, cause.scope, "no")))
        }));
        for _ in 0..4 {
            assert!((&service).call(calling(0)).await.is_err());
        }
        let last = (&service).call(calling(0)).await.expect_err("refused by one of the two");
        assert_eq!(last.kind == RefusalKind::CircuitOpen, opens, "{kind:?}");
    }
}

#[tokio::test]
async fn shadow_mode_lets_calls_of_an_open_circuit_pass_and_off_has_none() {
    for mode in [Mode::Shadow, Mode::Off] {
        let config = config(mode);
        let state = State::new(&config);
        let layer = CircuitBreakerLayer::new(&config, &roster(), state.clone());
        let service = layer.layer(inner(Fault::internal("broken")));
        for _ in 0..6 {
            assert!((&service).call(calling(0)).await.is_ok());
        }
        let is_open = state.report()[1].phase == Phase::Open;
        assert_eq!(is_open, mode == Mode::Shadow);
    }
}

#[tokio::test]
async fn a_forced_circuit_does_as_it_is_told_until_it_is_released() {
    let config = config(Mode::Enforce);
    let state = State::new(&config);
    let layer = CircuitBreakerLayer::new(&config, &roster(), state.clone());
    let service = layer.layer(inner(Fault::internal("broken")));
    let (owner, minute): (Arc<str>, _) = ("operator".into(), Duration::from_secs(60));
    assert!(state.force("files", Some("well"), Forced::Open, &owner, minute));
    let refusal = (&service).call(calling(1)).await.expect_err("forced open");
    assert!(refusal.retry_after_secs().is_some_and(|after| after >= 59));
    state.release("files", Some("well"), &owner);
    assert!((&service).call(calling(1)).await.is_ok());
    assert!(state.force("files", Some("sick"), Forced::Closed, &owner, minute));
    for _ in 0..20 {
        assert!((&service).call(calling(0)).await.is_ok(), "forced closed");
    }
    assert!(!state.force("files", Some("gone"), Forced::Open, &owner, minute));
}

#[test]
fn names_settings_out_of_their_ranges() {
    assert_eq!(Config::default().problems(), []);
    let wrong = Config { calls_min: 101, open_ms: 0, probes_max: 0, ..Config::default() };
    let keys: Vec<_> = wrong.problems().iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["calls_min", "open_ms", "probes_max"]);
}
