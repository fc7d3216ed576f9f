//! What there is more than once while a plan, a plugin or the program itself is replaced, and what is kept to go back.
//!
//! Calls are not counted twice: permits, places, sessions and the ledger outlive a generation, and of two processes that
//! share a control group each refuses by what both take of its memory.

use super::WorstCase;
use super::costs::{CONTROL, GENERATION, LIMIT_KEY, PLUGIN, PROCESS, RECORD, SESSION, THREAD};
use crate::plan::Plan;

/// Generations besides those that drain and the one that serves: one that is built, and one that a probation may bring
/// back.
const BESIDE_DRAINING: u64 = 2;

impl WorstCase {
    /// Generations that drain, wait or are built, and the records of those that served.
    pub(super) fn generations(&mut self, plan: &Plan) {
        let most = generations_beside(plan);
        let key = "reload.draining_generations_max";
        self.add("generations", key, most, GENERATION.bytes());
        let records = plan.history.generations_max as u64;
        self.add("records", "history.generations_max", records, RECORD.bytes());
    }

    /// Images besides those that serve, which stay for good; and the threads of the plugins that some of them still have.
    pub(super) fn replaced_plugins(&mut self, plan: &Plan) {
        let plugins = &plan.plugins;
        let images = (plan.reload.images_max as u64).saturating_sub(plugins.len() as u64);
        let key = "reload.images_max";
        self.add("images", key, images, PLUGIN.bytes());
        let each = plugins.iter().map(|plugin| plugin.limits.threads_max as u64).max().unwrap_or(0);
        let instances = generations_beside(plan).saturating_mul(plugins.len() as u64).min(images);
        if instances > 0 {
            let threads = instances.saturating_mul(each);
            self.add("threads of replaced", key, threads, THREAD.bytes());
        }
    }

    /// The process that takes over, before anybody is let in by it.
    pub(super) fn upgrade(&mut self, plan: &Plan) {
        let threads = super::worker_threads(plan);
        let control = plan.control.as_ref().map_or(0, |_| CONTROL.bytes());
        let keys = super::limit_keys(plan).map(|(_, _, keys)| keys).fold(0, u64::saturating_add);
        let parts = [
            PROCESS.bytes(),
            control,
            THREAD.bytes().saturating_mul(threads),
            PLUGIN.bytes().saturating_mul(plan.plugins.len() as u64),
            SESSION.bytes().saturating_mul(plan.session.sessions_max as u64),
            LIMIT_KEY.bytes().saturating_mul(keys),
        ];
        // No key makes it smaller that does not make the process itself smaller.
        self.add("an upgrade", "", 1, parts.into_iter().fold(0, u64::saturating_add));
    }
}

fn generations_beside(plan: &Plan) -> u64 {
    (plan.reload.draining_generations_max as u64).saturating_add(BESIDE_DRAINING)
}
