//! The calls that a plugin has: numbered places, so that a late, doubled or forged completion meets a number that is
//! no longer valid, and nothing worse.
//!
//! A handle is `serial << 32 | index`. Whoever takes a place out of the state `Open` decides how the call ends: the
//! plugin by completing it, the host by giving it up. A place that the host gave up stays taken until the plugin has
//! let go of it too, so that calls which never end count against the plugin's own bound.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use plugin_abi::{CallHandle, E_CANCELLED, E_STALE, OK, Rc};
use protocol::sync::Mutex;
use protocol::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use protocol::sync::atomic::{AtomicU64, AtomicUsize};
use protocol::{Event, EventSender, Lease, LogLevel};

/// What a plugin gave as the end of a call: taken over, not yet believed.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    pub(crate) status: i32,
    pub(crate) format: u32,
    pub(crate) is_public: bool,
    pub(crate) ttl_ms: u32,
    pub(crate) body: Bytes,
    pub(crate) state: Bytes,
    pub(crate) mime: Option<Box<str>>,
}

/// What the host functions need to know of a running call.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) events: Option<EventSender>,
    pub(crate) wants_progress: bool,
    pub(crate) log_level: Option<LogLevel>,
}

#[derive(Debug)]
enum State {
    Free,
    /// The plugin has it, and somebody waits.
    Open {
        listener: Listener,
        waker: Option<Waker>,
        last_progress: f64,
    },
    /// The plugin has ended it; the host has not looked yet.
    Ended(Result<Completion, BadResult>),
    /// The host has given it up; the plugin has not let go.
    Abandoned,
}

/// The plugin's result describes nothing that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadResult(pub(crate) &'static str);

#[derive(Debug)]
struct Slot {
    serial: u32,
    state: State,
    /// Given back with the place.
    lease: Option<Lease>,
}

/// What happened in a plugin, counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) stale_completions: AtomicU64,
    pub(crate) rejected_results: AtomicU64,
    pub(crate) large_results: AtomicU64,
    pub(crate) dropped_events: AtomicU64,
    pub(crate) dropped_notices: AtomicU64,
    pub(crate) overruns: AtomicU64,
    pub(crate) demoted_tools: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) busy: AtomicU64,
    in_flight: AtomicUsize,
    abandoned: AtomicUsize,
}

/// The counters of a plugin at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Calls begun.
    pub calls: u64,
    /// Completions of calls that were over.
    pub stale_completions: u64,
    /// Results that were not what they claimed to be.
    pub rejected_results: u64,
    /// Results that were above their cap.
    pub large_results: u64,
    /// Progress and messages that nobody had room for.
    pub dropped_events: u64,
    /// Change notices that nobody had room for.
    pub dropped_notices: u64,
    /// Non-blocking calls that blocked.
    pub overruns: u64,
    /// Tools that were moved to the plugin's own threads for it.
    pub demoted_tools: u64,
    /// Calls that the plugin's own deadline ended.
    pub timeouts: u64,
    /// Calls refused because every place was taken.
    pub busy: u64,
    /// Calls that the plugin has now.
    pub in_flight: usize,
    /// Of those, calls that nobody waits for any more.
    pub abandoned: usize,
}

impl Counters {
    /// Calls that somebody still waits for, those inside the plugin on a thread that serves included.
    pub(crate) fn awaited(&self) -> usize {
        // In this order: a call that is given up in between counts for too many, never for too few.
        let in_flight = self.in_flight.load(SeqCst);
        in_flight.saturating_sub(self.abandoned.load(Acquire))
    }

    pub(crate) fn snapshot(&self) -> CounterSnapshot {
        CounterSnapshot {
            calls: self.calls.load(Relaxed),
            stale_completions: self.stale_completions.load(Relaxed),
            rejected_results: self.rejected_results.load(Relaxed),
            large_results: self.large_results.load(Relaxed),
            dropped_events: self.dropped_events.load(Relaxed),
            dropped_notices: self.dropped_notices.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            demoted_tools: self.demoted_tools.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            busy: self.busy.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }
}

/// The places of one plugin.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Box<[Mutex<Slot>]>,
    free: ArrayQueue<u32>,
    counters: Arc<Counters>,
}

