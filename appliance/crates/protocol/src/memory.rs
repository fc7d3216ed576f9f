//! How short of memory the process is: written by one sampler, read by everyone with one load.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How short of memory the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MemoryLevel {
    /// Not at all.
    #[default]
    Calm,
    /// No new streams, and idle connections are kept for half as long.
    Soft,
    /// Idle connections are kept for a fraction of their time.
    High,
    /// No new work.
    Hard,
    /// Nothing but what keeps the protocol going, and no new connections.
    Critical,
}

impl MemoryLevel {
    /// Every level, the calmest first.
    pub const ALL: [Self; 5] = [Self::Calm, Self::Soft, Self::High, Self::Hard, Self::Critical];

    /// The name in answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Soft => "soft",
            Self::High => "high",
            Self::Hard => "hard",
            Self::Critical => "critical",
        }
    }

    /// The level above; the highest has none.
    #[must_use]
    pub const fn raised(self) -> Self {
        match self {
            Self::Calm => Self::Soft,
            Self::Soft => Self::High,
            Self::High => Self::Hard,
            Self::Hard | Self::Critical => Self::Critical,
        }
    }
}

/// The level that everyone heeds, and for what part of their time idle connections are kept.
///
/// Both are one number, so that no reader sees one of now and the other of a moment ago.
#[derive(Debug)]
pub struct MemoryGauge(AtomicU32);

impl MemoryGauge {
    /// All of a time, in thousandths.
    pub const WHOLE_PERMILLE: u16 = 1_000;

    /// A calm gauge.
    #[must_use]
    pub const fn calm() -> Self {
        Self(AtomicU32::new(Self::packed(MemoryLevel::Calm, Self::WHOLE_PERMILLE)))
    }

    const fn packed(level: MemoryLevel, idle_permille: u16) -> u32 {
        (level as u32) << 16 | idle_permille as u32
    }

    /// Says what holds from now on. `idle_permille` is the part of its time for which an idle connection is kept, in
    /// thousandths.
    pub fn set(&self, level: MemoryLevel, idle_permille: u16) {
        self.0.store(Self::packed(level, idle_permille), Relaxed);
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> MemoryLevel {
        match self.0.load(Relaxed) >> 16 {
            0 => MemoryLevel::Calm,
            1 => MemoryLevel::Soft,
            2 => MemoryLevel::High,
            3 => MemoryLevel::Hard,
            _ => MemoryLevel::Critical,
        }
    }

    /// For what part of its time an idle connection is kept, in thousandths.
    #[must_use]
    pub fn idle_permille(&self) -> u16 {
        (self.0.load(Relaxed) & 0xffff) as u16
    }
}

impl Default for MemoryGauge {
    fn default() -> Self {
        Self::calm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_set() {
        let gauge = MemoryGauge::calm();
        assert_eq!((gauge.level(), gauge.idle_permille()), (MemoryLevel::Calm, 1_000));
        for level in MemoryLevel::ALL {
            for permille in [0, 1, 999, 1_000] {
                gauge.set(level, permille);
                assert_eq!((gauge.level(), gauge.idle_permille()), (level, permille));
            }
        }
    }

    #[test]
    fn raising_goes_one_level_up_and_ends_at_the_highest() {
        for pair in MemoryLevel::ALL.windows(2) {
            assert_eq!(pair[0].raised(), pair[1]);
        }
        assert_eq!(MemoryLevel::Critical.raised(), MemoryLevel::Critical);
    }
}
