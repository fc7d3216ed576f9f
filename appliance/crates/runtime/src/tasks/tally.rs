//! How tasks ended.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use protocol::TaskStatus;

/// Counts ended tasks.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; ENDS.len()]);

/// The ways in which a task may end.
const ENDS: [TaskStatus; 3] = [TaskStatus::Completed, TaskStatus::Failed, TaskStatus::Cancelled];

impl Tally {
    pub(super) fn count(&self, end: TaskStatus) {
        if let Some(at) = ENDS.iter().position(|known| *known == end) {
            self.0[at].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn counts(&self) -> [(TaskStatus, u64); ENDS.len()] {
        std::array::from_fn(|at| (ENDS[at], self.0[at].load(Relaxed)))
    }
}
