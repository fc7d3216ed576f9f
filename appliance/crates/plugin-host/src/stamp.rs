//! What the system says of a file: a reason not to read it again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long ago a file must have changed for its times to tell it from what it may become: file systems count in steps
/// of up to two seconds (FAT), and two writings in one step look alike.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Which file it is, how long, and when it was written and changed. Whoever writes a file can set the first of its times
/// back, never the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// That of a file whose bytes are the same as long as its stamp is; `None` for one that has changed just before `now`.
    pub(crate) fn settled(metadata: &Metadata, now: SystemTime) -> Option<Self> {
        let stamp = Self::of(metadata);
        let changed = Duration::from_secs(u64::try_from(stamp.changed.0).ok()?);
        let age = now.duration_since(UNIX_EPOCH + changed).ok()?;
        (age > SETTLED_AFTER).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_just_changed_is_not_settled() {
        let file = tempfile::tempfile().expect("a file");
        let metadata = file.metadata().expect("it is there");
        let now = SystemTime::now();
        assert_eq!(Stamp::settled(&metadata, now), None);
        assert_eq!(
            Stamp::settled(&metadata, now - Duration::from_secs(60)),
            None,
            "not yet written"
        );
        let later = now + Duration::from_secs(10);
        assert_eq!(Stamp::settled(&metadata, later), Some(Stamp::of(&metadata)));
    }
}
