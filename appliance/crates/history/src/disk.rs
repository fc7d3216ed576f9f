//! What a store asks of a folder, step by step, so that a test can end the world between any two.

use std::io;

/// A folder of small files.
pub trait Disk {
    /// A file that is being written.
    type File;

    /// The names in it.
    ///
    /// # Errors
    /// As the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// All of a file.
    ///
    /// # Errors
    /// As the system says; and when it is no ordinary file, or too large.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Adds bytes to it.
    ///
    /// # Errors
    /// As the system says; some of them may have been written.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Waits until what was written to it outlives a loss of power.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name, at once, in place of what had that name.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a name away.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until the names outlive a loss of power.
    ///
    /// # Errors
    /// As the system says.
    fn sync_names(&self) -> io::Result<()>;
}
