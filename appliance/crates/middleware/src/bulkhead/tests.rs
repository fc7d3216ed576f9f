//! The layer around a service that keeps the leases of its calls, as a plugin does.

use std::sync::Mutex;

use protocol::{Target, TargetItem};

use super::*;
use crate::roster::{Places, Unit};
use crate::testing::{Inner, call, reply};

/// Leases of the calls that a plugin still has.
type Kept = Arc<Mutex<Vec<Lease>>>;

fn config(mode: Mode) -> Config {
    Config { mode, queue_wait_ms: 100, ..Config::default() }
}

/// A plugin with two tools, each of which has as many places as `tool`.
fn roster(plugin: Places, tool: Places) -> Roster {
    let deadline = Duration::from_secs(1);
    let unit =
        |name: Option<&str>| Unit { plugin: 0, tool: name.map(Into::into), deadline, places: tool };
    let tools = vec![unit(Some("read")), unit(Some("write"))];
    Roster::new(vec![("files".into(), plugin)], tools, vec![unit(None)])
}

const fn places(concurrent_calls: usize, queue_calls: usize) -> Places {
    Places { concurrent_calls, queue_calls }
}

fn calling(tool: u32) -> Call {
    let mut call = call();
    call.target = Some(Target { plugin: 0, item: TargetItem::Tool(tool), runs_here: false });
    call
}

/// Answers at once and keeps each lease until the test drops it.
fn keeping(kept: &Kept) -> Inner<impl Fn(Call) -> std::future::Ready<Result<Reply, Refusal>>> {
    let kept = Arc::clone(kept);
    Inner::new(move |mut call: Call| {
        kept.lock().expect("not poisoned").extend(call.lease.take());
        std::future::ready(Ok(reply(1)))
    })
}

fn drop_first(kept: &Kept) {
    let lease = kept.lock().expect("not poisoned").remove(0);
    drop(lease);
}

