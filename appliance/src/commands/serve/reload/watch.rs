//! Looks after the files of the profile, and after the libraries and secrets that it names. Content decides; what the system says of files is only a hint to look.
//!
//! Folders are watched, not files: editors and `mv` replace files, and a ConfigMap is replaced by the link that its folder
//! stands behind. A look every two seconds is the net for what no system tells, as on network file systems.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use runtime::Trigger;

use super::Reloader;
use super::queue::Wish;

/// Between two looks without a hint.
const POLL: Duration = Duration::from_secs(2);
/// How long it must be quiet before files count as written.
const QUIET: Duration = Duration::from_millis(250);
/// Longest wait for quiet: who writes without end is looked at meanwhile.
const UNQUIET_MAX: Duration = Duration::from_secs(1);

/// How long libraries must look the same before they count as written: they are copied in parts, over networks as well.
const LIBRARY_QUIET: Duration = Duration::from_secs(1);

/// Begins to look after the files, on a thread that ends soon after the reloader is gone.
///
/// # Errors
/// When there is no thread.
pub(super) fn start(reloader: &Arc<Reloader>) -> std::io::Result<()> {
    let reloader = Arc::downgrade(reloader);
    let thread = std::thread::Builder::new().name("reload-watch".to_owned());
    thread.spawn(move || look_after(&reloader)).map(drop)
}

fn look_after(reloader: &Weak<Reloader>) {
    // One place: hints add up to one look.
    let (hint, hints) = sync_channel(1);
    let mut folders = Folders::default();
    while let Some(reloader) = reloader.upgrade() {
        if reloader.queue.is_over() {
            return;
        }
        if !reloader.house.wants_watch() {
            folders = Folders::default();
            drop(reloader);
            std::thread::park_timeout(POLL);
            continue;
        }
        // Before the look: what is written after it is hinted at.
        folders.follow(&reloader.house.watched(), &hint);
        if let Some(wish) = next_wish(&reloader, &hints) {
            // In place of the old folders there may be others of the same names.
            folders = Folders::default();
            // Without an end there was none: it is over, or too many wait, and then it is asked for again.
            reloader.queue.order(wish, Trigger::File).blocking_recv().ok();
            continue;
        }
        drop(reloader);
        if hints.recv_timeout(POLL) == Ok(()) {
            settle(&hints);
        }
    }
}

/// What is to be taken over, once it is written.
fn next_wish(reloader: &Reloader, hints: &Receiver<()>) -> Option<Wish> {
    let house = &reloader.house;
    if house.is_behind() {
        settle(hints);
        return Some(Wish::Files);
    }
    while house.has_other_named() {
        let before = house.libraries();
        std::thread::park_timeout(LIBRARY_QUIET);
        if house.libraries() == before {
            return Some(house.once_more());
        }
        if reloader.queue.is_over() {
            break;
        }
    }
    None
}

/// Waits until nothing was written for a while.
fn settle(hints: &Receiver<()>) {
    let begun = Instant::now();
    while begun.elapsed() < UNQUIET_MAX {
        if hints.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// The folders that are watched.
#[derive(Default)]
struct Folders {
    watched: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

impl Folders {
    /// Watches the folders of `files`, and nothing else. Without the system's help the net remains.
    fn follow(&mut self, files: &[PathBuf], hint: &SyncSender<()>) {
        let wanted = folders(files);
        if wanted == self.watched {
            return;
        }
        let hint = hint.clone();
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_write(&event)) {
                // One that finds no place is told by the one that has it.
                hint.try_send(()).ok();
            }
        });
        self.watcher = made
            .inspect_err(|error| {
                tracing::info!(%error, "The profile is looked at every two seconds; the system does not tell of changes.");
            })
            .ok();
        for folder in &wanted {
            let Some(watcher) = &mut self.watcher else { break };
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "A folder of the profile is looked at every two seconds.");
            }
        }
        self.watched = wanted;
    }
}

/// Whether it may have changed a file. Reading, which is what we do ourselves, does not.
fn is_write(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// The folders in which something happens when one of `files` changes: its own, and those of every link on its way.
fn folders(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut add = |path: &Path| {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    };
    for path in files {
        add(path);
        if let Ok(target) = std::fs::read_link(path) {
            add(&path.parent().unwrap_or(Path::new("")).join(target));
        }
        if let Ok(target) = path.canonicalize() {
            add(&target);
        }
    }
    folders
}
