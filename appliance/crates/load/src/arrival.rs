//! When an answer came in, as the kernel says it: the generator shares its cores with the server, and what it waits
//! for one before it reads is no delay of the server.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};

/// Bytes for what the kernel adds to a read: one stamp, which takes half of them.
const CONTROL_BYTES: usize = 64;

/// Where it writes that, aligned as it must be.
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Bytes; 0 at the end of the stream.
    pub(crate) bytes: usize,
    /// When the kernel had the last of them: time since 1970 by the wall clock. Absent where it does not tell.
    pub(crate) stamp: Option<Duration>,
}

/// Asks the kernel for a stamp with each read of `socket`. Some sandboxes have none, and are measured without.
pub(crate) fn request_stamps(socket: &impl AsFd) {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true).ok();
}

/// Reads once, as [`io::Read::read`] does, and hears when the bytes came in.
///
/// # Errors
/// What the system said.
pub(crate) fn read(stream: &impl AsRawFd, space: &mut [u8]) -> io::Result<Part> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut spaces = [IoSliceMut::new(space)];
    let (fd, flags) = (stream.as_raw_fd(), MsgFlags::empty());
    let message = recvmsg::<()>(fd, &mut spaces, Some(&mut control.0), flags)?;
    let stamp = message.cmsgs().ok().and_then(|mut controls| {
        controls.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp.into()),
            _ => None,
        })
    });
    Ok(Part { bytes: message.bytes, stamp })
}

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// The clock of stamps: time since 1970.
    wall: Duration,
    /// The clock of latencies.
    steady: Instant,
}

impl Clocks {
    /// Reads them. Good for as long as nobody sets the wall clock: to be read again with each batch of answers.
    pub(crate) fn read() -> Self {
        // The wall clock first: a pause between the two makes answers later, never earlier.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, steady: Instant::now() }
    }

    /// When an answer with this stamp came in. Without a stamp, or with one that cannot be true because the wall clock
    /// was set meanwhile, it counts as come at `now`.
    pub(crate) fn arrival(
        &self,
        stamp: Option<Duration>,
        sent_at: Instant,
        now: Instant,
    ) -> Instant {
        let steady = |stamp: Duration| match stamp.checked_sub(self.wall) {
            Some(later) => self.steady.checked_add(later),
            None => self.steady.checked_sub(self.wall.saturating_sub(stamp)),
        };
        stamp.and_then(steady).filter(|at| (sent_at..=now).contains(at)).unwrap_or(now)
    }
}

#[cfg(test)]
pub(crate) mod tests;