/// Calls that were refused, that came in, and that wait, at the moment.
fn used(state: &State) -> (u64, usize, usize) {
    let report = &state.report()[0];
    (report.refused, report.used, report.queue.used())
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_plugin_lets_go_and_not_only_until_the_answer() {
    let state = State::new();
    let kept = Kept::default();
    let layer =
        BulkheadLayer::new(&config(Mode::Enforce), &roster(places(2, 0), places(1, 0)), &state);
    let service = layer.layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    let refusal = (&service).call(calling(0)).await.expect_err("the plugin still has the first");
    assert_eq!((refusal.kind, &*refusal.scope), (RefusalKind::PluginBusy, "tool:read"));
    assert_eq!((refusal.limit, refusal.retry_after_secs()), (Some(1), Some(1)));
    assert!((&service).call(calling(1)).await.is_ok(), "another tool has places of its own");
    let refusal = (&service).call(calling(1)).await.expect_err("full");
    assert_eq!(&*refusal.scope, "tool:write");
    assert_eq!(used(&state), (2, 2, 0));
    drop_first(&kept);
    assert!((&service).call(calling(0)).await.is_ok());
    assert_eq!(service.inner.calls.load(Relaxed), 3, "what is refused never reaches the plugin");
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_tools_share_the_places_of_their_plugin() {
    let state = State::new();
    let kept = Kept::default();
    let layer =
        BulkheadLayer::new(&config(Mode::Enforce), &roster(places(1, 0), places(1, 0)), &state);
    let service = layer.layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    let refusal = (&service).call(calling(1)).await.expect_err("the plugin is full");
    assert_eq!((&*refusal.scope, refusal.limit), ("plugin:files", Some(1)));
    drop_first(&kept);
    assert!((&service).call(calling(1)).await.is_ok(), "its own place came back with the refusal");
}

#[tokio::test(start_paused = true)]
async fn waits_in_order_for_a_place_and_goes_on_when_it_comes() {
    let state = State::new();
    let kept = Kept::default();
    let layer =
        BulkheadLayer::new(&config(Mode::Enforce), &roster(places(1, 2), places(1, 2)), &state);
    let service = layer.layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    let mut first = Box::pin((&service).call(calling(0)));
    let mut second = Box::pin((&service).call(calling(0)));
    assert!(look(&mut first).is_none() && look(&mut second).is_none());
    assert_eq!(used(&state), (0, 1, 2));
    let refusal = (&service).call(calling(1)).await.expect_err("the plugin's queue is full");
    assert_eq!(refusal.kind, RefusalKind::PluginBusy);
    drop_first(&kept);
    assert!(look(&mut second).is_none(), "the first is first");
    assert!(look(&mut first).is_some_and(|result| result.is_ok()));
    drop_first(&kept);
    assert!(look(&mut second).is_some_and(|result| result.is_ok()));
    drop_first(&kept);
    assert_eq!(used(&state), (1, 0, 0));
    assert!((&service).call(calling(1)).await.is_ok());
}

/// Looks once.
fn look<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn refuses_who_waited_too_long_or_until_its_deadline() {
    for (deadline_ms, is_task, waits_ms) in [
        (None, false, 100),
        (Some(30), false, 30),
        (Some(5_000), false, 100),
        (Some(5_000), true, 5_000),
    ] {
        // A clock for each: a paused one runs ahead of that of deadlines.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        let waited = runtime.block_on(waits_in_vain(deadline_ms, is_task));
        // Timers go by whole milliseconds, and the clock of deadlines went on meanwhile.
        assert!((waits_ms - 20..waits_ms + 20).contains(&waited), "{waited}, {deadline_ms:?}");
    }
}

/// How many milliseconds a call waits for a place that does not come.
async fn waits_in_vain(deadline_ms: Option<u64>, is_task: bool) -> u128 {
    let state = State::new();
    let kept = Kept::default();
    let roster = roster(places(1, 4), places(1, 4));
    let service = BulkheadLayer::new(&config(Mode::Enforce), &roster, &state).layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    let begun = tokio::time::Instant::now();
    let mut call = calling(0);
    call.is_task = is_task;
    call.deadline = deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let refusal = (&service).call(call).await.expect_err("nobody lets go");
    assert_eq!(refusal.kind, RefusalKind::PluginBusy);
    assert_eq!(used(&state), (1, 1, 0));
    begun.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_waits_leaves_nothing_behind() {
    let state = State::new();
    let kept = Kept::default();
    let roster = roster(places(1, 4), places(1, 4));
    let service = BulkheadLayer::new(&config(Mode::Enforce), &roster, &state).layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    drop((&service).call(calling(0)));
    drop((&service).call(calling(1)));
    assert_eq!(used(&state), (0, 1, 0));
    drop_first(&kept);
    assert_eq!(used(&state), (0, 0, 0));
    for tool in [0, 1] {
        assert!((&service).call(calling(tool)).await.is_ok());
        drop_first(&kept);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_run_here_and_calls_of_no_plugin_need_no_place() {
    let state = State::new();
    let kept = Kept::default();
    let layer =
        BulkheadLayer::new(&config(Mode::Enforce), &roster(places(1, 0), places(1, 0)), &state);
    let service = layer.layer(keeping(&kept));
    for _ in 0..3 {
        assert!((&service).call(call()).await.is_ok());
        let mut here = calling(0);
        here.target = here.target.map(|target| Target { runs_here: true, ..target });
        assert!((&service).call(here).await.is_ok());
    }
    assert_eq!(used(&state), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_counts_and_lets_pass_and_off_does_neither() {
    for (mode, expected) in [(Mode::Shadow, (2, 3, 0)), (Mode::Off, (0, 0, 0))] {
        let state = State::new();
        let kept = Kept::default();
        let layer = BulkheadLayer::new(&config(mode), &roster(places(1, 0), places(1, 0)), &state);
        let service = layer.layer(keeping(&kept));
        for _ in 0..3 {
            assert!((&service).call(calling(0)).await.is_ok());
        }
        assert_eq!(used(&state), expected);
        kept.lock().expect("not poisoned").clear();
        assert_eq!(state.report()[0].used, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn names_what_has_half_of_its_places_held_beyond_the_deadline() {
    let state = State::new();
    let kept = Kept::default();
    let layer =
        BulkheadLayer::new(&config(Mode::Enforce), &roster(places(8, 0), places(4, 0)), &state);
    let service = layer.layer(keeping(&kept));
    for _ in 0..3 {
        assert!((&service).call(calling(1)).await.is_ok());
    }
    kept.lock().expect("not poisoned")[0].mark_stuck();
    assert_eq!(state.stuck(), []);
    kept.lock().expect("not poisoned")[2].mark_stuck();
    let expected = Stuck {
        plugin: "files".into(),
        tool: Some("write".into()),
        stuck_calls: 2,
        concurrent_calls: 4,
    };
    assert_eq!((state.stuck(), state.report()[0].stuck_calls), (vec![expected], 2));
    drop_first(&kept);
    assert_eq!((state.stuck(), state.report()[0].stuck_calls), (vec![], 1));
}

#[tokio::test(start_paused = true)]
async fn places_and_their_holders_survive_a_generation_with_other_bounds() {
    let state = State::new();
    let kept = Kept::default();
    let config = config(Mode::Enforce);
    let first = BulkheadLayer::new(&config, &roster(places(2, 0), places(2, 0)), &state);
    let service = first.layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_ok());
    let next = BulkheadLayer::new(&config, &roster(places(1, 0), places(1, 0)), &state);
    let service = next.layer(keeping(&kept));
    assert!((&service).call(calling(0)).await.is_err(), "the place of the first still counts");
    drop_first(&kept);
    assert!((&service).call(calling(0)).await.is_ok());
}

#[test]
fn names_a_wait_that_is_out_of_its_range() {
    assert_eq!(Config::default().problems(), []);
    for queue_wait_ms in [0, 600_001] {
        assert_eq!(Config { queue_wait_ms, ..Config::default() }.problems().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn asks_to_come_back_when_a_place_may_be_free_by_the_mean_time_of_calls() {
    let state = State::new();
    let kept = Kept::default();
    let roster = roster(places(1, 1), places(1, 1));
    let layer = BulkheadLayer::new(&config(Mode::Enforce), &roster, &state);
    // A call that took ten seconds, and one in a hundred of that mean that took none.
    for (took, expected_secs) in [(10, 20..=20), (0, 19..=20)] {
        let cell = &layer.cells[0];
        assert!(cell.gate.enter().is_some() && cell.compartment.gate.enter().is_some());
        let begun = Instant::now().checked_sub(Duration::from_secs(took));
        drop(lend(cell, Some(begun.expect("the machine runs for longer"))));
        let service = layer.layer(keeping(&kept));
        assert!((&service).call(calling(0)).await.is_ok());
        let queued = (&service).call(calling(0));
        let refusal = (&service).call(calling(0)).await.expect_err("one waits already");
        let after = refusal.retry_after().expect("it says when");
        assert!(expected_secs.contains(&after.as_secs()), "{after:?}");
        drop(queued);
        drop_first(&kept);
    }
}
