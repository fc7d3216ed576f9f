//! Which resources are watched, so that a plugin watches each one once however many clients subscribed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugin_host::Plugin;

/// How long a client waits for plugins to take up its watches. A slower one watches late, as it would if it were told
/// of a change late.
const BEGIN_DEADLINE: Duration = Duration::from_secs(1);

/// Counts the subscriptions to each resource.
#[derive(Default)]
pub struct Watches(Mutex<HashMap<Arc<str>, usize>>);

impl Watches {
    /// Nothing watched.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Watches `uri` at `plugin` until the returned value is dropped.
    #[must_use]
    pub fn watch(self: &Arc<Self>, plugin: Arc<Plugin>, uri: &str) -> Watch {
        let uri: Arc<str> = uri.into();
        // The plugin is told under the lock: its first and last subscriber must not overtake each other.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(Arc::clone(&uri)).or_default();
        *count += 1;
        if *count == 1 {
            plugin.watch(&uri, true);
        }
        drop(counts);
        Watch { watches: Arc::clone(self), plugin, uri }
    }

    fn unwatch(&self, plugin: &Plugin, uri: &Arc<str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(uri) {
            *count -= 1;
            if *count == 0 {
                counts.remove(uri);
                plugin.watch(uri, false);
            }
        }
    }

    /// How many resources are watched.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// One subscription to a resource.
pub struct Watch {
    watches: Arc<Watches>,
    plugin: Arc<Plugin>,
    uri: Arc<str>,
}

impl Watch {
    /// Waits until the plugins have taken up these watches: a change after that is told.
    pub async fn begun(watches: &[Self]) {
        let all = async {
            for watch in watches {
                watch.plugin.caught_up().await;
            }
        };
        tokio::time::timeout(BEGIN_DEADLINE, all).await.ok();
    }

    /// The resource.
    #[must_use]
    pub const fn uri(&self) -> &Arc<str> {
        &self.uri
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watches.unwatch(&self.plugin, &self.uri);
    }
}
