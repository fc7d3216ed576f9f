//! Who has what, who waits, and who is next: what all generations share.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use protocol::sync::Mutex;
use protocol::sync::atomic::Ordering::{Relaxed, SeqCst};
use protocol::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use protocol::{Bound, Class, ClassBound, Permit, Waiters};
use telemetry::WaitMeter;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Config;
use super::queues::{Queues, Spot};
use super::tallies::Tallies;
use crate::mean::Mean;

/// Classes that wait, the more worthy first.
pub(super) const WAITING: [Class; 2] = [Class::Read, Class::Work];

/// What a call has that may go on.
#[derive(Debug)]
pub(super) struct Turn {
    /// Its place in the share of its client.
    pub(super) share: Permit,
    /// Its permit; `None` where nobody bounds them.
    pub(super) permit: Option<Permit>,
}

/// What is kept for one who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    turn: oneshot::Sender<Turn>,
    until: Instant,
    /// Its places among all that wait and among those of its client.
    _counted: [Permit; 2],
}

impl Waiter {
    /// Whether somebody still wants the turn.
    fn is_there(&self, now: Instant) -> bool {
        now < self.until && !self.turn.is_closed()
    }
}

/// Why a call may not even wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// As many of its client wait as may.
    Client,
    /// As many of all wait as may, or its queues are full of others.
    All,
}

/// One who waits, seen from outside.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) spot: Spot,
    pub(super) turn: oneshot::Receiver<Turn>,
    /// How long it may wait, and until when its deadline lets it.
    pub(super) wait: Duration,
    pub(super) until: Instant,
    pub(super) begun: Instant,
}

/// A call that wants to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) key: u64,
    pub(super) class: Class,
    pub(super) cost: u32,
}

/// What an attempt to come in led to.
#[derive(Debug)]
pub(super) enum Entered {
    Now(Turn),
    Later(Ticket),
    Never(Full),
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) usual: Duration,
    /// In a queue that stands.
    pub(super) standing: Duration,
    /// And never beyond this.
    pub(super) deadline: Option<Instant>,
}

/// What all generations share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bound: Arc<ClassBound>,
    /// Whether calls need a permit: whether the bound is enforced.
    is_bounded: AtomicBool,
    /// Calls of each client under way, and waiting.
    under_way: Arc<Tallies>,
    queued: Arc<Tallies>,
    client_calls_max: AtomicU32,
    client_queue_calls_max: AtomicU32,
    queue: Arc<Bound>,
    /// How many wait, by class: what the way past the lock goes by.
    waiting: [AtomicUsize; WAITING.len()],
    /// Held for a few moves, and only while somebody has to wait.
    queues: Mutex<[Queues<Waiter>; WAITING.len()]>,
    pub(super) mean: Mean,
    pub(super) waits: WaitMeter,
}

/// What outlives a generation: who has what, and who waits.
#[derive(Clone, Debug)]
pub struct State(pub(super) Arc<Shared>);

impl State {
    /// Nobody waits for the permits of `bound`.
    #[must_use]
    pub fn new(config: &Config, bound: &Arc<ClassBound>) -> Self {
        let shared = Arc::new(Shared {
            bound: Arc::clone(bound),
            is_bounded: AtomicBool::new(true),
            under_way: Arc::new(Tallies::new(Some(Arc::clone(bound)))),
            queued: Arc::new(Tallies::new(None)),
            client_calls_max: AtomicU32::new(0),
            client_queue_calls_max: AtomicU32::new(0),
            queue: Bound::new("fairness_queue", 0),
            waiting: Default::default(),
            queues: Mutex::new([Queues::new(), Queues::new()]),
            mean: Mean::default(),
            waits: WaitMeter::default(),
        });
        let waiters: Weak<Shared> = Arc::downgrade(&shared);
        bound.set_waiters(waiters);
        let state = Self(shared);
        state.follow(config, true);
        state
    }

