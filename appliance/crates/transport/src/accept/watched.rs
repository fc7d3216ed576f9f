//! A connection's socket, which notes its progress and gives back the bytes by which the protocol was told.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::flood::{FloodGate, GOAWAY};
use super::progress::{Closed, Progress};

/// What a client with prior knowledge of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most bytes thrown away while a closed connection waits for the other side: more than any socket buffer holds of a
/// client that was answered before it had finished.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Most bytes in several parts that are sent as one: up to here a copy takes less time than the system needs for a list
/// of parts (0.3 of some 12 us for a call with a short answer).
const ONE_PART_BYTES_MAX: usize = 1024;

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The socket.
pub(super) struct Watched {
    socket: TcpStream,
    progress: Arc<Progress>,
    sniffed: [u8; PREFACE.len()],
    sniffed_from: u8,
    sniffed_to: u8,
    lingered_bytes: usize,
    is_shut: bool,
    /// Counts frames of HTTP/2. Boxed: HTTP/1 has none.
    gate: Option<Box<FloodGate>>,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, progress: Arc<Progress>) -> Self {
        Self {
            socket,
            progress,
            sniffed: [0; PREFACE.len()],
            sniffed_from: 0,
            sniffed_to: 0,
            lingered_bytes: 0,
            is_shut: false,
            gate: None,
        }
    }

    /// From here on, every frame passes `gate`.
    pub(super) fn guard(&mut self, gate: FloodGate) {
        self.gate = Some(Box::new(gate));
    }

    /// Reads no more than it takes to tell the protocol. `None`: the client left without a word.
    pub(super) async fn sniff(&mut self) -> io::Result<Option<Protocol>> {
        std::future::poll_fn(|cx| self.poll_sniff(cx)).await
    }

    fn poll_sniff(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Protocol>>> {
        loop {
            let to = usize::from(self.sniffed_to);
            let mut free = ReadBuf::new(&mut self.sniffed[to..]);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut free))?;
            let count = free.filled().len();
            self.sniffed_to += count as u8;
            let seen = &self.sniffed[..usize::from(self.sniffed_to)];
            let protocol = if !PREFACE.starts_with(seen) || (count == 0 && !seen.is_empty()) {
                // An end in the middle is for HTTP/1 to complain about.
                Protocol::Http1
            } else if seen.len() == PREFACE.len() {
                Protocol::Http2
            } else if count == 0 {
                return Poll::Ready(Ok(None));
            } else {
                continue;
            };
            self.progress.sniffed();
            return Poll::Ready(Ok(Some(protocol)));
        }
    }

    /// Notes what became of a write.
    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.progress.stalled(),
            Poll::Ready(Ok(count)) if count > 0 => {
                self.progress.sent();
                if let Some(gate) = &mut self.gate {
                    gate.sent(count);
                }
            }
            Poll::Ready(_) => {}
        }
        result
    }

    /// Lets `bytes` that came in pass the gate, or ends the connection.
    fn judge(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_flood = self.gate.as_mut().is_some_and(|gate| gate.is_flooded_by(bytes));
        if !is_flood {
            return Ok(());
        }
        // The last word. hyper has none for it, and whatever it had begun to write is lost on this client.
        drop(self.socket.try_write(&GOAWAY));
        self.progress.ask(Closed::Abuse);
        Err(io::Error::other("a flood of HTTP/2 frames"))
    }
}

fn length(parts: &[IoSlice<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Copies `parts` to the beginning of `whole`, which has room for them.
fn joined<'a>(parts: &[IoSlice<'_>], whole: &'a mut [u8]) -> &'a [u8] {
    let mut end = 0;
    for part in parts {
        whole[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &whole[..end]
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let kept = &this.sniffed[usize::from(this.sniffed_from)..usize::from(this.sniffed_to)];
        if !kept.is_empty() {
            let count = kept.len().min(buffer.remaining());
            buffer.put_slice(&kept[..count]);
            this.sniffed_from += count as u8;
            // The rest in the same breath: hyper doubles its buffer for a head that comes in two parts. An end that
            // this read meets is met again by the next one.
            let before = buffer.filled().len();
            drop(Pin::new(&mut this.socket).poll_read(cx, buffer));
            return Poll::Ready(this.judge(&buffer.filled()[before..]));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            this.progress.received();
        }
        Poll::Ready(this.judge(received))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let result = match parts {
            [part] => socket.poll_write(cx, part),
            _ if length(parts) <= ONE_PART_BYTES_MAX => {
                let mut whole = [0; ONE_PART_BYTES_MAX];
                socket.poll_write(cx, joined(parts, &mut whole))
            }
            _ => socket.poll_write_vectored(cx, parts),
        };
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Says goodbye and waits for the other side to do so: closing over unread bytes would reset the connection and
    /// with it the answer that is still on its way.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_shut {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.is_shut = true;
            this.progress.closing();
        }
        if this.progress.asked() == Some(Closed::Evicted) {
            // It had nothing more to say, and somebody waits for its descriptor.
            return Poll::Ready(Ok(()));
        }
        let mut waste = [0; 1024];
        while this.lingered_bytes < LINGER_BYTES_MAX {
            let mut waste = ReadBuf::new(&mut waste);
            let read = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut waste));
            if read.is_err() || waste.filled().is_empty() {
                break;
            }
            this.lingered_bytes += waste.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_their_order() {
        let parts = [b"HTTP/1.1 200 OK".as_slice(), b"", b"\r\n\r\n", b"{}"].map(IoSlice::new);
        let mut whole = [b'?'; 32];
        assert_eq!(joined(&parts, &mut whole), b"HTTP/1.1 200 OK\r\n\r\n{}");
        assert_eq!(length(&parts), 21);
        assert_eq!(joined(&[], &mut whole), b"");
    }
}
