//! From a path to a loaded image: the bytes that were checked are the bytes that run.
//!
//! The file is read once into sealed memory, checked there and loaded from there. The descriptor of that memory stays
//! open for the life of the process: the loader tells images apart by it, and a changed file is told from it.

use std::error::Error;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use memmap2::MmapMut;
use plugin_abi::{ENTRY_SYMBOL, Entry};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use crate::error::LoadError;
use crate::images::{self, Image};
use crate::stamp::Stamp;

/// Largest library that is loaded: its sealed copy stays in memory for good.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How often sealing is tried. The kernel is busy while it holds a page of the memory, to move it for example, and waits
/// for it a tenth of a second before it says so.
const SEAL_TRIES: usize = 10;
/// Thread keys that must be left over. A process has 1,024, every image of a Rust plugin takes one for good, and the
/// one that finds none aborts the process.
const FREE_THREAD_KEYS_MIN: usize = 128;

/// A library's file, after checking who can have changed it.
pub(crate) struct Checked<'p> {
    path: &'p Path,
    file: File,
    metadata: Metadata,
}

/// Reads a library after checking who can have changed it.
pub(crate) fn read_checked(path: &Path) -> Result<MmapMut, LoadError> {
    Checked::open(path)?.read()
}

fn unreadable(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Unreadable { path: path.to_owned(), source }
}

impl<'p> Checked<'p> {
    /// Opens the library at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, is no file, or others than its owner may have changed it.
    pub(crate) fn open(path: &'p Path) -> Result<Self, LoadError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let opened = opened.map_err(|errno| match errno {
            rustix::io::Errno::LOOP => LoadError::NotRegular { path: path.to_owned() },
            errno => unreadable(path, errno.into()),
        })?;
        let file = File::from(opened);
        let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
        if !metadata.is_file() {
            return Err(LoadError::NotRegular { path: path.to_owned() });
        }
        let me = rustix::process::geteuid().as_raw();
        if metadata.uid() != 0 && metadata.uid() != me {
            return Err(LoadError::ForeignOwner { path: path.to_owned(), owner: metadata.uid() });
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(LoadError::Writable { path: path.to_owned() });
        }
        check_folder(path)?;
        if metadata.len() > FILE_BYTES_MAX {
            let (bytes, limit) = (metadata.len(), FILE_BYTES_MAX);
            return Err(LoadError::TooLarge { path: path.to_owned(), bytes, limit });
        }
        Ok(Self { path, file, metadata })
    }

    /// What tells its bytes from others; `None` while they may still be written.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        Stamp::settled(&self.metadata, SystemTime::now())
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is written meanwhile.
    pub(crate) fn read(self) -> Result<MmapMut, LoadError> {
        let Self { path, mut file, metadata } = self;
        let changing = || LoadError::Changing { path: path.to_owned() };
        let room = MmapMut::map_anon(metadata.len() as usize);
        let mut bytes = room.map_err(|error| unreadable(path, error))?;
        file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => changing(),
            _ => unreadable(path, error),
        })?;
        let after = file.metadata().map_err(|error| unreadable(path, error))?;
        if is_another(&metadata, &after) { Err(changing()) } else { Ok(bytes) }
    }
}

/// Whether a file was written between two looks at it.
fn is_another(before: &Metadata, after: &Metadata) -> bool {
    let seen = |file: &Metadata| (file.len(), file.mtime(), file.mtime_nsec());
    seen(before) != seen(after)
}

/// Whoever can write to the folder can replace the library in it, unless the folder is sticky.
fn check_folder(path: &Path) -> Result<(), LoadError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let metadata = folder
        .metadata()
        .map_err(|source| LoadError::Unreadable { path: folder.to_owned(), source })?;
    let is_open = metadata.mode() & 0o002 != 0 && metadata.mode() & 0o1000 == 0;
    if is_open { Err(LoadError::WritableFolder { path: folder.to_owned() }) } else { Ok(()) }
}

/// Takes an image of checked bytes that serves nobody, or loads them. The image stays for good.
///
/// # Errors
/// When it does not load, or would be one image more than `images_max`.
pub(crate) fn load(path: &Path, bytes: &[u8], images_max: usize) -> Result<Image, LoadError> {
    let turn = images::turn();
    if let Some(image) = turn.take(bytes) {
        return Ok(image);
    }
    if images::count() >= images_max {
        return Err(LoadError::ImagesFull { images_max });
    }
    check_thread_keys()?;
    let memory = seal(bytes).map_err(|errno| LoadError::Loader {
        path: path.to_owned(),
        what: format!("no sealed memory: {errno}"),
    })?;
    let name = format!("/proc/self/fd/{}", memory.as_raw_fd());
    // SAFETY: loading runs the library's constructors. The operator named it, its owner and mode were checked, and
    // the manifest marks it as a plugin; inline plugins are trusted with the process, as the profile says.
    let library = unsafe { Library::open(Some(&name), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| LoadError::Loader {
        path: path.to_owned(),
        // The error itself only names the function; what the loader says is behind it.
        what: error.source().map_or_else(|| error.to_string(), ToString::to_string),
    })?;
    // SAFETY: the ABI fixes the type of this symbol; the descriptor it returns is checked before anything else is
    // believed.
    let entry = unsafe { library.get::<Entry>(ENTRY_SYMBOL) }.map(|entry| *entry).ok();
    // Kept with its memory: a closed number that is used again would make the loader return this image for another.
    let image = turn.keep(memory, bytes.len(), entry);
    // Never unloaded: thread-locals with destructors make unloading unsound.
    std::mem::forget(library);
    Ok(image)
}

fn seal(bytes: &[u8]) -> std::io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(rustix::fs::memfd_create("toolrack-plugin", flags)?);
    memory.write_all(bytes)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    let mut tries = 1;
    while let Err(error) = rustix::fs::fcntl_add_seals(&memory, seals) {
        if error != rustix::io::Errno::BUSY || tries == SEAL_TRIES {
            return Err(error.into());
        }
        tries += 1;
    }
    Ok(memory)
}

fn check_thread_keys() -> Result<(), LoadError> {
    let mut keys = Vec::with_capacity(FREE_THREAD_KEYS_MIN);
    while keys.len() < FREE_THREAD_KEYS_MIN {
        let mut key: libc::pthread_key_t = 0;
        // SAFETY: `key` is valid for writing, and no destructor is given.
        if unsafe { libc::pthread_key_create(&raw mut key, None) } != 0 {
            break;
        }
        keys.push(key);
    }
    let free = keys.len();
    for key in keys {
        // SAFETY: each key was created above and is deleted once.
        unsafe { libc::pthread_key_delete(key) };
    }
    if free < FREE_THREAD_KEYS_MIN {
        return Err(LoadError::Exhausted { what: "thread keys" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_between_two_looks_is_another() {
        let mut file = tempfile::tempfile().expect("a file");
        let look = |file: &File| file.metadata().expect("it is there");
        let before = look(&file);
        assert!(!is_another(&before, &look(&file)), "nobody has written");
        file.write_all(b"more").expect("written");
        assert!(is_another(&before, &look(&file)));
    }
}
