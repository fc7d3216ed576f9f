//! What a library was loaded from, to tell a changed file from it.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// How much of an image is compared with a file at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// The sealed memory that a library was loaded from. It is there for good, as the library is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image(&'static File);

impl Image {
    /// Keeps the memory open for good.
    pub(crate) fn keep(memory: File) -> Self {
        Self(Box::leak(Box::new(memory)))
    }

    /// Whether it holds exactly these bytes. `false` when it cannot be read: then it is as good as another one.
    pub(crate) fn holds(self, bytes: &[u8]) -> bool {
        let is_as_long = self.0.metadata().is_ok_and(|image| image.len() == bytes.len() as u64);
        let mut part = vec![0; COMPARED_BYTES];
        let mut at = 0;
        is_as_long
            && bytes.chunks(COMPARED_BYTES).all(|expected| {
                let part = &mut part[..expected.len()];
                let is_same = self.0.read_exact_at(part, at).is_ok() && part == expected;
                at += expected.len() as u64;
                is_same
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_image_holds_its_own_bytes_and_no_others() {
        let bytes: Vec<u8> = (0..COMPARED_BYTES + 3).map(|at| at as u8).collect();
        let memory = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC);
        let mut memory = File::from(memory.expect("memory"));
        memory.write_all(&bytes).expect("written");
        let image = Image::keep(memory);
        assert!(image.holds(&bytes));
        assert!(!image.holds(&bytes[1..]), "shorter");
        for at in [0, COMPARED_BYTES, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!image.holds(&other), "{at}");
        }
    }
}
