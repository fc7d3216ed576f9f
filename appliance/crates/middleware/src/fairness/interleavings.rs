//! Who comes, who waits and who leaves in interleavings by chance.

use std::sync::Arc;

use protocol::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use protocol::sync::{explore, thread};
use protocol::{ClassBound, Shares};

use super::state::Ticket;
use super::*;

fn config(client_calls_max: u32) -> Config {
    Config { client_calls_max, wait_ms: 600_000, ..Config::default() }
}

fn state(calls_max: usize, client_calls_max: u32) -> State {
    State::new(
        &config(client_calls_max),
        &ClassBound::new("test", Shares { calls_max, guaranteed: [0; 2] }),
    )
}

fn enter(shared: &Shared, client: u64, class: Class) -> Entered {
    let patience = Duration::from_secs(600);
    let patience = Patience { usual: patience, standing: patience, deadline: None };
    shared.enter(Candidate { key: client << 32 | client, class, cost: 1 }, patience)
}

fn spawn<T: Send + 'static>(
    state: &State,
    work: impl FnOnce(&Shared) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let state = state.clone();
    thread::spawn(move || work(&state.0))
}

/// Lets all that wait have their turns, one after the other; nobody else has one.
fn serve_all(mut waiting: Vec<Ticket>) {
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain_mut(|ticket| ticket.turn.try_recv().is_err());
        assert!(waiting.len() < before, "{before} wait for nobody");
    }
}

fn assert_nobody_left(state: &State) {
    assert_eq!((state.0.bound.used(), state.queue().used()), (0, 0));
    assert!(matches!(enter(&state.0, 1, Class::Work), Entered::Now(_)), "all places are free");
}

#[test]
fn of_calls_that_come_at_once_each_comes_in_or_is_served_in_the_end() {
    explore(|| {
        let state = state(1, 1);
        let inside = Arc::new(AtomicUsize::new(0));
        // Two of one client, which has a share of one, and one of another.
        let threads =
            [(1, Class::Work), (1, Class::Read), (2, Class::Work)].map(|(client, class)| {
                let inside = Arc::clone(&inside);
                spawn(&state, move |shared| match enter(shared, client, class) {
                    Entered::Now(turn) => {
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "one permit");
                        inside.fetch_sub(1, SeqCst);
                        drop(turn);
                        None
                    }
                    Entered::Later(ticket) => Some(ticket),
                    Entered::Never(full) => panic!("there is room to wait: {full:?}"),
                })
            });
        let waiting = threads.into_iter().filter_map(|thread| thread.join().expect("no panic"));
        serve_all(waiting.collect());
        assert_nobody_left(&state);
    });
}

#[test]
fn who_leaves_the_queue_while_its_turn_comes_keeps_it_from_nobody() {
    explore(|| {
        let state = state(1, 2);
        let Entered::Now(turn) = enter(&state.0, 1, Class::Work) else { panic!("the first") };
        let [first, second] = [2, 3].map(|client| match enter(&state.0, client, Class::Work) {
            Entered::Later(ticket) => ticket,
            entered => panic!("{entered:?}"),
        });
        let ends = spawn(&state, |_| drop(turn));
        let leaves = spawn(&state, |shared| {
            shared.leave(Class::Work, first.spot);
            // With the turn, if it came in this moment.
            drop(first);
        });
        ends.join().expect("no panic");
        leaves.join().expect("no panic");
        serve_all(vec![second]);
        assert_nobody_left(&state);
    });
}

#[test]
fn who_waits_for_its_own_share_is_told_when_one_of_its_calls_ends() {
    explore(|| {
        let state = state(1, 1);
        // Nobody needs a permit, so none that comes back tells of the share.
        state.follow(&config(1), false);
        let Entered::Now(turn) = enter(&state.0, 1, Class::Work) else { panic!("the first") };
        let comes = spawn(&state, |shared| enter(shared, 1, Class::Work));
        drop(turn);
        match comes.join().expect("no panic") {
            Entered::Now(turn) => drop(turn),
            Entered::Later(ticket) => serve_all(vec![ticket]),
            Entered::Never(full) => panic!("{full:?}"),
        }
        assert_nobody_left(&state);
    });
}
