//! A call that only its cancellation ends, and the memory of such calls.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_sdk::prelude::*;

/// Beyond it nothing is remembered: these marks are for tests, and each is asked for once.
const MARKS_MAX: usize = 1024;

/// Marks of calls that were ended while they waited.
#[derive(Default)]
pub(crate) struct Ended(Mutex<BTreeSet<String>>);

impl Ended {
    /// Tells the client that the work has begun, and works for ever.
    pub(crate) async fn wait(&self, ctx: &Context, mark: String) -> Result<String> {
        let _waiting = Waiting { ended: self, mark };
        ctx.progress(1.0, None, "Waiting to be cancelled.")?;
        std::future::pending().await
    }

    /// Whether a call with this mark was ended since this was last asked.
    pub(crate) fn take(&self, mark: &str) -> bool {
        self.marks().remove(mark)
    }

    fn marks(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped with the work itself, whatever ends it.
struct Waiting<'a> {
    ended: &'a Ended,
    mark: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut marks = self.ended.marks();
        if marks.len() < MARKS_MAX {
            marks.insert(std::mem::take(&mut self.mark));
        }
    }
}
