//! Two pipes between a test and the hostile plugin: one holds the plugin back, in the other it tells where it is.

use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;

/// Both pipes. They must outlive the plugin's use of them: a closed number could name another file.
pub(crate) struct Pipes {
    held: PipeReader,
    hold: Option<PipeWriter>,
    told: PipeReader,
    tell: PipeWriter,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        let (held, hold) = std::io::pipe().expect("a pipe");
        let (told, tell) = std::io::pipe().expect("a pipe");
        Self { held, hold: Some(hold), told, tell }
    }

    /// The plugin's configuration: what it does wrong, and its ends of the pipes.
    pub(crate) fn config(&self, wrong: &str) -> String {
        let (held, tell) = (self.held.as_raw_fd(), self.tell.as_raw_fd());
        format!(r#"{{"wrong":"{wrong}","fds":[{held},{tell}]}}"#)
    }

    /// Waits until the plugin tells this: `h` when it begins to hang in a call, `d` when it is destroyed.
    pub(crate) fn wait_for(&self, letter: char) {
        let mut byte = [0];
        (&self.told).read_exact(&mut byte).expect("it tells");
        assert_eq!(char::from(byte[0]), letter);
    }

    /// Lets whatever hangs in the plugin go on.
    pub(crate) fn let_go(&mut self) {
        self.hold = None;
    }
}
