//! The layer before the one that has the permits, in simulated time; who waits by a model of it.

mod model;

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use protocol::{ClassBound, Principal};
use tokio::task::JoinSet;

use super::*;
use crate::concurrency::{self, Concurrency, ConcurrencyLayer};
use crate::testing::{Inner, call, call_of_tool, reply};

/// How long a call takes.
const WORK: Duration = Duration::from_millis(50);

type Tested = Fairness<Concurrency<Inner<fn(Call) -> Work>>>;
type Work = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

fn work(_: Call) -> Work {
    Box::pin(async {
        tokio::time::sleep(WORK).await;
        Ok(reply(1))
    })
}

fn config() -> Config {
    Config { wait_ms: 1_000, ..Config::default() }
}

fn bounds(calls_max: usize) -> concurrency::Config {
    concurrency::Config {
        calls_max: NonZeroUsize::new(calls_max).expect("not zero"),
        read_share_percent: 0,
        work_share_percent: 0,
        ..Default::default()
    }
}

/// Both layers as the stack wires them, around `answer`.
pub(super) fn house<F>(
    config: &Config,
    bounds: &concurrency::Config,
    answer: F,
) -> Fairness<Concurrency<Inner<F>>> {
    let permits = concurrency::State::new(bounds);
    let state = State::new(config, permits.bound());
    state.follow(config, bounds.mode == Mode::Enforce);
    let inner = ConcurrencyLayer::new(bounds, permits).layer(Inner::new(answer));
    FairnessLayer::new(config, state).layer(inner)
}

fn tested(config: &Config, calls_max: usize) -> Tested {
    house(config, &bounds(calls_max), work as fn(Call) -> Work)
}

impl<S> Fairness<S> {
    pub(super) fn waiting(&self) -> usize {
        self.layer.state.queue().used()
    }
}

fn client(number: u32) -> Principal {
    Principal::at(Ipv4Addr::from(number).into())
}

/// A tool's call of a client.
pub(super) fn of(number: u32) -> Call {
    let mut call = call_of_tool("x");
    call.principal = client(number);
    call
}

fn read(number: u32) -> Call {
    let mut call = crate::testing::call_of_list();
    call.principal = client(number);
    call
}

fn kind(result: Result<Reply, Refusal>) -> Option<RefusalKind> {
    result.err().map(|refusal| refusal.kind)
}

/// How a future is doing.
fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
}

macro_rules! begin {
    ($house:expr, $call:expr) => {{
        let mut future = Box::pin((&$house).call($call));
        let begun = poll(&mut future.as_mut());
        assert!(begun.is_pending(), "{begun:?}");
        future
    }};
}

