//! Resources whose changes a session wants to hear of.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use foldhash::fast::RandomState;
use protocol::Refusal;

use super::{Session, shared};

/// Keeps a subscription alive at its source; dropped to end it.
type Guard = Box<dyn Any + Send>;

/// Guards by URI.
#[derive(Default)]
pub(super) struct Subscriptions(HashMap<Box<str>, Guard, RandomState>);

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Session {
    /// Subscribes to `uri`; subscribing again replaces the guard.
    ///
    /// # Errors
    /// When the session has as many subscriptions as the plan allows.
    pub fn subscribe(&self, uri: &str, guard: Guard) -> Result<(), Refusal> {
        let limit = self.shared.subscriptions_max.load(Relaxed);
        let mut state = self.state.lock();
        let Some(busy) = state.busy() else {
            return Ok(());
        };
        let uris = &mut busy.subscriptions.0;
        if uris.len() >= limit && !uris.contains_key(uri) {
            let message = "The session has too many resource subscriptions; end one first.";
            return Err(shared::exhausted("session", limit, message));
        }
        let replaced = uris.insert(uri.into(), guard);
        // Guards are not ours: what they do at their end must not find the session locked.
        drop(state);
        drop(replaced);
        Ok(())
    }

    /// Ends the subscription to `uri`; without effect when there is none.
    pub fn unsubscribe(&self, uri: &str) {
        let guard =
            self.state.lock().busy_already().and_then(|busy| busy.subscriptions.0.remove(uri));
        drop(guard);
    }

    /// Whether the session is subscribed to `uri`.
    #[must_use]
    pub fn is_subscribed(&self, uri: &str) -> bool {
        let mut state = self.state.lock();
        state.busy_already().is_some_and(|busy| busy.subscriptions.0.contains_key(uri))
    }
}