    /// Follows new settings. `is_bounded` tells whether the bound is enforced: otherwise calls go on without a permit,
    /// within the share of their client. Who waits keeps its place.
    pub fn follow(&self, config: &Config, is_bounded: bool) {
        let shared = &*self.0;
        shared.is_bounded.store(is_bounded, SeqCst);
        shared.client_calls_max.store(config.client_calls_max, SeqCst);
        shared.client_queue_calls_max.store(config.client_queue_calls_max, SeqCst);
        shared.queue.set_limit(config.queue_calls_max as usize);
        shared.bound.tell_waiters();
    }

    /// How long calls waited.
    #[must_use]
    pub fn waits(&self) -> &WaitMeter {
        &self.0.waits
    }

    /// The bound on calls that wait, for its metrics.
    #[must_use]
    pub fn queue(&self) -> &Arc<Bound> {
        &self.0.queue
    }
}

impl Shared {
    /// Lets a call in, puts it into its queue, or neither. Without anybody who waits: four atomics and no lock.
    pub(super) fn enter(&self, call: Candidate, patience: Patience) -> Entered {
        let line = line(call.class);
        if self.waiting[line].load(SeqCst) == 0 {
            if let Some(turn) = self.take(call) {
                return Entered::Now(turn);
            }
            // Somebody may have been passed over for the share that was counted for a moment.
            self.look_again();
        }
        let most = self.client_queue_calls_max.load(SeqCst);
        if self.queued.of(call.key) >= most {
            // Where nobody may wait, it is not for being many.
            let is_many = most > 0 || self.has_its_share(call.key);
            return Entered::Never(if is_many { Full::Client } else { Full::All });
        }
        // Who stands before it comes first.
        self.serve(line);
        let entered = self.enter_slowly(call, line, patience);
        if matches!(entered, Entered::Later(_)) {
            // A permit may have come back since the look that found none.
            self.serve(line);
        }
        entered
    }

    fn enter_slowly(&self, call: Candidate, line: usize, patience: Patience) -> Entered {
        let mut queues = self.queues.lock();
        let is_next = self.queued.of(call.key) == 0 && !self.somebody_may_come(&mut queues[line]);
        if is_next && let Some(turn) = self.take(call) {
            return Entered::Now(turn);
        }
        let now = Instant::now();
        let (number, length) = queues[line].best(call.key, now);
        let Some(place) = self.place(&mut queues, length, call.key) else {
            return Entered::Never(Full::All);
        };
        self.queued.add_anyway(call.key);
        let place_of_client = self.queued.permit(call.key);
        let (turn, receiver) = oneshot::channel();
        let is_standing = queues[line].stands(number, now);
        let wait = if is_standing { patience.standing } else { patience.usual };
        let until = patience.deadline.map_or(now + wait, |deadline| deadline.min(now + wait));
        let waiter = Waiter { turn, until, _counted: [place, place_of_client] };
        match queues[line].push(number, call.key, call.cost, waiter, now) {
            Ok(spot) => {
                self.waiting[line].store(queues[line].count(), SeqCst);
                self.bound.begin_waiting();
                Entered::Later(Ticket { spot, turn: receiver, wait, until, begun: now })
            }
            Err(_) => Entered::Never(Full::All),
        }
    }

    /// A place among all that wait: where none is free, that of the newest in the longest queue, of works before reads,
    /// unless the call would make its own queue as long.
    fn place(
        &self,
        queues: &mut [Queues<Waiter>; WAITING.len()],
        length: usize,
        key: u64,
    ) -> Option<Permit> {
        if self.queue.used() >= self.queue.limit() {
            let longest = (0..WAITING.len()).rev().find_map(|line| {
                let evicted = queues[line].evict(length + 1, key)?;
                self.one_left(&queues[line], line);
                Some(evicted)
            });
            // Its sender goes with it: who waits is told.
            drop(longest);
        }
        self.queue.try_take()
    }

    /// A share and a permit at once.
    fn take(&self, call: Candidate) -> Option<Turn> {
        if !self.under_way.add(call.key, self.client_calls_max.load(SeqCst)) {
            return None;
        }
        match self.permit(call.class) {
            Ok(permit) => Some(Turn { share: self.under_way.permit(call.key), permit }),
            Err(NonePermit) => {
                // Whoever has the permits tells of them: there is nobody to tell of this share.
                self.under_way.subtract(call.key);
                None
            }
        }
    }

