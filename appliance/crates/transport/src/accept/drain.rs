//! How listeners learn that it is time to stop.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    Draining { deadline: Instant, is_alone: bool },
    Aborted,
}

/// Makes the two ends of one shutdown: the handle that orders it, and the end that every listener gets a clone of.
#[must_use]
pub fn drain() -> (DrainHandle, Drain) {
    let (sender, receiver) = watch::channel(State::Running);
    (DrainHandle(sender), Drain(receiver))
}

/// Orders listeners to stop. Dropping it counts as [`DrainHandle::abort`].
#[derive(Debug)]
pub struct DrainHandle(watch::Sender<State>);

impl DrainHandle {
    /// Stops accepting and closes idle connections; requests in flight may end until `deadline`. Whoever waits at the
    /// socket is left to whoever else has it. Of several deadlines the earliest holds; without effect after
    /// [`DrainHandle::abort`].
    pub fn begin(&self, deadline: Instant) {
        self.order(deadline, false);
    }

    /// The same for a listener that ends while its process goes on: unless somebody else has its socket, those who wait
    /// there are let in first, since they have been told that they are connected.
    pub fn begin_alone(&self, deadline: Instant) {
        self.order(deadline, true);
    }

    fn order(&self, deadline: Instant, is_alone: bool) {
        self.0.send_if_modified(|state| {
            let next = match *state {
                State::Running => State::Draining { deadline, is_alone },
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
        self.0.send_replace(State::Aborted);
    }
}

/// The end that hears of it.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<State>);

impl Drain {
    /// Whether anything was ordered since this clone was made: one atomic load.
    pub(super) fn has_news(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Waits until it is time to stop.
    pub(super) async fn begun(mut self) {
        // An error means that the handle is gone, which orders the same.
        drop(self.0.wait_for(|state| *state != State::Running).await);
    }

    /// Whether the process goes on without this listener.
    pub(super) fn is_alone(&self) -> bool {
        matches!(*self.0.borrow(), State::Draining { is_alone: true, .. })
    }

    /// Waits until there is no time left.
    pub(super) async fn over(mut self) {
        loop {
            let state = *self.0.borrow_and_update();
            let deadline = match state {
                State::Running => None,
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
                changed = self.0.changed() => if changed.is_err() { return },
            }
        }
    }
}