impl Slots {
    pub(crate) fn new(count: usize, counters: Arc<Counters>) -> Self {
        let count = count.max(1);
        let free = ArrayQueue::new(count);
        for index in 0..count as u32 {
            // As many places as numbers: never full.
            free.push(index).ok();
        }
        let slots = (0..count)
            .map(|_| Mutex::new(Slot { serial: 1, state: State::Free, lease: None }))
            .collect();
        Self { slots, free, counters }
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Opens a call and keeps its lease until the place is free again; `None` when every place is taken.
    pub(crate) fn open(&self, listener: Listener, lease: Option<Lease>) -> Option<CallHandle> {
        let index = self.free.pop()?;
        let mut slot = self.slots[index as usize].lock();
        slot.lease = lease;
        slot.state = State::Open { listener, waker: None, last_progress: f64::NEG_INFINITY };
        self.counters.calls.fetch_add(1, Relaxed);
        // In one order with the mark of a stopped plugin, see `Plugin::call`.
        self.counters.in_flight.fetch_add(1, SeqCst);
        Some(u64::from(slot.serial) << 32 | u64::from(index))
    }

    /// Runs `act` on the place that `handle` names, if the handle is alive.
    fn with<T>(&self, handle: CallHandle, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let slot = self.slots.get((handle & u64::from(u32::MAX)) as usize)?;
        let mut slot = slot.lock();
        (u64::from(slot.serial) == handle >> 32).then(|| act(&mut slot.state))
    }

    /// Frees a place; its number will never be valid again. Whoever ends the call does this once.
    pub(crate) fn free(&self, handle: CallHandle) {
        let index = (handle & u64::from(u32::MAX)) as u32;
        let mut slot = self.slots[index as usize].lock();
        slot.state = State::Free;
        // Zero is no call.
        slot.serial = slot.serial.wrapping_add(1).max(1);
        let lease = slot.lease.take();
        drop(slot);
        // Release: whoever sees that no call is left sees everything that the plugin did in it.
        self.counters.in_flight.fetch_sub(1, Release);
        self.free.push(index).ok();
        // Last: whoever gets its place finds one here.
        drop(lease);
    }

    /// The plugin ends a call.
    pub(crate) fn complete(&self, handle: CallHandle, result: Result<Completion, BadResult>) -> Rc {
        enum Next {
            Wake(Option<Waker>),
            Free,
            Stale,
        }
        let next = self.with(handle, |state| match state {
            State::Open { waker, .. } => {
                let waker = waker.take();
                *state = State::Ended(result);
                Next::Wake(waker)
            }
            // Marked under the lock: of two late completions at once, one frees the place.
            State::Abandoned => {
                *state = State::Free;
                Next::Free
            }
            State::Ended(_) | State::Free => Next::Stale,
        });
        match next {
            Some(Next::Wake(waker)) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                return OK;
            }
            Some(Next::Free) => {
                self.counters.abandoned.fetch_sub(1, Relaxed);
                self.free(handle);
            }
            Some(Next::Stale) | None => {}
        }
        self.counters.stale_completions.fetch_add(1, Relaxed);
        E_STALE
    }

    /// The end of a call, if it has come; frees its place.
    pub(crate) fn take(&self, handle: CallHandle) -> Option<Result<Completion, BadResult>> {
        let ended = self.with(handle, |state| match state {
            State::Ended(_) => match std::mem::replace(state, State::Free) {
                State::Ended(result) => Some(result),
                State::Free | State::Open { .. } | State::Abandoned => None,
            },
            State::Free | State::Open { .. } | State::Abandoned => None,
        });
        let result = ended.flatten()?;
        self.free(handle);
        Some(result)
    }

    /// Asks to be woken when the call ends.
    pub(crate) fn wake_by(&self, handle: CallHandle, by: &Waker) {
        self.with(handle, |state| {
            if let State::Open { waker, .. } = state {
                match waker {
                    Some(waker) => waker.clone_from(by),
                    None => *waker = Some(by.clone()),
                }
            }
        });
    }

