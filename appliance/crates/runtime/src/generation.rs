//! Generations and the switch between them.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use profile::Plan;
use protocol::{Bound, Refusal};
use stack::Stack;
use tokio::sync::watch;

use crate::wait::wait_until;

/// How long calls that were told to end may take to do so.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// One plan, its stack and a number; immutable.
///
/// A call takes its generation once and keeps it until its answer has been sent: no call meets two generations.
pub struct Generation {
    number: u64,
    plan: Arc<Plan>,
    stack: Stack,
    in_flight: Arc<Bound>,
    since: Timestamp,
    /// When the next one took over.
    replaced: OnceLock<Instant>,
    /// Turns true when whatever still runs has to end, and ends with the generation.
    life: watch::Sender<bool>,
}

impl Generation {
    /// A generation of `plan`; `number` counts from 1.
    #[must_use]
    pub fn new(number: u64, plan: Arc<Plan>, stack: Stack) -> Self {
        let in_flight = Bound::new("generation_calls", usize::MAX);
        Self {
            number,
            plan,
            stack,
            in_flight,
            since: Timestamp::now(),
            replaced: OnceLock::new(),
            life: watch::Sender::new(false),
        }
    }

    /// Counts from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When it was made.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// When the next one took over; `None` while it serves.
    #[must_use]
    pub fn replaced(&self) -> Option<Instant> {
        self.replaced.get().copied()
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

    /// Ends whatever still runs in it: calls and tasks are refused.
    pub fn close(&self) {
        if !self.life.send_replace(true) {
            let calls = self.in_flight.used();
            tracing::info!(
                generation = self.number,
                calls,
                "Generation drained for too long; its calls end."
            );
        }
        // Again, if need be: a call may have waited for its turn.
        self.stack.close();
    }

    /// Waits until whatever still runs in it has to end.
    pub async fn closing(&self) {
        // It cannot end before this: whoever waits has it.
        self.life.subscribe().wait_for(|is_closed| *is_closed).await.ok();
    }

    /// Waits until nobody has this generation any more: neither a call nor a stream, and no caller of this.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut life = self.life.subscribe();
        async move {
            // What is sent is no end.
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

impl Past {
    fn draining(&self) -> Vec<Arc<Generation>> {
        self.generations.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Why nobody may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// The process ends.
    Closed,
    /// As many generations drain as may, and the oldest does not end.
    Crowded {
        /// Its number.
        oldest: u64,
        /// The calls that it still has.
        calls: usize,
    },
}

/// Waits for the end of a generation, and has it end when `patience` is over.
fn make_way(oldest: Arc<Generation>, patience: Instant) -> Result<(), NoTurn> {
    let ended = oldest.ended();
    let known = Arc::downgrade(&oldest);
    drop(oldest);
    if wait_until(patience, ended).is_some() {
        return Ok(());
    }
    let Some(oldest) = known.upgrade() else { return Ok(()) };
    oldest.close();
    let crowded = NoTurn::Crowded { oldest: oldest.number(), calls: oldest.in_flight().used() };
    let ended = oldest.ended();
    drop(oldest);
    wait_until(Instant::now() + CLOSE_GRACE, ended).ok_or(crowded)
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

    /// Waits for the turn to publish, with room for the current generation among at most `draining_max` that drain: the
    /// oldest is waited for until `patience`, and then ended. Blocks.
    ///
    /// # Errors
    /// When the switch is closed, or the oldest does not end.
    pub fn turn(&self, draining_max: usize, patience: Instant) -> Result<Turn<'_>, NoTurn> {
        loop {
            let past = self.past.lock();
            if past.is_closed {
                return Err(NoTurn::Closed);
            }
            let mut draining = past.draining();
            if draining.len() < draining_max {
                return Ok(Turn { switch: self, past });
            }
            drop(past);
            let oldest = draining.swap_remove(0);
            drop(draining);
            make_way(oldest, patience)?;
        }
    }

    /// The generations before the current one that somebody still has, the oldest first.
    #[must_use]
    pub fn draining(&self) -> Vec<Arc<Generation>> {
        self.past.lock().draining()
    }

    /// Ends the generations that drain for longer than `drain`. Nothing happens while somebody publishes.
    pub fn close_overdue(&self, drain: Duration) {
        let Some(draining) = self.past.try_lock().map(|past| past.draining()) else { return };
        let is_overdue = |generation: &&Arc<Generation>| {
            generation.replaced().is_some_and(|replaced| replaced.elapsed() >= drain)
        };
        draining.iter().filter(is_overdue).for_each(|generation| generation.close());
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
        // The first time and the only one.
        before.replaced.set(Instant::now()).ok();
        let generations = &mut self.past.generations;
        generations.retain(|generation| generation.strong_count() > 0);
        generations.push(Arc::downgrade(&before));
        next
    }
}
