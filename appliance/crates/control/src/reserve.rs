//! File descriptors kept aside: when the data plane has used up all of the process's, probes still
//! get in.

use std::fs::File;
use std::io;

use rustix::io::Errno;

/// Descriptors that hold a place until it is needed.
pub(crate) struct Reserve {
    spare: Vec<File>,
    size: usize,
}

impl Reserve {
    /// Keeps `size` descriptors aside, or as many as there are.
    pub(crate) fn new(size: usize) -> Self {
        let mut reserve = Self { spare: Vec::with_capacity(size), size };
        reserve.refill();
        reserve
    }

    /// Gives one descriptor free if `error` says that there are none. `false`: nothing was freed.
    pub(crate) fn release(&mut self, error: &io::Error) -> bool {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE)) && self.spare.pop().is_some()
    }

    /// Takes back what was given free, as far as possible.
    pub(crate) fn refill(&mut self) {
        while self.spare.len() < self.size {
            match File::open("/dev/null") {
                Ok(file) => self.spare.push(file),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_descriptors_free_only_when_they_are_wanting_and_takes_them_back() {
        let mut reserve = Reserve::new(2);
        let exhausted = Errno::MFILE.into();
        assert!(!reserve.release(&Errno::CONNABORTED.into()));
        assert!(reserve.release(&exhausted) && reserve.release(&exhausted));
        assert!(!reserve.release(&exhausted), "there is no third");
        reserve.refill();
        assert!(reserve.release(&exhausted));
    }
}
