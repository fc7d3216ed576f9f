//! Orders to change what serves, one after the other.
//!
//! Of those that want the files read, at most one waits: whoever asks meanwhile shares it, since it reads when it begins
//! and so brings in the newest content. Those that bring a profile of their own wait each for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use plugin_host::Plugin;
use profile::Loaded;
use runtime::{Attempt, Source, Trigger};
use tokio::sync::oneshot;

use super::attempt::{House, Not};

/// Orders that wait at once: as many as there are connections to the control listener.
const ORDERS_MAX: usize = 64;

/// What an order brings in.
pub(super) enum Wish {
    /// The files of the profile, as they are when the attempt begins.
    Files,
    /// What comes of this when the attempt begins: a profile from elsewhere, or why there is none.
    Given(Give),
}

/// Called once, on the thread of the attempts.
pub(super) type Give = Box<dyn FnOnce(&House) -> Result<Given, Not> + Send>;

/// A profile that comes from elsewhere than its files.
pub(super) struct Given {
    pub(super) loaded: Loaded,
    /// Plugins that may serve again as they are, whatever their libraries are by now.
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// Where it came from in the first place.
    pub(super) source: Source,
    /// SHA-256 in hexadecimal of the libraries that it is to have, by the names of plugins; others may be any.
    pub(super) digests: BTreeMap<String, String>,
}

impl Given {
    /// With plugins as a start would lead to.
    pub(super) const fn of(loaded: Loaded, source: Source) -> Self {
        Self { loaded, plugins: Vec::new(), source, digests: BTreeMap::new() }
    }
}

/// What the thread of the attempts does next.
pub(super) enum Next {
    /// An attempt.
    Order(Order),
    /// A look at what comes back.
    Look,
    /// Nothing any more.
    End,
}

/// One attempt to be made.
pub(super) struct Order {
    pub(super) wish: Wish,
    /// The last of those who asked for it.
    pub(super) trigger: Trigger,
    replies: Vec<Reply>,
}

type Reply = oneshot::Sender<Arc<Attempt>>;

impl Order {
    /// Takes out the wish.
    pub(super) fn open(self) -> (Wish, Trigger, Waiters) {
        (self.wish, self.trigger, Waiters(self.replies))
    }
}

/// Those who wait for the end of an attempt.
pub(super) struct Waiters(Vec<Reply>);

impl Waiters {
    /// Tells them. Some may have gone.
    pub(super) fn tell(self, attempt: &Arc<Attempt>) {
        for reply in self.0 {
            reply.send(Arc::clone(attempt)).ok();
        }
    }
}

/// The orders that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    is_over: bool,
}

impl Queue {
    /// Asks for an attempt. Nothing comes back when there will be none: it is over, or too many wait.
    pub(super) fn order(&self, wish: Wish, trigger: Trigger) -> oneshot::Receiver<Arc<Attempt>> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.is_over || waiting.orders.len() >= ORDERS_MAX {
            return answer;
        }
        let is_shared =
            |order: &&mut Order| matches!((&order.wish, &wish), (Wish::Files, Wish::Files));
        if let Some(order) = waiting.orders.iter_mut().find(is_shared) {
            order.trigger = trigger;
            order.replies.retain(|reply| !reply.is_closed());
            order.replies.push(reply);
        } else {
            waiting.orders.push_back(Order { wish, trigger, replies: vec![reply] });
        }
        drop(waiting);
        self.news.notify_one();
        answer
    }

    /// What is to be done next, when it is time: an order not before `from`, a look at `look_at`.
    pub(super) fn next(&self, from: Option<Instant>, look_at: Option<Instant>) -> Next {
        let mut waiting = self.lock();
        loop {
            if waiting.is_over {
                return Next::End;
            }
            let now = Instant::now();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if is_due(look_at) {
                return Next::Look;
            }
            if (from.is_none() || is_due(from))
                && let Some(order) = waiting.orders.pop_front()
            {
                return Next::Order(order);
            }
            // Without orders nobody waits for their time.
            let from = from.filter(|_| !waiting.orders.is_empty());
            waiting = match from.into_iter().chain(look_at).min() {
                None => self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(now);
                    let waited = self.news.wait_timeout(waiting, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes no more orders, and forgets those that wait.
    pub(super) fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        waiting.orders.clear();
        drop(waiting);
        self.news.notify_all();
    }

    /// Whether it takes no more orders.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_order_waits_for_its_time_and_looks_do_not_wait_for_it() {
        let queue = Queue::default();
        let _answer = queue.order(Wish::Files, Trigger::Admin);
        let begun = Instant::now();
        let from = Some(begun + Duration::from_millis(40));
        let look_at = Some(begun + Duration::from_millis(10));
        assert!(matches!(queue.next(from, look_at), Next::Look));
        assert!(matches!(queue.next(from, None), Next::Order(_)));
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn orders_that_wait_for_their_time_share_one_reading() {
        let queue = Queue::default();
        let answers = [(); 3].map(|()| queue.order(Wish::Files, Trigger::File));
        assert!(matches!(queue.next(None, None), Next::Order(order) if order.replies.len() == 3));
        let soon = Some(Instant::now() + Duration::from_millis(1));
        assert!(matches!(queue.next(None, soon), Next::Look), "there is no other");
        drop(answers);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let queue = Queue::default();
        let mut waiting = queue.order(Wish::Files, Trigger::Admin);
        queue.end();
        assert!(matches!(queue.next(None, Some(Instant::now())), Next::End));
        assert!(waiting.try_recv().is_err() && queue.is_over());
        assert!(queue.order(Wish::Files, Trigger::Admin).try_recv().is_err());
    }
}
