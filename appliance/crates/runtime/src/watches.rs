//! Which resources are watched, so that a plugin watches each one once however many clients subscribed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_host::Plugin;

/// How long a client waits for plugins to take up its watches. A slower one watches late, as it would if it were told
/// of a change late.
const BEGIN_DEADLINE: Duration = Duration::from_secs(1);

/// A resource that is watched.
struct Watched {
    /// Subscriptions to it.
    count: usize,
    /// Who watches it; `None` while nobody offers it.
    plugin: Option<Arc<Plugin>>,
}

/// Counts the subscriptions to each resource.
#[derive(Default)]
pub struct Watches(Mutex<HashMap<Arc<str>, Watched>>);

impl Watches {
    /// Nothing watched.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Watches `uri` until the returned value is dropped: at `plugin`, or where the others do who watch it already.
    #[must_use]
    pub fn watch(self: &Arc<Self>, plugin: Arc<Plugin>, uri: &str) -> Watch {
        let uri: Arc<str> = uri.into();
        // The plugin is told under the lock: its first and last subscriber must not overtake each other.
        let mut all = self.lock();
        let watched = all.entry(Arc::clone(&uri)).or_insert(Watched { count: 0, plugin: None });
        watched.count += 1;
        if watched.plugin.is_none() {
            plugin.watch(&uri, true);
            watched.plugin = Some(plugin);
        }
        drop(all);
        Watch { watches: Arc::clone(self), uri }
    }

    /// Has every resource watched by the plugin that `owner` names for it now. Returns those that changed hands, of
    /// which nobody knows what happened to them in between.
    pub fn follow(&self, owner: impl Fn(&str) -> Option<Arc<Plugin>>) -> Vec<Arc<str>> {
        let mut moved = Vec::new();
        for (uri, watched) in self.lock().iter_mut() {
            let next = owner(uri);
            let is_same = match (&watched.plugin, &next) {
                (Some(before), Some(next)) => Arc::ptr_eq(before, next),
                (None, None) => true,
                _ => false,
            };
            if is_same {
                continue;
            }
            next.iter().for_each(|plugin| plugin.watch(uri, true));
            let before = std::mem::replace(&mut watched.plugin, next);
            before.iter().for_each(|plugin| plugin.watch(uri, false));
            moved.push(Arc::clone(uri));
        }
        moved
    }

    fn unwatch(&self, uri: &Arc<str>) {
        let mut all = self.lock();
        if let Some(watched) = all.get_mut(uri) {
            watched.count -= 1;
            if watched.count == 0 {
                watched.plugin.iter().for_each(|plugin| plugin.watch(uri, false));
                all.remove(uri);
            }
        }
    }

    fn plugin(&self, uri: &str) -> Option<Arc<Plugin>> {
        self.lock().get(uri)?.plugin.clone()
    }

    fn is_offered(&self, uri: &str) -> bool {
        self.lock().get(uri).is_some_and(|watched| watched.plugin.is_some())
    }

    /// How many resources are watched.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscription to a resource.
pub struct Watch {
    watches: Arc<Watches>,
    uri: Arc<str>,
}

impl Watch {
    /// Waits until the plugins have taken up these watches: a change after that is told.
    pub async fn begun(watches: &[Self]) {
        let all = async {
            for Self { watches, uri } in watches {
                if let Some(plugin) = watches.plugin(uri) {
                    plugin.caught_up().await;
                }
            }
        };
        tokio::time::timeout(BEGIN_DEADLINE, all).await.ok();
    }

    /// Whether anybody offers the resource. When nobody does any more, [`Watches::follow`] has said so; it is watched
    /// again as soon as somebody does.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.watches.is_offered(&self.uri)
    }

    /// The resource.
    #[must_use]
    pub const fn uri(&self) -> &Arc<str> {
        &self.uri
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watches.unwatch(&self.uri);
    }
}
