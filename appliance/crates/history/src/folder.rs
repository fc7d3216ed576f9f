//! The folder on disk: its owner's alone, and held by one process at a time.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::Disk;

/// Largest record: a profile has 1 MiB at most, and its defaults are few.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// Most names that are looked at: a folder with more is another's.
const NAMES_MAX: usize = 4_096;
/// The file whose lock stands for the folder.
const LOCK: &str = "lock";

/// A folder that nobody but its owner can write to.
#[derive(Debug)]
pub struct Folder {
    /// All is done through it: whoever moves the folder moves it whole.
    opened: OwnedFd,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or made, now.
    #[error("cannot use the folder `{}`: {source}; let the user who runs toolrack make it and write to it", .path.display())]
    Unavailable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could put a profile there.
    #[error("others than its owner can write to `{}`, and so could say what is served; chmod go-w it", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// Another user's.
    #[error("`{}` belongs to user {owner}, who could say what is served; chown it, or name another folder", .path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
}

/// Held by the one process that writes, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _held: OwnedFd,
}

impl Folder {
    /// Opens a folder, and makes it when it is not there.
    ///
    /// # Errors
    /// When there is none, or it is not its owner's alone.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unavailable =
            |source: io::Error| OpenError::Unavailable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unavailable)?;
        Self::open_existing(path)
    }

    /// Opens a folder that is there already.
    ///
    /// # Errors
    /// The same.
    pub fn open_existing(path: &Path) -> Result<Self, OpenError> {
        let unavailable =
            |errno: Errno| OpenError::Unavailable { path: path.to_owned(), source: errno.into() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(unavailable)?;
        let found = rustix::fs::fstat(&opened).map_err(unavailable)?;
        let me = rustix::process::geteuid().as_raw();
        if found.st_uid != me && found.st_uid != 0 {
            return Err(OpenError::Foreign { path: path.to_owned(), owner: found.st_uid });
        }
        if found.st_mode & 0o022 != 0 {
            return Err(OpenError::Open { path: path.to_owned() });
        }
        Ok(Self { opened })
    }

    /// Takes the lock of the folder; `None` while another process has it.
    ///
    /// # Errors
    /// As the system says.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.opened, LOCK, flags, mode)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _held: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Disk for Folder {
    type File = File;

    fn names(&self) -> io::Result<Vec<String>> {
        let names = rustix::fs::Dir::read_from(&self.opened)?.take(NAMES_MAX);
        let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.opened, name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no ordinary file"));
        }
        let mut bytes = Vec::new();
        File::from(file).take(RECORD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > RECORD_BYTES_MAX {
            return Err(io::Error::other("it is larger than any record"));
        }
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.opened, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(file.into())
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.opened, from, &self.opened, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.opened, name, AtFlags::empty())?)
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.opened)?)
    }
}
