//! What is done once something else serves: clients are told, watches move, and plugins that nobody has are stopped.

use std::sync::Arc;
use std::time::Duration;

use plugin_host::Plugin;
use protocol::Method;
use runtime::Change;
use stack::{Catalogue, PLUGIN_GRACE};
use transport::Endpoint;

use super::attempt::House;

/// How long calls take to end that are ended when a generation has drained for long enough.
const END_GRACE: Duration = Duration::from_secs(3);

impl House {
    /// Stops those of `candidates` that neither serve nor may have to serve again, when the last generation that drains
    /// has ended, at the latest when those are ended. Their images stay.
    pub(super) fn retire(&self, candidates: Vec<Arc<Plugin>>) {
        let endpoint = Arc::clone(&self.endpoint);
        let current = endpoint.switch.load();
        let mut still_wanted = self.kept();
        still_wanted.extend(current.stack().kit().plugins.iter().cloned());
        let mut removed: Vec<Arc<Plugin>> = Vec::new();
        for plugin in candidates {
            let is_it = |known: &Arc<Plugin>| Arc::ptr_eq(known, &plugin);
            if !still_wanted.iter().chain(&removed).any(is_it) {
                removed.push(plugin);
            }
        }
        if removed.is_empty() {
            return;
        }
        let ended: Vec<_> = endpoint.switch.draining().iter().map(|past| past.ended()).collect();
        let longest = current.plan().reload.drain + END_GRACE;
        drop(current);
        self.data_plane.spawn(async move {
            let all = async {
                for ended in ended {
                    ended.await;
                }
            };
            let is_drained = tokio::time::timeout(longest, all).await.is_ok();
            // Whoever subscribed in an old generation meanwhile.
            follow_watches(&endpoint);
            for plugin in &removed {
                tracing::info!(plugin = %plugin.name(), is_drained, "Replaced plugin stops.");
            }
            tokio::task::spawn_blocking(move || stack::stop_plugins(&removed, PLUGIN_GRACE));
        });
    }
}

/// Tells clients of each list that has other items than `before`, and has resources watched by their present owners.
pub(super) fn announce(endpoint: &Endpoint, before: &Catalogue) {
    let current = endpoint.switch.load();
    let mut changes = Vec::new();
    for list in before.pages().differences(current.stack().catalogue().pages()) {
        let change = match list {
            Method::ToolsList => Change::Tools,
            Method::PromptsList => Change::Prompts,
            _ => Change::Resources,
        };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes.into_iter().for_each(|change| endpoint.changes.publish(change));
    follow_watches(endpoint);
}

fn follow_watches(endpoint: &Endpoint) {
    let current = endpoint.switch.load();
    let catalogue = current.stack().catalogue();
    for uri in endpoint.watches.follow(|uri| catalogue.resource_owner(uri)) {
        endpoint.changes.publish(Change::ResourceUpdated(uri));
    }
}
