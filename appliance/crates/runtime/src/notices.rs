//! What plugins say of themselves between calls: a changed list makes a new generation of the same plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use plugin_host::{Notice, Plugin};
use tokio::sync::mpsc::Receiver;

use crate::changes::{Change, Changes};
use crate::generation::{NoTurn, Switch};
use crate::vitals::Vitals;

/// Notices that wait to be followed. Lists are read whole, so a dropped one is made good by the next.
pub const NOTICES_MAX: usize = 1_024;

/// Follows notices until every plugin is gone.
pub async fn follow_notices(
    mut notices: Receiver<(Arc<str>, Notice)>,
    switch: Arc<Switch>,
    changes: Changes,
    vitals: Arc<Vitals>,
) {
    let mut batch = Vec::new();
    // Taken together: a plugin that changes ten tools is described once.
    while notices.recv_many(&mut batch, NOTICES_MAX).await > 0 {
        let mut lists = Vec::new();
        let mut plugins = BTreeSet::new();
        for (plugin, notice) in batch.drain(..) {
            let list = match notice {
                Notice::ToolsChanged => Change::Tools,
                Notice::PromptsChanged => Change::Prompts,
                Notice::ResourcesChanged => Change::Resources,
                Notice::ResourceUpdated(uri) => {
                    changes.publish(Change::ResourceUpdated(uri));
                    continue;
                }
            };
            plugins.insert(plugin);
            if !lists.contains(&list) {
                lists.push(list);
            }
        }
        if plugins.is_empty() {
            continue;
        }
        let (switch, vitals) = (Arc::clone(&switch), Arc::clone(&vitals));
        // Describing waits for the plugin, so it is no work for a thread that serves.
        let republished =
            tokio::task::spawn_blocking(move || describe_again(&switch, &vitals, &plugins)).await;
        if republished.unwrap_or(false) {
            for list in lists {
                changes.publish(list);
            }
        }
    }
}

/// Describes the plugins of these names again and publishes a generation with what they offer now. `false` when it does
/// not fit together; then everything stays as it was. Blocks.
pub fn describe_again(switch: &Switch, vitals: &Vitals, names: &BTreeSet<Arc<str>>) -> bool {
    let current = switch.load();
    let kit = current.stack().kit();
    let is_named = |plugin: &&Arc<Plugin>| names.contains(plugin.name());
    let mut has_changed = false;
    for plugin in kit.plugins.iter().filter(is_named) {
        match plugin.describe_again() {
            Ok(_) => has_changed = true,
            // The others' changes are followed all the same.
            Err(error) => {
                tracing::warn!(plugin = %plugin.name(), %error, "Changed lists are not followed.");
            }
        }
    }
    if !has_changed {
        return false;
    }
    let reload = &current.plan().reload;
    let (draining_max, patience) = (reload.draining_generations_max, reload.stage_deadline);
    // Whoever waits for generations to end must have none.
    drop(current);
    let turn = match switch.turn(draining_max, Instant::now() + patience) {
        Ok(turn) => turn,
        Err(NoTurn::Closed) => return false,
        Err(NoTurn::Crowded { oldest, calls }) => {
            tracing::warn!(
                oldest,
                calls,
                "Changed lists are not followed: the oldest generation does not end."
            );
            return false;
        }
    };
    // Another one, if the profile was changed while the plugins described themselves.
    let current = turn.current();
    match stack::build(current.plan(), current.stack().kit()) {
        Ok(stack) => {
            let number = turn.publish(Arc::clone(current.plan()), stack).number();
            vitals.set_generation(number);
            tracing::info!(generation = number, "Lists of plugins changed.");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "Changed lists of plugins do not fit together; the old ones stay.");
            false
        }
    }
}
