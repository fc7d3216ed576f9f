//! The queues of one class: who waits where, and whose turn it is. Plain data: no clock, no lock, no waking.
//!
//! Each client has a hand of eight queues out of 128, dealt by its key, and waits in one of them that nobody else fills:
//! a few greedy clients fill some of the queues, and hardly ever the whole hand of another. (Shuffle sharding as in the API Priority
//! and Fairness of Kubernetes: four greedy clients hold all queues of another with a chance of 3.4 in a million.) Turns
//! go round the queues that are not empty, by deficit round robin (Shreedhar and Varghese, 1995): a queue whose calls
//! are large gets fewer turns. A queue in which nobody waited for a whole round comes first, once: who calls seldom
//! waits for nobody's backlog (FQ-CoDel, RFC 8290, section 4.2).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Queues of a class.
pub(super) const QUEUES: usize = 128;
/// Queues of a client.
pub(super) const HAND: usize = 8;
/// Most entries of a queue.
pub(super) const LENGTH: usize = 16;
/// What a queue may spend in each of its turns: one small call.
const QUANTUM: u32 = 1;
/// A queue that was not empty for so long stands.
const STANDING: Duration = Duration::from_millis(100);

/// One who waits.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// The client.
    pub(super) key: u64,
    /// How many turns it takes, at least one.
    pub(super) cost: u32,
    /// Tells it from all others.
    pub(super) ticket: u64,
    /// What is kept for it.
    pub(super) item: T,
}

/// Where one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    queue: usize,
    ticket: u64,
}

#[derive(Debug)]
struct Queue<T> {
    entries: VecDeque<Entry<T>>,
    /// What it may still spend.
    deficit: u32,
    /// Since when it is not empty.
    busy_since: Option<Instant>,
    /// Whether it stands in one of the two lists of turns; empty ones do until their turn.
    is_listed: bool,
}

/// The queues of one class.
#[derive(Debug)]
pub(super) struct Queues<T> {
    queues: Box<[Queue<T>]>,
    /// Queues that had not been listed when somebody came: they come before all others, once.
    fresh: VecDeque<usize>,
    /// The others that are listed, in the order of their turns.
    turns: VecDeque<usize>,
    count: usize,
    next_ticket: u64,
}

impl<T> Queues<T> {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        let queue =
            || Queue { entries: VecDeque::new(), deficit: 0, busy_since: None, is_listed: false };
        Self {
            queues: (0..QUEUES).map(|_| queue()).collect(),
            fresh: VecDeque::new(),
            turns: VecDeque::new(),
            count: 0,
            next_ticket: 0,
        }
    }

    /// How many wait.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The queue of a client's hand in which it is best to wait, and its length. While its own newest call is the last
    /// of a queue, that one: whoever sends much gets the turns of one queue and fills one, not eight. Otherwise one that
    /// does not stand, then the shortest, then one that would be fresh.
    pub(super) fn best(&self, key: u64, now: Instant) -> (usize, usize) {
        let rank = |queue: &usize| {
            let Queue { entries, is_listed, .. } = &self.queues[*queue];
            (self.stands(*queue, now), entries.len(), *is_listed)
        };
        let hand = deal(key);
        let is_own = |queue: &&usize| {
            let entries = &self.queues[**queue].entries;
            entries.len() < LENGTH && entries.back().is_some_and(|last| last.key == key)
        };
        let best = hand.iter().find(is_own).or_else(|| hand.iter().min_by_key(|queue| rank(queue)));
        let best = *best.expect("a hand is not empty");
        (best, self.queues[best].entries.len())
    }

    /// Takes the newest entry out of the longest queue for one of another client, if that queue is longer than `length`.
    pub(super) fn evict(&mut self, length: usize, key: u64) -> Option<Entry<T>> {
        let listed = self.fresh.iter().chain(&self.turns);
        let (longest, queue) =
            listed.map(|queue| (self.queues[*queue].entries.len(), *queue)).max()?;
        let entries = &mut self.queues[queue].entries;
        let entry = entries.pop_back_if(|last| longest > length && last.key != key)?;
        self.left(queue);
        Some(entry)
    }

    /// Puts one at the end of a queue of its hand; the item comes back when the queue is full.
    pub(super) fn push(
        &mut self,
        queue: usize,
        key: u64,
        cost: u32,
        item: T,
        now: Instant,
    ) -> Result<Spot, T> {
        let Queue { entries, deficit, busy_since, is_listed } = &mut self.queues[queue];
        if entries.len() >= LENGTH {
            return Err(item);
        }
        if !*is_listed {
            *is_listed = true;
            *deficit = QUANTUM;
            self.fresh.push_back(queue);
        }
        busy_since.get_or_insert(now);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        entries.push_back(Entry { key, cost, ticket, item });
        self.count += 1;
        Ok(Spot { queue, ticket })
    }

    /// Whether a queue was not empty for a while.
    pub(super) fn stands(&self, queue: usize, now: Instant) -> bool {
        let since = self.queues[queue].busy_since;
        since.is_some_and(|since| now.duration_since(since) >= STANDING)
    }

    /// Finds whose turn it is: passes queues over whose first one may not come now. `false`: nobody may.
    pub(super) fn turn(&mut self, may_come: impl Fn(&Entry<T>) -> bool) -> bool {
        let mut passed_over = 0;
        while passed_over < self.fresh.len() + self.turns.len() {
            let Some(number) = self.front() else { return false };
            let queue = &mut self.queues[number];
            let Some(first) = queue.entries.front() else {
                self.forgo(number);
                continue;
            };
            if !may_come(first) {
                passed_over += 1;
                self.end_turn();
            } else if queue.deficit < first.cost {
                passed_over = 0;
                queue.deficit += QUANTUM;
                self.end_turn();
            } else {
                return true;
            }
        }
        false
    }

    fn front(&self) -> Option<usize> {
        self.fresh.front().or_else(|| self.turns.front()).copied()
    }

    /// Moves the first queue behind all others.
    fn end_turn(&mut self) {
        match self.fresh.pop_front() {
            Some(number) => self.turns.push_back(number),
            None => self.turns.rotate_left(1.min(self.turns.len())),
        }
    }

    /// The turn of a queue that is empty: a fresh one stays for a round, so that it is not fresh again at once.
    fn forgo(&mut self, number: usize) {
        if self.fresh.is_empty() {
            self.turns.pop_front();
            self.queues[number].is_listed = false;
        } else {
            self.end_turn();
        }
    }

    /// The first of all, as the last turn found it.
    pub(super) fn first(&self) -> Option<&Entry<T>> {
        self.queues[self.front()?].entries.front()
    }

    /// Takes the first of all out, and ends the turn of its queue if it has nothing left to spend.
    pub(super) fn pop(&mut self) -> Option<Entry<T>> {
        let number = self.front()?;
        let queue = &mut self.queues[number];
        let entry = queue.entries.pop_front()?;
        queue.deficit = queue.deficit.saturating_sub(entry.cost);
        if queue.entries.front().is_none_or(|next| queue.deficit < next.cost) {
            queue.deficit += QUANTUM;
            self.end_turn();
        }
        self.left(number);
        Some(entry)
    }

    /// Takes one out that waits no more; `None` when it was taken out already.
    pub(super) fn remove(&mut self, spot: Spot) -> Option<Entry<T>> {
        let entries = &mut self.queues[spot.queue].entries;
        let at = entries.iter().position(|entry| entry.ticket == spot.ticket)?;
        let entry = entries.remove(at)?;
        self.left(spot.queue);
        Some(entry)
    }

    /// One left this queue.
    fn left(&mut self, number: usize) {
        self.count -= 1;
        let queue = &mut self.queues[number];
        if queue.entries.is_empty() {
            queue.busy_since = None;
        }
    }
}

