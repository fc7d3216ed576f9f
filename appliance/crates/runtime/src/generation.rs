//! Generations and the switch between them.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use profile::Plan;
use protocol::{Bound, Refusal};
use stack::Stack;
use tokio::sync::watch;

/// One plan, its stack and a number; immutable.
///
/// A call takes its generation once and keeps it until its answer has been sent: no call meets two generations.
pub struct Generation {
    number: u64,
    plan: Arc<Plan>,
    stack: Stack,
    in_flight: Arc<Bound>,
    /// Ends with the generation, and so tells whoever waits for that.
    life: watch::Sender<()>,
}

impl Generation {
    /// A generation of `plan`; `number` counts from 1.
    #[must_use]
    pub fn new(number: u64, plan: Arc<Plan>, stack: Stack) -> Self {
        let in_flight = Bound::new("generation_calls", usize::MAX);
        Self { number, plan, stack, in_flight, life: watch::Sender::new(()) }
    }

    /// Counts from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What it was built from.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The layers and what they lead to.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Remembers a refusal that a client is told, so that an operator can ask about it.
    pub fn note(&self, refusal: &Refusal) {
        self.stack.kit().recent.note(refusal, self.number);
    }

    /// The calls and streams that it still has; each holds a permit until its last byte.
    #[must_use]
    pub const fn in_flight(&self) -> &Arc<Bound> {
        &self.in_flight
    }

    /// Waits until nobody has this generation any more: neither a call nor a stream, and no caller of this.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut life = self.life.subscribe();
        async move {
            // Nothing is ever sent: the only news is the end.
            while life.changed().await.is_ok() {}
        }
    }
}

/// The one atomic pointer to the current generation.
pub struct Switch {
    current: ArcSwap<Generation>,
    /// No call takes it: it is for those who publish.
    past: Mutex<Past>,
}

/// What was current before.
#[derive(Default)]
struct Past {
    generations: Vec<Weak<Generation>>,
    is_closed: bool,
}

/// The turn of one who publishes: nobody else does meanwhile, so what is built from the current generation follows it.
pub struct Turn<'s> {
    switch: &'s Switch,
    past: MutexGuard<'s, Past>,
}

impl Switch {
    /// Points to the first generation.
    #[must_use]
    pub fn new(first: Generation) -> Self {
        Self { current: ArcSwap::from_pointee(first), past: Mutex::default() }
    }

    /// The current generation, for one call.
    #[must_use]
    pub fn load(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Waits for the turn to publish; `None` once the switch is closed.
    #[must_use]
    pub fn turn(&self) -> Option<Turn<'_>> {
        let past = self.past.lock();
        (!past.is_closed).then_some(Turn { switch: self, past })
    }

    /// The generations before the current one that somebody still has, the oldest first.
    #[must_use]
    pub fn draining(&self) -> Vec<Arc<Generation>> {
        self.past.lock().generations.iter().filter_map(Weak::upgrade).collect()
    }

    /// From now on the current generation stays: for the end of the process, which stops its plugins.
    pub fn close(&self) {
        self.past.lock().is_closed = true;
    }
}

impl Turn<'_> {
    /// The generation that the next one follows.
    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        self.switch.load()
    }

    /// Makes a generation of `plan` the current one and returns it. Cannot fail.
    pub fn publish(mut self, plan: Arc<Plan>, stack: Stack) -> Arc<Generation> {
        let next = Arc::new(Generation::new(self.current().number() + 1, plan, stack));
        let before = self.switch.current.swap(Arc::clone(&next));
        let generations = &mut self.past.generations;
        generations.retain(|generation| generation.strong_count() > 0);
        generations.push(Arc::downgrade(&before));
        next
    }
}
