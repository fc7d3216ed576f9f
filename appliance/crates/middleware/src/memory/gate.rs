//! The two questions of the layer: whether a class is served now, and whether the ledger has room.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Class, MemoryLevel, Refusal, RefusalKind, Share};
use telemetry::RefusalCounter;

use super::{Config, NAME, State};
use crate::Mode;

/// Bodies up to this size may fill the ledger, and a body that does not declare its size is reserved in such steps.
pub const STEP_BYTES: usize = 64 << 10;

/// When a client may come back for what the ledger has no room for: bodies are gone within a second or two.
const LEDGER_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Judges what both halves of the layer, and the transports, ask.
#[derive(Clone, Debug)]
pub struct Gate {
    mode: Mode,
    state: State,
    /// The percents of the levels, for refusals.
    percents: [u8; 4],
    exhausted: RefusalCounter,
    too_large: RefusalCounter,
}

impl Gate {
    /// A gate that follows `config` and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            mode: config.mode,
            state,
            percents: config.percents().map(|(_, percent)| percent),
            exhausted: RefusalCounter::new(NAME, RefusalKind::MemoryExhausted),
            too_large: RefusalCounter::new(NAME, RefusalKind::PayloadTooLarge),
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether nothing is short, so that nobody need ask what a request is.
    pub(super) fn is_calm(&self) -> bool {
        self.mode == Mode::Off || self.state.level() == MemoryLevel::Calm
    }

    /// Judges whether requests of `class` are served now. One load while nothing is short.
    ///
    /// # Errors
    /// The refusal, when it is to be enforced.
    pub fn check(&self, class: Class) -> Result<(), Refusal> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        let level = self.state.level();
        match refused_from(class) {
            Some(from) if level >= from => {
                self.mode.judge(self.short(level, from), &self.exhausted)
            }
            _ => Ok(()),
        }
    }

    fn short(&self, level: MemoryLevel, from: MemoryLevel) -> Refusal {
        let message = "The server is short of memory; try again later.";
        let retry_after_s = match level {
            MemoryLevel::Calm | MemoryLevel::Soft | MemoryLevel::High => 2,
            MemoryLevel::Hard => 5,
            MemoryLevel::Critical => 10,
        };
        // The percents are those of the levels above calm.
        let percent = self.percents[(from as usize).saturating_sub(1)];
        Refusal::new(RefusalKind::MemoryExhausted, NAME, "process", message)
            .with_limit(u64::from(percent))
            .with_retry_after(Duration::from_secs(retry_after_s))
    }

    /// An empty share of the ledger; `None` when nobody counts.
    #[must_use]
    pub fn share(&self) -> Option<Share> {
        (self.mode != Mode::Off).then(|| Share::none(Arc::clone(self.state.ledger())))
    }

    /// Lets `share` hold a body that has grown to `bytes`, a step at a time.
    ///
    /// # Errors
    /// As [`Gate::reserve`].
    pub fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        if bytes <= share.held() {
            return Ok(());
        }
        self.reserve(share, bytes.checked_next_multiple_of(STEP_BYTES).unwrap_or(bytes))
    }

    /// Lets `share` hold `bytes`. In shadow mode it holds them whether there is room or not.
    ///
    /// # Errors
    /// The refusal, when there is no room and it is to be enforced: one that says when to come back, or 413 for what
    /// could never fit.
    pub fn reserve(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        let limit = self.state.ledger().limit();
        let room = if bytes <= STEP_BYTES { limit } else { limit - limit / 8 };
        if share.resize_below(bytes, room) {
            return Ok(());
        }
        if bytes > room {
            let message = "This server has no memory for a body of this size.";
            let refusal = Refusal::new(RefusalKind::PayloadTooLarge, NAME, "request", message);
            self.mode.judge(refusal.with_limit(room as u64), &self.too_large)?;
        } else {
            let message = "The bodies in the house take all memory for bodies; try again later.";
            let refusal = Refusal::new(RefusalKind::MemoryExhausted, NAME, "request", message)
                .with_limit(limit as u64)
                .with_retry_after(LEDGER_RETRY_AFTER);
            self.mode.judge(refusal, &self.exhausted)?;
        }
        share.resize_anyway(bytes);
        Ok(())
    }
}

/// The level from which on a class is refused. What keeps the protocol going never is: most of it frees memory.
const fn refused_from(class: Class) -> Option<MemoryLevel> {
    match class {
        Class::Control => None,
        Class::Read => Some(MemoryLevel::Critical),
        Class::Work => Some(MemoryLevel::Hard),
        Class::Stream => Some(MemoryLevel::Soft),
    }
}