/// The hand of a client: different queues, each set of them as likely as any other.
fn deal(key: u64) -> [usize; HAND] {
    let mut hand = [0; HAND];
    // Spread anew: other counts go by the same key.
    let mut left = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for dealt in 0..HAND {
        let rest = (QUEUES - dealt) as u64;
        // One of those that are not in the hand yet: those below it, which are in order, move it up.
        let mut card = (left % rest) as usize;
        left /= rest;
        let mut at = 0;
        while at < dealt && hand[at] <= card {
            card += 1;
            at += 1;
        }
        hand.copy_within(at..dealt, at + 1);
        hand[at] = card;
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_is_of_different_queues_and_every_queue_is_dealt() {
        let mut dealt = [0_u32; QUEUES];
        for key in 0..10_000_u64 {
            let hand = deal(key << 20 | key);
            assert!(hand.is_sorted_by(|one, next| one < next), "{hand:?}");
            hand.into_iter().for_each(|queue| dealt[queue] += 1);
        }
        // 625 on the mean, and a standard deviation of 24.
        assert!(dealt.iter().all(|count| (500..750).contains(count)), "{dealt:?}");
    }

    #[test]
    fn large_calls_get_as_many_turns_as_they_cost() {
        let mut queues = Queues::new();
        let now = Instant::now();
        for _ in 0..3 {
            queues.push(0, 1, 4, "large", now).expect("room");
        }
        for _ in 0..8 {
            queues.push(1, 2, 1, "small", now).expect("room");
        }
        let mut order = Vec::new();
        while queues.turn(|_| true) {
            order.extend(queues.pop().map(|entry| entry.item));
        }
        let small = |part: &[&str]| part.iter().filter(|item| **item == "small").count();
        let first = order.iter().position(|item| *item == "large").expect("its turn");
        assert_eq!(first, 3, "{order:?}");
        assert_eq!(small(&order[first..first + 5]), 4, "{order:?}");
    }

    #[test]
    fn a_queue_stands_after_a_while_and_not_after_it_was_empty() {
        let mut queues = Queues::new();
        let now = Instant::now();
        assert!(!queues.stands(0, now));
        let first = queues.push(0, 1, 1, (), now).expect("room");
        assert!(!queues.stands(0, now + STANDING / 2));
        queues.push(0, 1, 1, (), now + STANDING / 2).expect("room");
        assert!(queues.stands(0, now + STANDING) && !queues.stands(1, now + STANDING));
        while queues.turn(|_| true) {
            queues.pop();
        }
        assert!(!queues.stands(0, now + STANDING));
        assert!(queues.remove(first).is_none(), "it had its turn");
    }
}
