//! What outlives a generation: the ledger of bytes, and where the process stands on the ladder.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{Bound, MemoryGauge, MemoryLevel};
use telemetry::kernel::{MemoryReading, MemoryUse};

use super::Config;
use super::ladder::{Ladder, Steps};
use crate::Mode;

/// The most that the ledger holds unless it is told to hold more: above it, bodies are a small part of the memory.
const LEDGER_BYTES_USUAL_MAX: u64 = 2 << 30;

/// The ledger and the ladder.
#[derive(Clone, Debug)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Arc<Bound>,
    /// The level, whatever the mode.
    seen: MemoryGauge,
    /// What everyone outside of the layer heeds: calm unless the layer enforces.
    heeded: Arc<MemoryGauge>,
    /// For the sampler and for scrapes; no call takes it.
    standing: Mutex<Standing>,
}

/// What is known of the memory.
#[derive(Debug)]
struct Standing {
    config: Config,
    ladder: Ladder,
    /// What the last reading said of the limit that is nearest; `None` before the first.
    nearest: Option<MemoryUse>,
    /// The smallest of all limits.
    limit_bytes: u64,
    peak_bytes: u64,
}

/// What the last reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// How short of memory the process is.
    pub level: MemoryLevel,
    /// The limit that is nearest, and how much of it is used.
    pub nearest: MemoryUse,
    /// The most bytes that were ever in use.
    pub peak_bytes: u64,
}

impl State {
    /// Nothing reserved and nothing known: calm, and a ledger as it is with plenty of memory.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let standing = Standing {
            config: config.clone(),
            ladder: Ladder::default(),
            nearest: None,
            limit_bytes: u64::MAX,
            peak_bytes: 0,
        };
        Self(Arc::new(Inner {
            ledger: Bound::new("memory_ledger_bytes", standing.ledger_bytes_max()),
            seen: MemoryGauge::calm(),
            heeded: Arc::default(),
            standing: Mutex::new(standing),
        }))
    }

    /// Follows new settings. What is reserved above a lowered bound stays until its bodies are gone; new steps count
    /// from the next reading on.
    pub fn follow(&self, config: &Config) {
        let mut standing = self.standing();
        standing.config = config.clone();
        self.0.ledger.set_limit(standing.ledger_bytes_max());
        self.show(config.mode, self.0.seen.level(), self.0.seen.idle_permille());
    }

    /// Takes in what the kernel says now. Returns the level before and the level from now on.
    pub fn observe(&self, reading: &MemoryReading) -> (MemoryLevel, MemoryLevel) {
        let mut standing = self.standing();
        let (level, idle_permille) = standing.observe(reading);
        self.0.ledger.set_limit(standing.ledger_bytes_max());
        let before = self.0.seen.level();
        self.show(standing.config.mode, level, idle_permille);
        (before, level)
    }

    fn show(&self, mode: Mode, level: MemoryLevel, idle_permille: u16) {
        let inner = &self.0;
        match mode {
            Mode::Off => inner.seen.set(MemoryLevel::Calm, MemoryGauge::WHOLE_PERMILLE),
            Mode::Enforce | Mode::Shadow => inner.seen.set(level, idle_permille),
        }
        match mode {
            Mode::Enforce => inner.heeded.set(level, idle_permille),
            Mode::Shadow | Mode::Off => {
                inner.heeded.set(MemoryLevel::Calm, MemoryGauge::WHOLE_PERMILLE);
            }
        }
    }

    /// The level that the layer judges by: one load.
    pub(super) fn level(&self) -> MemoryLevel {
        self.0.seen.level()
    }

    /// The level that everyone outside of the layer heeds.
    #[must_use]
    pub fn gauge(&self) -> &Arc<MemoryGauge> {
        &self.0.heeded
    }

    /// The ledger: bytes of all bodies and answers in the house.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Bound> {
        &self.0.ledger
    }

    /// What the last reading came to; `None` before the first.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        let standing = self.standing();
        let nearest = standing.nearest?;
        Some(Status { level: self.0.seen.level(), nearest, peak_bytes: standing.peak_bytes })
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn ledger_bytes_max(&self) -> usize {
        let usual = || (self.limit_bytes / 4).min(LEDGER_BYTES_USUAL_MAX);
        let bytes = self.config.ledger_bytes_max.map_or_else(usual, |size| size.0);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The level, and the part of their time for which idle connections are kept.
    fn observe(&mut self, reading: &MemoryReading) -> (MemoryLevel, u16) {
        // What was asked for is of the process; its groups and the machine have limits of their own.
        let cap_bytes = self.config.limit_bytes.map_or(u64::MAX, |size| size.0);
        let process = MemoryUse {
            limit_bytes: reading.process.limit_bytes.min(cap_bytes),
            ..reading.process
        };
        let uses = || reading.groups.iter().copied().chain([process]);
        let nearest = uses().max_by_key(|of| of.basis_points()).unwrap_or(process);
        self.limit_bytes = uses().map(|of| of.limit_bytes).min().unwrap_or(u64::MAX);
        self.nearest = Some(nearest);
        self.peak_bytes = self.peak_bytes.max(nearest.used_bytes);
        let (steps, points) = (Steps::new(&self.config), nearest.basis_points());
        let level = self.ladder.climb(&steps, points, reading.stalled_percent);
        (level, steps.idle_permille(level, points))
    }
}
