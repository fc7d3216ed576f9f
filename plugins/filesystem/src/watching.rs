//! Tells the host when a file that somebody follows changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use plugin_sdk::prelude::*;

/// Followed files by their place, with the URI that each is known under.
type Followed = Arc<Mutex<HashMap<PathBuf, String>>>;

/// Follows files. The folder of each is watched: editors replace files, and a watch on the old one would go blind.
pub(crate) struct Watching {
    root: PathBuf,
    host: Host,
    followed: Followed,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watching {
    pub(crate) fn new(host: Host, root: PathBuf) -> Self {
        Self { root, host, followed: Followed::default(), watcher: Mutex::new(None) }
    }

    /// Begins or ends to follow a file.
    pub(crate) fn watch(&self, uri: &str, path: &str, on: bool) {
        // Never out of the root, whatever the path says: a watch is made by name.
        let Ok(place) = self.root.join(path).canonicalize() else {
            return;
        };
        if !place.starts_with(&self.root) {
            return;
        }
        if on {
            lock(&self.followed).insert(place.clone(), uri.to_owned());
            if let Some(folder) = place.parent() {
                self.watch_folder(folder);
            }
        } else {
            let mut followed = lock(&self.followed);
            followed.remove(&place);
            if followed.is_empty() {
                drop(followed);
                // Dropped outside of the lock that its thread takes.
                let watcher = lock(&self.watcher).take();
                drop(watcher);
            }
        }
    }

    fn watch_folder(&self, folder: &Path) {
        let mut watcher = lock(&self.watcher);
        if watcher.is_none() {
            let (host, followed) = (self.host, Arc::clone(&self.followed));
            match notify::recommended_watcher(move |event| tell(host, &followed, event)) {
                Ok(made) => *watcher = Some(made),
                Err(error) => {
                    self.host.warn(&format!("files cannot be followed: {error}"));
                    return;
                }
            }
        }
        if let Some(Err(error)) =
            watcher.as_mut().map(|watcher| watcher.watch(folder, RecursiveMode::NonRecursive))
        {
            self.host.warn(&format!("{} cannot be followed: {error}", folder.display()));
        }
    }
}

fn tell(host: Host, followed: &Followed, event: notify::Result<Event>) {
    let Ok(event) = event else { return };
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    let followed = lock(followed);
    for uri in event.paths.iter().filter_map(|path| followed.get(path)) {
        host.resource_updated(uri);
    }
}
