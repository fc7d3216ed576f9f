//! How listeners learn that it is time to stop.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    Draining { deadline: Instant },
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
    /// Stops accepting and closes idle connections; requests in flight may end until `deadline`. Without effect after
    /// the first time, and after [`DrainHandle::abort`].
    pub fn begin(&self, deadline: Instant) {
        self.0.send_if_modified(|state| {
            let is_running = *state == State::Running;
            if is_running {
                *state = State::Draining { deadline };
            }
            is_running
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

    /// Waits until there is no time left.
    pub(super) async fn over(mut self) {
        let state = match self.0.wait_for(|state| *state != State::Running).await {
            Ok(state) => *state,
            Err(_) => return,
        };
        if let State::Draining { deadline } = state {
            tokio::select! {
                () = sleep_until(deadline) => {}
                aborted = self.0.wait_for(|state| *state == State::Aborted) => drop(aborted),
            }
        }
    }
}
