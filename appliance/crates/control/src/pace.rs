//! How long the client of a connection may take, and a stream that sees when it goes on.
//!
//! hyper's own deadline for heads also runs while a kept-alive connection is idle. Probers keep
//! theirs open between probes that are further apart than a head may take, so time is kept here.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// For the first head of a connection, and from the first to the last byte of each other, and of a body.
    pub(crate) head: Duration,
    /// From one head to the first byte of the next; the answer is written in this time.
    pub(crate) idle: Duration,
}

impl Deadlines {
    pub(crate) const DEFAULT: Self =
        Self { head: Duration::from_secs(5), idle: Duration::from_secs(60) };
}

/// By when the client must have gone on.
pub(crate) struct Pace {
    deadlines: Deadlines,
    due: watch::Sender<Instant>,
    /// Whether bytes of a head have come, and not yet all; or a body is being read.
    is_in_head: Cell<bool>,
}

impl Pace {
    pub(crate) fn new(deadlines: Deadlines) -> Self {
        Self {
            deadlines,
            due: watch::Sender::new(Instant::now() + deadlines.head),
            is_in_head: Cell::new(true),
        }
    }

    fn bytes_came(&self) {
        if !self.is_in_head.replace(true) {
            self.due.send_replace(Instant::now() + self.deadlines.head);
        }
    }

    /// From now on a body has as long to come as a head.
    pub(crate) fn body_begins(&self) {
        self.is_in_head.set(true);
        self.due.send_replace(Instant::now() + self.deadlines.head);
    }

    /// The request has come: its head, and its body where somebody reads it.
    pub(crate) fn request_ended(&self) {
        self.is_in_head.set(false);
        self.due.send_replace(Instant::now() + self.deadlines.idle);
    }

    /// Ends when the client is late.
    pub(crate) async fn overdue(&self) {
        let mut due = self.due.subscribe();
        loop {
            let at = *due.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(at) => return,
                _ = due.changed() => {}
            }
        }
    }
}

/// A stream that tells when bytes come.
pub(crate) struct Paced<S> {
    stream: S,
    pace: Rc<Pace>,
}

impl<S> Paced<S> {
    pub(crate) const fn new(stream: S, pace: Rc<Pace>) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.pace.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
