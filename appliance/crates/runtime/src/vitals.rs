//! Whether the process lives and serves: written by the data plane, read by the control plane, atomics only.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Building its first generation.
    Starting,
    /// Serving.
    Ready,
    /// Serving, and about to stop: load balancers are told to look elsewhere.
    Leaving,
    /// Finishing what it has; nothing new.
    Draining,
}

impl Phase {
    /// The name in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Draining => "draining",
        }
    }
}

/// Signs of life.
#[derive(Debug)]
pub struct Vitals {
    started: Instant,
    /// Milliseconds after `started` at which the data plane last ran.
    beat_ms: AtomicU64,
    phase: AtomicU8,
    generation: AtomicU64,
}

impl Vitals {
    /// How often the data plane beats.
    pub const BEAT: Duration = Duration::from_millis(250);
    /// From which age of the last beat on the data plane counts as dead: twenty beats missed.
    pub const DEAD_AFTER: Duration = Duration::from_secs(5);

    /// A process that is starting, with a fresh beat.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            beat_ms: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Starting as u8),
            generation: AtomicU64::new(0),
        }
    }

    /// Marks that the data plane runs.
    pub fn beat(&self) {
        self.beat_ms.store(self.started.elapsed().as_millis() as u64, Relaxed);
    }

    /// How long ago the data plane last ran.
    #[must_use]
    pub fn heartbeat_age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.beat_ms.load(Relaxed)))
    }

    /// How long the process has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Leaving,
            _ => Phase::Draining,
        }
    }

    /// Notes which generation serves.
    pub fn set_generation(&self, number: u64) {
        self.generation.store(number, Relaxed);
    }

    /// Number of the generation that serves; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}

impl Default for Vitals {
    fn default() -> Self {
        Self::new()
    }
}
