//! From how much is used to a level: up at once, down only when there is some room again.

use protocol::{MemoryGauge, MemoryLevel};

use super::Config;

/// How far below its step a level is left, so that it does not flutter around it.
pub(super) const HYSTERESIS_PERCENT: u32 = 3;

/// From this share of waiting on, in percent, memory is shorter than its use says; ten seconds of it are looked at.
const STALLED_PERCENT: f32 = 10.0;

/// Where the levels begin, in hundredths of a percent of the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps([(u32, MemoryLevel); 4]);

impl Steps {
    pub(super) fn new(config: &Config) -> Self {
        let [soft, high, hard, critical] =
            config.percents().map(|(_, percent)| u32::from(percent) * 100);
        Self([
            (soft, MemoryLevel::Soft),
            (high, MemoryLevel::High),
            (hard, MemoryLevel::Hard),
            (critical, MemoryLevel::Critical),
        ])
    }

    /// The level whose step is reached at so many hundredths of a percent.
    fn reached(&self, points: u32) -> MemoryLevel {
        let reached = self.0.iter().rev().find(|(step, _)| points >= *step);
        reached.map_or(MemoryLevel::Calm, |(_, level)| *level)
    }

    /// The level that follows `current`.
    fn next(&self, current: MemoryLevel, points: u32) -> MemoryLevel {
        let most = self.reached(points.saturating_add(HYSTERESIS_PERCENT * 100));
        current.clamp(self.reached(points), most)
    }

    /// For what part of its time an idle connection is kept: half of it from soft on, and from high on ever less, down
    /// to nothing at critical.
    pub(super) fn idle_permille(&self, level: MemoryLevel, points: u32) -> u16 {
        const HALF: u32 = MemoryGauge::WHOLE_PERMILLE as u32 / 2;
        let [_, (high, _), _, (critical, _)] = self.0;
        match level {
            MemoryLevel::Calm => MemoryGauge::WHOLE_PERMILLE,
            MemoryLevel::Soft => HALF as u16,
            MemoryLevel::High | MemoryLevel::Hard => {
                let left = critical.saturating_sub(points.max(high));
                (HALF * left / (critical - high).max(1)) as u16
            }
            MemoryLevel::Critical => 0,
        }
    }
}

/// Where the process stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ladder {
    /// By use alone.
    level: MemoryLevel,
    is_stalled: bool,
}

impl Ladder {
    /// Takes in how much is used, in hundredths of a percent, and how much waits for memory, in percent.
    pub(super) fn climb(
        &mut self,
        steps: &Steps,
        points: u32,
        stalled_percent: f32,
    ) -> MemoryLevel {
        self.level = steps.next(self.level, points);
        let threshold =
            STALLED_PERCENT - if self.is_stalled { HYSTERESIS_PERCENT as f32 } else { 0.0 };
        self.is_stalled = stalled_percent > threshold;
        if self.is_stalled { self.level.raised() } else { self.level }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps() -> Steps {
        Steps::new(&Config::default())
    }

    /// The levels that such uses lead to, one after another.
    fn climbed(uses: &[u32]) -> Vec<&'static str> {
        let (mut ladder, steps) = (Ladder::default(), steps());
        uses.iter().map(|percent| ladder.climb(&steps, percent * 100, 0.0).as_str()).collect()
    }

    #[test]
    fn every_step_begins_its_level() {
        let uses = [79, 80, 84, 85, 89, 90, 94, 95, 200];
        let levels =
            ["calm", "soft", "soft", "high", "high", "hard", "hard", "critical", "critical"];
        assert_eq!(climbed(&uses), levels);
    }

    #[test]
    fn a_level_is_left_three_percent_below_its_step() {
        assert_eq!(
            climbed(&[90, 88, 87, 86, 82, 81]),
            ["hard", "hard", "hard", "high", "high", "soft"]
        );
        assert_eq!(climbed(&[80, 77, 76]), ["soft", "soft", "calm"]);
    }

