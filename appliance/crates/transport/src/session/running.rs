//! Requests of the client that run, so that it can cancel them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use foldhash::fast::RandomState;
use protocol::Id;

use super::{Session, State};

/// The id is in use by a request of this session that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id is in use by a request that still runs")]
pub struct DuplicateId;

/// Requests by id, as the client wrote it.
#[derive(Default)]
pub(super) struct Calls(HashMap<Key, Call, RandomState>);

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn wake_all(self) {
        self.0.into_values().filter_map(|call| call.waker).for_each(Waker::wake);
    }
}

#[derive(Default)]
struct Call {
    is_cancelled: bool,
    waker: Option<Waker>,
}

struct Key(Id);

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.0.text()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Session {
    /// Notes that the request `id` runs, until the guard is dropped.
    ///
    /// Costs one uncontended lock and no allocation once the session has been busy; a call that is answered without
    /// waiting needs no guard, for nobody can cancel it in time. In a session that has ended, the guard is cancelled.
    ///
    /// # Errors
    /// When a request with this id runs already.
    pub fn begin(self: &Arc<Self>, id: &Id) -> Result<Running, DuplicateId> {
        if let Some(busy) = self.state.lock().busy() {
            let calls = &mut busy.calls.0;
            if calls.contains_key(id.text()) {
                return Err(DuplicateId);
            }
            calls.insert(Key(id.clone()), Call::default());
        }
        Ok(Running { session: Arc::clone(self), id: id.clone() })
    }

    /// Cancels the request whose id is written `id_text`; one that does not run is no fault (it may just have ended).
    pub fn cancel(&self, id_text: &str) {
        let waker = self.state.lock().busy_already().and_then(|busy| {
            let call = busy.calls.0.get_mut(id_text)?;
            call.is_cancelled = true;
            call.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A request that runs. Dropping it says that it no longer does.
pub struct Running {
    session: Arc<Session>,
    id: Id,
}

impl Running {
    /// Waits until the client cancels the request or the session ends.
    pub async fn cancelled(&self) {
        std::future::poll_fn(|cx| self.poll_cancelled(cx)).await;
    }

    fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut *self.session.state.lock() {
            State::Busy(busy) => match busy.calls.0.get_mut(self.id.text()) {
                Some(call) if !call.is_cancelled => {
                    match &mut call.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        None => call.waker = Some(cx.waker().clone()),
                    }
                    Poll::Pending
                }
                Some(_) | None => Poll::Ready(()),
            },
            State::Quiet | State::Ended => Poll::Ready(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let call = self
            .session
            .state
            .lock()
            .busy_already()
            .and_then(|busy| busy.calls.0.remove(self.id.text()));
        drop(call);
    }
}
