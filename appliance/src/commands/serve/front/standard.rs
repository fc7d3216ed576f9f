//! Standard input and output as what they are: pipes and sockets are waited for like any other, all else by threads.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream as BareStream;

use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::stdio::{stderr, stdin, stdout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Reads standard input.
pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;
/// Writes standard output.
pub(super) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// How an end blocked before it was taken over. Whoever else has it, as a shell may that starts another program after
/// this one, finds it so again.
pub(super) struct Mode {
    end: BorrowedFd<'static>,
    flags: OFlags,
}

impl Mode {
    fn of(end: BorrowedFd<'static>) -> std::io::Result<Self> {
        Ok(Self { end, flags: fcntl_getfl(end)? })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // Nobody is left to tell.
        fcntl_setfl(self.end, self.flags).ok();
    }
}

/// Takes over both. What comes with them is kept for as long as they are used.
pub(super) fn take() -> (Input, Output, [Option<Mode>; 2]) {
    // Both first: they may be one socket, which must be remembered as it was.
    let (input, output) = (judge(stdin()), judge(stdout()));
    let (reader, input_mode) = input
        .and_then(|(kind, mode)| Some((reader(&kind)?, Some(mode))))
        .unwrap_or_else(|| (Box::new(tokio::io::stdin()), None));
    let (writer, output_mode) = output
        .and_then(|(kind, mode)| Some((writer(&kind)?, Some(mode))))
        .unwrap_or_else(|| (Box::new(tokio::io::stdout()), None));
    (reader, writer, [input_mode, output_mode])
}

fn reader(kind: &Kind) -> Option<Input> {
    let end = fcntl_dupfd_cloexec(stdin(), 0).ok()?;
    Some(match kind {
        Kind::Pipe => Box::new(pipe::Receiver::from_owned_fd(end).ok()?),
        Kind::Socket => Box::new(stream(end.into())?),
    })
}

fn writer(kind: &Kind) -> Option<Output> {
    let end = fcntl_dupfd_cloexec(stdout(), 0).ok()?;
    Some(match kind {
        Kind::Pipe => Box::new(pipe::Sender::from_owned_fd(end).ok()?),
        Kind::Socket => Box::new(stream(end.into())?),
    })
}

/// What the system can wait for.
enum Kind {
    Pipe,
    Socket,
}

/// What an end is, and how it blocks; `None` when a thread has to wait for it.
fn judge(end: BorrowedFd<'static>) -> Option<(Kind, Mode)> {
    let found = fstat(end).ok()?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::Socket if socket_type(end).ok()? == SocketType::STREAM => Kind::Socket,
        _ => return None,
    };
    // An end that does not block loses lines of the log, should that go the same way.
    let is_log = fstat(stderr()).is_ok_and(|log| is_same(&log, &found));
    if is_log {
        return None;
    }
    Some((kind, Mode::of(end).ok()?))
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn stream(bare: BareStream) -> Option<UnixStream> {
    bare.set_nonblocking(true).ok()?;
    UnixStream::from_std(bare).ok()
}