#[tokio::test(start_paused = true)]
async fn a_call_passes_at_once_while_there_are_permits() {
    let house = tested(&config(), 2);
    let begun = Instant::now();
    let reply = (&house).call(of(1)).await.expect("room");
    assert_eq!(begun.elapsed(), WORK);
    assert_eq!((house.layer.state.queue().peak(), house.waiting()), (0, 0));
    assert!(house.layer.state.0.take_share_anyway(client(1).key()).1 == 1, "until it is sent");
    drop(reply);
    assert_eq!(house.layer.state.0.take_share_anyway(client(1).key()).1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_permit_gets_the_next_one() {
    let house = tested(&config(), 1);
    let mut first = begin!(house, of(1));
    let mut second = begin!(house, of(2));
    assert_eq!(house.waiting(), 1);
    let reply = (&mut first).await.expect("room");
    assert!(poll(&mut second.as_mut()).is_pending());
    assert_eq!(house.waiting(), 1, "the permit is in the answer");
    drop(reply);
    assert_eq!(house.waiting(), 0);
    let begun = Instant::now();
    assert!(second.await.is_ok());
    assert_eq!(begun.elapsed(), WORK);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_by_itself_when_no_permit_comes_back() {
    let house = tested(&config(), 1);
    let _held = (&house).call(of(1)).await.expect("room");
    let begun = Instant::now();
    let refusal = (&house).call(of(2)).await.expect_err("never");
    let waited = begun.elapsed();
    assert!((1_000..=1_010).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!((refusal.kind, refusal.layer), (RefusalKind::Overloaded, NAME));
    assert_eq!((&*refusal.scope, refusal.limit), ("work", Some(1_000)));
    assert_eq!((refusal.retry_after_secs(), house.waiting()), (Some(1), 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stands_keeps_nobody_for_long_and_others_do() {
    let house = tested(&config(), 1);
    let _held = (&house).call(of(1)).await.expect("room");
    let _before: Vec<_> = (0..8).map(|_| begin!(house, of(2))).collect();
    tokio::time::advance(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let refusal = (&house).call(of(2)).await.expect_err("its queues stand");
    assert!((20..=25).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(refusal.limit, Some(20));
    let begun = Instant::now();
    assert!((&house).call(of(3)).await.is_err());
    assert!(begun.elapsed() >= Duration::from_millis(1_000), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_queue_leaves_nothing_behind() {
    let house = tested(&config(), 1);
    let held = (&house).call(of(1)).await.expect("room");
    let queued: Vec<_> = (0..10).map(|number| begin!(house, of(number))).collect();
    assert_eq!(house.waiting(), 10);
    drop(queued);
    assert_eq!(house.waiting(), 0);
    drop(held);
    assert!((&house).call(of(2)).await.is_ok());
    assert_eq!(house.inner_calls(), 2, "what was given up never began");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_with_its_turn_hands_it_on() {
    let house = tested(&config(), 1);
    let held = (&house).call(of(1)).await.expect("room");
    let second = begin!(house, of(2));
    let mut third = begin!(house, of(3));
    drop(held);
    drop(second);
    assert_eq!(house.waiting(), 0);
    assert!((&mut third).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_deadline_is_never_begun() {
    let house = tested(&config(), 1);
    let held = (&house).call(of(1)).await.expect("room");
    let mut late = of(2);
    late.deadline = Some((Instant::now() + Duration::from_millis(10)).into_std());
    let mut late = begin!(house, late);
    tokio::time::advance(Duration::from_millis(11)).await;
    drop(held);
    assert_eq!(kind((&mut late).await), Some(RefusalKind::Overloaded));
    assert_eq!(house.inner_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_its_own_share_and_is_told_so() {
    let config = Config { client_calls_max: 2, ..config() };
    let house = tested(&config, 100);
    let first = (&house).call(of(1)).await.expect("room");
    let _second = (&house).call(of(1)).await.expect("room");
    let mut third = begin!(house, of(1));
    assert!((&house).call(of(2)).await.is_ok(), "another client");
    drop(first);
    let _third = (&mut third).await.expect("its share");
    let refusal = (&house).call(of(1)).await.expect_err("both are still held");
    assert_eq!((refusal.kind, &*refusal.scope), (RefusalKind::ClientBusy, "client"));
    assert_eq!((refusal.limit, house.inner_calls()), (Some(2), 4));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_have_so_many_waiting() {
    let config = Config { client_queue_calls_max: 3, ..config() };
    let house = tested(&config, 1);
    let _held = (&house).call(of(1)).await.expect("room");
    let _waiting: Vec<_> = (0..3).map(|_| begin!(house, of(2))).collect();
    let begun = Instant::now();
    let refusal = (&house).call(of(2)).await.expect_err("three wait");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::ClientBusy, Some(3)));
    let _another = begin!(house, of(3));
}

#[tokio::test(start_paused = true)]
async fn the_longest_queue_makes_room_for_who_has_less() {
    let config = Config { queue_calls_max: 16, ..config() };
    let house = tested(&config, 1);
    let _held = (&house).call(of(1)).await.expect("room");
    let mut greedy: Vec<_> = (0..16).map(|_| begin!(house, of(2))).collect();
    assert_eq!(kind((&house).call(of(2)).await), Some(RefusalKind::Overloaded));
    let mut other = begin!(house, of(3));
    assert_eq!(house.waiting(), 16);
    let ended: Vec<_> = greedy.iter_mut().map(|call| poll(&mut call.as_mut())).collect();
    let mut ended = ended.into_iter().filter_map(|ended| match ended {
        Poll::Ready(ended) => kind(ended),
        Poll::Pending => None,
    });
    assert_eq!((ended.next(), ended.next()), (Some(RefusalKind::Overloaded), None));
    assert!(poll(&mut other.as_mut()).is_pending());
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_wait_behind_works_and_control_never_waits() {
    let bounds = concurrency::Config { read_share_percent: 50, ..bounds(2) };
    let house = house(&config(), &bounds, work as fn(Call) -> Work);
    let _held = (&house).call(of(1)).await.expect("room");
    let _waiting = begin!(house, of(2));
    assert!((&house).call(read(3)).await.is_ok());
    let _read = (&house).call(read(3)).await.expect("room");
    let mut ping = call();
    ping.principal = client(3);
    assert!((&house).call(ping).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_on_permits_only_shares_count() {
    let bounds = concurrency::Config { mode: Mode::Off, ..bounds(1) };
    let house = house(&config(), &bounds, work as fn(Call) -> Work);
    let held: Vec<_> = (0..32).map(|_| begin!(house, of(1))).collect();
    let _waiting = begin!(house, of(1));
    assert_eq!((house.waiting(), held.len()), (1, 32));
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_in_who_waits() {
    let config = Config { client_calls_max: 2, ..config() };
    let house = house(&config, &bounds(1), work as fn(Call) -> Work);
    let _held: Vec<_> = [1, 1, 2].map(|number| begin!(house, of(number))).into();
    assert_eq!(house.waiting(), 2);
    let permits = &house.layer.state.0.bound;
    permits.set_shares(protocol::Shares { calls_max: 2, guaranteed: [0; 2] });
    assert_eq!(house.waiting(), 1);
    permits.set_shares(protocol::Shares { calls_max: 9, guaranteed: [0; 2] });
    assert_eq!(house.waiting(), 0);
    let _more = begin!(house, of(1));
    assert_eq!(house.waiting(), 1, "its share");
    house.layer.state.follow(&Config { client_calls_max: 3, ..config }, true);
    assert_eq!(house.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_counts_and_lets_pass_and_off_does_nothing() {
    for (mode, counted) in [(Mode::Shadow, 1), (Mode::Off, 0)] {
        let config = Config { mode, client_calls_max: 1, client_queue_calls_max: 0, ..config() };
        let house = tested(&config, 2);
        let _held = (&house).call(of(1)).await.expect("room");
        assert_eq!(house.layer.state.0.take_share_anyway(client(1).key()).1, counted);
        let _second = (&house).call(of(1)).await.expect("only counted");
        assert_eq!(kind((&house).call(of(1)).await), Some(RefusalKind::Overloaded));
        assert_eq!(house.waiting(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_hears_how_long_those_before_it_will_take() {
    let config = Config { client_queue_calls_max: 30, ..config() };
    let house = house(&config, &bounds(1), |_: Call| -> Work {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(reply(1))
        })
    });
    let first = begin!(house, of(1));
    let second = begin!(house, of(1));
    drop(first.await);
    drop(second.await);
    let _held = begin!(house, of(1));
    let _waiting: Vec<_> = (0..30).map(|_| begin!(house, of(2))).collect();
    let refusal = (&house).call(of(2)).await.expect_err("its queues are full");
    assert_eq!(refusal.wait, Some(Duration::from_millis(31 * 500)));
}

#[test]
fn numbers_outside_of_their_ranges_are_problems() {
    let keys =
        |config: Config| -> Vec<_> { config.problems().into_iter().map(|(key, _)| key).collect() };
    assert!(keys(Config::default()).is_empty());
    assert_eq!(keys(Config { client_calls_max: 0, ..config() }), ["client_calls_max"]);
    assert_eq!(
        keys(Config { client_queue_calls_max: 129, ..config() }),
        ["client_queue_calls_max"]
    );
    assert_eq!(keys(Config { queue_calls_max: 4_097, ..config() }), ["queue_calls_max"]);
    assert_eq!(keys(Config { wait_ms: 10, ..config() }), ["standing_wait_ms"]);
    assert_eq!(keys(Config { wait_ms: 0, standing_wait_ms: 1, ..config() }), ["wait_ms"]);
}

/// Tasks on several threads come, wait, run, give up; nothing is left, and nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_ends_once_however_many_threads_there_are() {
    let config =
        Config { client_calls_max: 2, wait_ms: 60_000, standing_wait_ms: 60_000, ..config() };
    let answer = |_: Call| -> Work {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(reply(1))
        })
    };
    let house = Arc::new(house(&config, &bounds(3), answer));
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let house = Arc::clone(&house);
        tasks.spawn(async move {
            for turn in 0..500 {
                let call = if turn % 3 == 0 { read(number / 3) } else { of(number / 3) };
                if (turn + number) % 4 == 0 {
                    // Given up after a moment, in whatever state.
                    let call = (&*house).call(call);
                    let moment = tokio::task::yield_now();
                    tokio::select! { biased; _ = call => {}, () = moment => {} }
                } else {
                    (&*house).call(call).await.expect("its turn comes");
                }
                assert!(house.layer.state.0.bound.used() <= 3);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!((house.waiting(), house.layer.state.0.bound.used()), (0, 0));
    for number in 0..16 {
        assert_eq!(house.layer.state.0.take_share_anyway(client(number / 3).key()).1, 0);
    }
}

impl<A> Fairness<Concurrency<Inner<A>>> {
    fn inner_calls(&self) -> usize {
        self.inner.inner().calls.load(std::sync::atomic::Ordering::Relaxed)
    }
}
