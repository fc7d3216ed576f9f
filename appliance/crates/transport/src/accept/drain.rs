//! How listeners learn that it is time to stop.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    Leaving,
    Draining { deadline: Instant, is_alone: bool },
    Aborted,
}

/// Makes the two ends of one shutdown: the handle that orders it, and the end that every listener gets a clone of.
#[must_use]
pub fn drain() -> (DrainHandle, Drain) {
    let (sender, receiver) = watch::channel(State::Running);
    let (gate, is_held) = watch::channel(false);
    (DrainHandle { state: sender, gate }, Drain { state: receiver, is_held })
}

/// Orders listeners to stop. Dropping it counts as [`DrainHandle::abort`].
#[derive(Debug)]
pub struct DrainHandle {
    state: watch::Sender<State>,
    gate: watch::Sender<bool>,
}

impl DrainHandle {
    /// Lets nobody in while `is_held`: the kernel keeps them waiting. Connections are served as before.
    pub fn hold(&self, is_held: bool) {
        self.gate.send_replace(is_held);
    }

    /// Lets nobody in any more, and has connections end where their clients expect it: of HTTP/1 after the next answer,
    /// which says so, of HTTP/2 after the requests that came before `GOAWAY`. Idle ones of HTTP/1 stay, since a request
    /// may be on its way. Whoever shares the sockets lets clients in. Without effect after any other order.
    pub fn leave(&self) {
        self.state.send_if_modified(|state| {
            let is_running = *state == State::Running;
            if is_running {
                *state = State::Leaving;
            }
            is_running
        });
    }

    /// Stops accepting and closes idle connections; requests in flight may end until `deadline`. Whoever waits at the
    /// socket is left to whoever else has it. Of several deadlines the earliest holds; without effect after
    /// [`DrainHandle::abort`].
    pub fn begin(&self, deadline: Instant) {
        self.order(deadline, false);
    }

    /// The same for a listener that ends while its process goes on: unless somebody else has its socket, those who wait
    /// there are let in first, since they have been told that they are connected. After [`DrainHandle::leave`] somebody
    /// else has it: those who wait are that one's.
    pub fn begin_alone(&self, deadline: Instant) {
        self.order(deadline, true);
    }

    fn order(&self, deadline: Instant, is_alone: bool) {
        self.state.send_if_modified(|state| {
            let next = match *state {
                State::Running => State::Draining { deadline, is_alone },
                State::Leaving => State::Draining { deadline, is_alone: false },
                State::Draining { deadline: before, is_alone } => {
                    State::Draining { deadline: deadline.min(before), is_alone }
                }
                State::Aborted => State::Aborted,
            };
            std::mem::replace(state, next) != next
        });
    }

    /// Drops every connection at once.
    pub fn abort(&self) {
        self.state.send_replace(State::Aborted);
    }
}

/// The end that hears of it.
#[derive(Clone, Debug)]
pub struct Drain {
    state: watch::Receiver<State>,
    is_held: watch::Receiver<bool>,
}

impl Drain {
    /// Whether anything was ordered since this clone was made, but to hold: one atomic load.
    pub(super) fn has_news(&self) -> bool {
        self.state.has_changed().unwrap_or(true)
    }

    /// Waits until nobody is to be let in any more.
    pub(super) async fn left(mut self) {
        // An error means that the handle is gone, which orders the same.
        drop(self.state.wait_for(|state| *state != State::Running).await);
    }

    /// Waits until it is time to stop.
    pub(super) async fn begun(mut self) {
        let is_stop = |state: &State| !matches!(state, State::Running | State::Leaving);
        drop(self.state.wait_for(is_stop).await);
    }

    /// Whether nobody is let in for the time being.
    pub(super) fn is_held(&self) -> bool {
        *self.is_held.borrow()
    }

    /// Waits until whether it is held is another than `is_held`.
    pub(super) async fn gate_moved(mut self, is_held: bool) {
        if self.is_held.wait_for(|now| *now != is_held).await.is_err() {
            // The handle is gone, which `left` tells.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the process goes on without this listener.
    pub(super) fn is_alone(&self) -> bool {
        matches!(*self.state.borrow(), State::Draining { is_alone: true, .. })
    }

    /// Waits until there is no time left.
    pub(super) async fn over(mut self) {
        loop {
            let state = *self.state.borrow_and_update();
            let deadline = match state {
                State::Running | State::Leaving => None,
                State::Draining { deadline, .. } => Some(deadline),
                State::Aborted => return,
            };
            let passed = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                // An error means that the handle is gone.
                changed = self.state.changed() => if changed.is_err() { return },
            }
        }
    }
}
