//! Looks after the files of the profile, and after the libraries and secrets that it names. Content decides; what the system says of files is only a hint to look.
//!
//! Folders are watched, not files: editors and `mv` replace files, and a ConfigMap is replaced by the link that its folder
//! stands behind. A look every two seconds is the net for what no system tells, as on network file systems.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use profile::Written;
use runtime::Trigger;

use super::queue::Wish;
use super::{House, Reloader};

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
            reloader.house.writing.store(false, Relaxed);
            drop(reloader);
            std::thread::park_timeout(POLL);
            continue;
        }
        // Before the look: what is written after it is hinted at.
        folders.follow(&reloader.house, &hint);
        // Once more: it may have begun to stop before what it is behind was written.
        if let Some(wish) = next_wish(&reloader, &hints).filter(|_| reloader.house.wants_watch()) {
            // Without an end there was none: it is over, or too many wait, and then it is asked for again.
            reloader.queue.order(wish, Trigger::File).blocking_recv().ok();
            // In place of the old folders there may be others of the same names.
            folders = Folders::default();
            continue;
        }
        let writing = Arc::clone(&reloader.house.writing);
        drop(reloader);
        if hints.recv_timeout(POLL) == Ok(()) {
            settle(&hints, &writing);
        }
    }
}

/// What is to be taken over, once it is written.
fn next_wish(reloader: &Reloader, hints: &Receiver<()>) -> Option<Wish> {
    let house = &reloader.house;
    if house.is_behind() {
        settle(hints, &house.writing);
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

/// Waits until nothing was written for a while. Who writes without end is looked at between two writings.
fn settle(hints: &Receiver<()>, writing: &AtomicBool) {
    let begun = Instant::now();
    while hints.recv_timeout(QUIET) != Err(RecvTimeoutError::Timeout) {
        if begun.elapsed() >= UNQUIET_MAX && !writing.load(Relaxed) {
            return;
        }
    }
    // Who is silent for so long has written, even if the file is still open.
    writing.store(false, Relaxed);
}

/// The folders that are watched.
#[derive(Default)]
struct Folders {
    watched: Vec<PathBuf>,
    /// What the files of the profile are called, and what their links lead to.
    names: Vec<OsString>,
    watcher: Option<RecommendedWatcher>,
}

impl Folders {
    /// Watches the folders of all that is looked after, and nothing else. Without the system's help the net remains.
    fn follow(&mut self, house: &House, hint: &SyncSender<()>) {
        let (wanted, names) = (folders(&house.watched()), names(&house.files()));
        if wanted == self.watched && names == self.names {
            return;
        }
        self.names.clone_from(&names);
        let (hint, writing) = (hint.clone(), Arc::clone(&house.writing));
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            if is_write(&event) {
                if let Some(is_open) = leaves_open(&event, &names) {
                    writing.store(is_open, Relaxed);
                }
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

/// Whether the writer of one of these files has it open still; `None` where the event does not tell, or is of another
/// file.
fn leaves_open(event: &Event, names: &[OsString]) -> Option<bool> {
    let is_ours =
        |path: &PathBuf| path.file_name().is_some_and(|of| names.iter().any(|name| name == of));
    if !event.paths.iter().any(is_ours) {
        return None;
    }
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => Some(true),
        // Another file is in its place, or none.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
            Some(false)
        }
        _ => None,
    }
}

/// What the files are called, and what their links lead to.
fn names(files: &[Written]) -> Vec<OsString> {
    let of = |path: &Path| path.file_name().map(ToOwned::to_owned);
    let all = files
        .iter()
        .flat_map(|file| [of(&file.path), file.path.canonicalize().ok().as_deref().and_then(of)]);
    all.flatten().collect()
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