    fn permit(&self, class: Class) -> Result<Option<Permit>, NonePermit> {
        if !self.is_bounded.load(SeqCst) {
            return Ok(None);
        }
        self.bound.try_take(class).map(Some).ok_or(NonePermit)
    }

    /// Whether the client of one who waits may have one more under way.
    fn somebody_may_come(&self, queues: &mut Queues<Waiter>) -> bool {
        let limit = self.client_calls_max.load(SeqCst);
        queues.turn(|entry| self.under_way.of(entry.key) < limit)
    }

    /// Gives out turns for as long as there are permits and somebody who may come.
    fn serve(&self, line: usize) {
        while self.waiting[line].load(SeqCst) > 0 {
            let Some((waiter, turn)) = self.next(line) else { return };
            // Who is gone by now gives it back here, outside of the lock, and has the others look again.
            drop(waiter.turn.send(turn));
        }
    }

    fn next(&self, line: usize) -> Option<(Waiter, Turn)> {
        let mut queues = self.queues.lock();
        let queues = &mut queues[line];
        let now = Instant::now();
        while self.somebody_may_come(queues) {
            let first = queues.first()?;
            let is_there = first.item.is_there(now);
            let call = Candidate { key: first.key, class: WAITING[line], cost: first.cost };
            // Work that nobody wants any more is dropped before it is done.
            let turn = if is_there { Some(self.take(call)?) } else { None };
            let entry = queues.pop()?;
            self.one_left(queues, line);
            if let Some(turn) = turn {
                return Some((entry.item, turn));
            }
        }
        None
    }

    fn one_left(&self, queues: &Queues<Waiter>, line: usize) {
        self.waiting[line].store(queues.count(), SeqCst);
        self.bound.end_waiting();
    }

    /// Takes one out that waits no more.
    pub(super) fn leave(&self, class: Class, spot: Spot) {
        let line = line(class);
        let mut queues = self.queues.lock();
        let left = queues[line].remove(spot);
        if left.is_some() {
            self.one_left(&queues[line], line);
        }
        // It may have stood before others, and large ones make others wait.
        drop(queues);
        drop(left);
        self.serve(line);
    }

    /// A share of the client whether there is one or not, and how many it had: for who only counts.
    pub(super) fn take_share_anyway(&self, key: u64) -> (Permit, u32) {
        let before = self.under_way.add_anyway(key);
        (self.under_way.permit(key), before)
    }

    /// Whether a client has as many under way as it may.
    pub(super) fn has_its_share(&self, key: u64) -> bool {
        self.under_way.of(key) >= self.client_calls_max.load(Relaxed)
    }

    /// When there may be a permit for one more call of this client: what stands before it, by the mean time that calls
    /// take, in as many lanes as it can use.
    pub(super) fn retry_after(&self, key: u64, class: Class) -> Duration {
        let line = line(class);
        let own = u64::from(self.queued.of(key));
        let all = self.waiting[line].load(Relaxed) as u64;
        let calls =
            if self.is_bounded.load(Relaxed) { self.bound.limit_of(class) } else { usize::MAX };
        let share = self.client_calls_max.load(Relaxed) as usize;
        let (ahead, lanes) = match self.has_its_share(key) {
            true => (own, calls.min(share)),
            // In turns with all others.
            false => (all, calls),
        };
        let wait = self.mean.of(ahead + 1, lanes as u64);
        wait.clamp(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Waiters for Shared {
    fn look_again(&self) {
        (0..WAITING.len()).for_each(|line| self.serve(line));
    }
}

/// There is no permit for this class now.
#[derive(Debug)]
struct NonePermit;

/// Where a class waits; all that is not a read waits as work.
const fn line(class: Class) -> usize {
    match class {
        Class::Read => 0,
        Class::Control | Class::Work | Class::Stream => 1,
    }
}