    #[test]
    fn a_jump_is_followed_at_once_in_both_directions() {
        assert_eq!(climbed(&[10, 99, 10]), ["calm", "critical", "calm"]);
    }

    #[test]
    fn waiting_for_memory_raises_one_level_until_it_is_clearly_over() {
        let (mut ladder, steps) = (Ladder::default(), steps());
        let mut level = |percent: u32, stalled| ladder.climb(&steps, percent * 100, stalled);
        assert_eq!(level(50, 10.0), MemoryLevel::Calm);
        assert_eq!(level(50, 10.1), MemoryLevel::Soft);
        assert_eq!(level(90, 7.1), MemoryLevel::Critical);
        assert_eq!(level(90, 7.0), MemoryLevel::Hard);
        assert_eq!(level(90, 8.0), MemoryLevel::Hard);
        assert_eq!(level(50, 0.0), MemoryLevel::Calm);
    }

    #[test]
    fn idle_connections_are_kept_for_ever_less() {
        let of = |level, percent: u32| steps().idle_permille(level, percent * 100);
        assert_eq!(of(MemoryLevel::Calm, 50), 1_000);
        assert_eq!(of(MemoryLevel::Soft, 80), 500);
        assert_eq!(of(MemoryLevel::High, 83), 500);
        assert_eq!(of(MemoryLevel::High, 85), 500);
        assert_eq!(of(MemoryLevel::Hard, 90), 250);
        assert_eq!(of(MemoryLevel::Hard, 95), 0);
        assert_eq!(of(MemoryLevel::Critical, 92), 0);
    }

    /// Ascending percents, each within its range.
    fn any_config() -> impl Strategy<Value = Config> {
        prop::collection::btree_set(10u8..=100, 4).prop_map(|percents| {
            let percents: Vec<_> = percents.into_iter().collect();
            Config {
                soft_percent: percents[0],
                high_percent: percents[1],
                hard_percent: percents[2],
                critical_percent: percents[3],
                ..Config::default()
            }
        })
    }

    proptest! {
        #[test]
        fn a_level_always_lies_between_its_step_and_the_room_below_it(
            config in any_config(),
            uses in prop::collection::vec(0u32..12_000, 1..64),
        ) {
            prop_assert!(config.problems().is_empty());
            let (steps, mut ladder) = (Steps::new(&config), Ladder::default());
            let mut before = MemoryLevel::Calm;
            for points in uses {
                let level = ladder.climb(&steps, points, 0.0);
                prop_assert!(level >= steps.reached(points), "a step that is reached holds");
                prop_assert!(level <= steps.reached(points + HYSTERESIS_PERCENT * 100));
                if level > before {
                    prop_assert_eq!(level, steps.reached(points), "it climbs no further than it must");
                }
                if level < before {
                    let left = steps.0[before as usize - 1].0;
                    prop_assert!(points + HYSTERESIS_PERCENT * 100 < left, "it leaves with room");
                }
                before = level;
            }
        }

        #[test]
        fn more_use_never_leads_to_a_lower_level_or_to_more_time(
            config in any_config(),
            begin in 0u32..12_000,
            low in 0u32..12_000,
            more in 0u32..4_000,
            stalled in 0.0f32..20.0,
        ) {
            let steps = Steps::new(&config);
            let after = |points| {
                let mut ladder = Ladder::default();
                ladder.climb(&steps, begin, 0.0);
                let level = ladder.climb(&steps, points, stalled);
                (level, steps.idle_permille(level, points))
            };
            let ((level, idle), (higher, less)) = (after(low), after(low + more));
            prop_assert!(higher >= level && less <= idle, "{level:?} {idle} {higher:?} {less}");
        }

        #[test]
        fn waiting_raises_by_exactly_one_level(
            config in any_config(),
            points in 0u32..12_000,
            stalled in 10.1f32..100.0,
        ) {
            let steps = Steps::new(&config);
            let calm = Ladder::default().climb(&steps, points, 0.0);
            prop_assert_eq!(Ladder::default().climb(&steps, points, stalled), calm.raised());
        }
    }
}
