//! Libraries that are in memory for good: how many they are, and which.
//!
//! An image whose plugin was destroyed serves the next plugin whose file has the same bytes: changes back and forth take
//! no memory, and a plugin can be started whose file is gone. Two plugins never share one, since libraries may keep state
//! of their own.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use memmap2::MmapMut;
use parking_lot::{Mutex, MutexGuard};
use plugin_abi::Entry;
use sha2::{Digest, Sha256};

/// How much of an image is compared with a file, or hashed, at a time.
const PART_BYTES: usize = 64 << 10;

/// Every image of the process, in the order in which they were loaded.
static LOADED: Mutex<Vec<Image>> = Mutex::new(Vec::new());
/// Held by whoever loads, so that there is never one image more than there may be.
static LOADING: Mutex<()> = Mutex::new(());

/// How many libraries are in memory for good.
#[must_use]
pub fn count() -> usize {
    LOADED.lock().len()
}

/// How many bytes their files have together. What each of them sets aside besides is not counted.
#[must_use]
pub fn file_bytes() -> u64 {
    LOADED.lock().iter().map(|image| image.0.file_bytes).sum()
}

/// Whether the library with this digest (SHA-256 in hexadecimal) is in memory, so that a plugin can be started from it
/// whatever its file says now. Reads every image that was not asked for its digest before.
#[must_use]
pub fn has(digest: &str) -> bool {
    find(digest).is_some()
}

/// The image with this digest.
pub(crate) fn find(digest: &str) -> Option<Image> {
    let images = LOADED.lock().clone();
    images.into_iter().find(|image| image.digest() == digest)
}

/// The turn to load: nobody else does meanwhile.
pub(crate) struct Turn {
    _loading: MutexGuard<'static, ()>,
}

/// Waits for the turn to load.
pub(crate) fn turn() -> Turn {
    Turn { _loading: LOADING.lock() }
}

impl Turn {
    /// Takes an image that holds these bytes and serves nobody.
    pub(crate) fn take(&self, bytes: &[u8]) -> Option<Image> {
        let images = LOADED.lock().clone();
        images.into_iter().find(|image| image.holds(bytes) && image.take())
    }

    /// Keeps a library that was loaded from `memory`, for good, and takes it; `entry` is `None` when it has no entry function, which
    /// is then known the next time.
    pub(crate) fn keep(&self, memory: File, file_bytes: usize, entry: Option<Entry>) -> Image {
        let image = Image(Box::leak(Box::new(Loaded {
            memory,
            file_bytes: file_bytes as u64,
            entry,
            digest: OnceLock::new(),
            is_taken: AtomicBool::new(true),
        })));
        LOADED.lock().push(image);
        image
    }
}

/// A library in memory, and the sealed memory that it was loaded from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image(&'static Loaded);

#[derive(Debug)]
struct Loaded {
    memory: File,
    file_bytes: u64,
    entry: Option<Entry>,
    /// Made when somebody asks: no start needs it, and it would be the longest step of one.
    digest: OnceLock<String>,
    /// Whether a plugin runs in it, or may do.
    is_taken: AtomicBool,
}

impl Image {
    /// Its entry function; `None` when it has none.
    pub(crate) fn entry(self) -> Option<Entry> {
        self.0.entry
    }

    fn take(self) -> bool {
        // Acquires what the plugin before left in it.
        self.0.is_taken.compare_exchange(false, true, AcqRel, Acquire).is_ok()
    }

    /// Nothing of its plugin is left: it may serve another one.
    pub(crate) fn give_back(self) {
        self.0.is_taken.store(false, Release);
    }

    /// SHA-256 of its bytes, in hexadecimal. Of an image that cannot be read: nothing, which no library has.
    pub(crate) fn digest(self) -> &'static str {
        self.0.digest.get_or_init(|| {
            let mut hash = Sha256::new();
            let mut part = vec![0; PART_BYTES];
            let mut at = 0;
            while at < self.0.file_bytes {
                match self.0.memory.read_at(&mut part, at) {
                    Ok(read) if read > 0 => {
                        hash.update(&part[..read]);
                        at += read as u64;
                    }
                    _ => return String::new(),
                }
            }
            hash.finalize().iter().fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                write!(text, "{byte:02x}").ok();
                text
            })
        })
    }

    /// What it was loaded from.
    pub(crate) fn bytes(self) -> std::io::Result<MmapMut> {
        let mut bytes = MmapMut::map_anon(self.0.file_bytes as usize)?;
        self.0.memory.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Whether it holds exactly these bytes. `false` when it cannot be read: then it is as good as another one.
    pub(crate) fn holds(self, bytes: &[u8]) -> bool {
        let mut part = vec![0; PART_BYTES];
        let mut at = 0;
        self.0.file_bytes == bytes.len() as u64
            && bytes.chunks(PART_BYTES).all(|expected| {
                let part = &mut part[..expected.len()];
                let is_same = self.0.memory.read_exact_at(part, at).is_ok() && part == expected;
                at += expected.len() as u64;
                is_same
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn image(bytes: &[u8]) -> Image {
        let memory = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC);
        let mut memory = File::from(memory.expect("memory"));
        memory.write_all(bytes).expect("written");
        turn().keep(memory, bytes.len(), None)
    }

    fn numbered(first: u8) -> Vec<u8> {
        (0..PART_BYTES + 3).map(|at| (at as u8).wrapping_add(first)).collect()
    }

    #[test]
    fn an_image_holds_its_own_bytes_and_no_others() {
        let bytes = numbered(0);
        let image = image(&bytes);
        assert!(image.holds(&bytes));
        assert!(!image.holds(&bytes[1..]), "shorter");
        for at in [0, PART_BYTES, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!image.holds(&other), "{at}");
        }
    }

    #[test]
    fn an_image_is_found_by_the_digest_of_its_bytes() {
        let bytes = numbered(1);
        let image = image(&bytes);
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(image.digest(), digest);
        assert!(has(&digest) && !has(&digest[1..]) && !has(""));
    }

    #[test]
    fn an_image_serves_one_plugin_at_a_time() {
        let bytes = numbered(2);
        assert!(turn().take(&bytes).is_none(), "not there");
        let image = image(&bytes);
        assert!(turn().take(&bytes).is_none(), "taken");
        image.give_back();
        assert!(turn().take(&bytes).is_some());
        assert!(turn().take(&bytes).is_none(), "taken again");
    }

    #[test]
    fn images_are_counted_with_their_bytes() {
        let (count_before, bytes_before) = (count(), file_bytes());
        image(&numbered(3));
        // Other tests load as well.
        assert!(count() > count_before);
        assert!(file_bytes() >= bytes_before + PART_BYTES as u64 + 3);
    }
}