    /// Wakes whoever waits for a call, so that they look again at whether they still want to.
    pub(crate) fn wake_all(&self) {
        for slot in &self.slots {
            let waker = match &mut slot.lock().state {
                State::Open { waker, .. } => waker.take(),
                State::Ended(_) | State::Free | State::Abandoned => None,
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The host gives a call up. `true` when the plugin still has it and should be told.
    pub(crate) fn give_up(&self, handle: CallHandle) -> bool {
        let was_open = self.with(handle, |state| match state {
            State::Open { .. } => {
                *state = State::Abandoned;
                // Under the lock: a completion that comes next counts it out again, and below zero it would hide
                // every call that is awaited.
                self.counters.abandoned.fetch_add(1, Release);
                Some(true)
            }
            State::Ended(_) => Some(false),
            State::Free | State::Abandoned => None,
        });
        if was_open == Some(Some(false)) {
            self.free(handle);
        }
        was_open == Some(Some(true))
    }

    /// A call that was given up holds its place beyond its deadline; its lender is told, unless the plugin has let go
    /// of it meanwhile.
    pub(crate) fn mark_stuck(&self, handle: CallHandle) {
        let Some(slot) = self.slots.get((handle & u64::from(u32::MAX)) as usize) else { return };
        let mut slot = slot.lock();
        if u64::from(slot.serial) == handle >> 32
            && let Some(lease) = &mut slot.lease
        {
            lease.mark_stuck();
        }
    }

    /// The plugin never got the call: what was given up is free again. `false` when somebody still waits for it, or
    /// it is over.
    pub(crate) fn let_go(&self, handle: CallHandle) -> bool {
        let was_abandoned = self.with(handle, |state| {
            let is_abandoned = matches!(state, State::Abandoned);
            if is_abandoned {
                *state = State::Free;
            }
            is_abandoned
        });
        if was_abandoned != Some(true) {
            return false;
        }
        self.counters.abandoned.fetch_sub(1, Relaxed);
        self.free(handle);
        true
    }

    /// Whether a call is still wanted.
    pub(crate) fn check(&self, handle: CallHandle) -> Rc {
        let found = self.with(handle, |state| match state {
            State::Open { listener, .. } => {
                // A reader that is gone is as good as a cancellation that is on its way.
                let is_deaf =
                    listener.events.as_ref().is_some_and(tokio::sync::mpsc::Sender::is_closed);
                if is_deaf { E_CANCELLED } else { OK }
            }
            State::Abandoned => E_CANCELLED,
            State::Ended(_) | State::Free => E_STALE,
        });
        found.unwrap_or(E_STALE)
    }

    /// Passes progress on when it increases and the client wants it.
    pub(crate) fn progress(
        &self,
        handle: CallHandle,
        now: f64,
        event: impl FnOnce() -> Event,
    ) -> Rc {
        let rc = self.check(handle);
        if rc != OK {
            return rc;
        }
        self.with(handle, |state| {
            if let State::Open { listener, last_progress, .. } = state
                && listener.wants_progress
                && now > *last_progress
            {
                *last_progress = now;
                self.send(listener, event());
            }
        });
        OK
    }

    /// Passes a message on when the client wants to hear of its level; `None` is for every client.
    pub(crate) fn tell(
        &self,
        handle: CallHandle,
        level: Option<LogLevel>,
        event: impl FnOnce() -> Event,
    ) -> Rc {
        let rc = self.check(handle);
        if rc != OK {
            return rc;
        }
        self.with(handle, |state| {
            if let State::Open { listener, .. } = state {
                let is_wanted = level
                    .is_none_or(|level| listener.log_level.is_some_and(|least| level >= least));
                if is_wanted {
                    self.send(listener, event());
                }
            }
        });
        OK
    }

    fn send(&self, listener: &Listener, event: Event) {
        if let Some(events) = &listener.events
            && events.try_send(event).is_err()
        {
            self.counters.dropped_events.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
#[cfg(test)]
mod tests;
