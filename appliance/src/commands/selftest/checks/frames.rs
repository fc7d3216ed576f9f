//! Single frames of HTTP/2 (RFC 9113).

use std::time::Duration;

use super::super::judge::Seen;
use super::super::wire::Connection;

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
/// The reason of a GOAWAY to a client that floods.
const ENHANCE_YOUR_CALM: u32 = 11;
/// Largest frame that is taken for one.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// A frame that came in.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of the payload.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// A PING of the server's own.
    pub(super) const fn is_ping(&self) -> bool {
        self.kind == PING && self.flags != ACK
    }
}

/// The bytes of a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET of `/` on a stream (RFC 7541, appendix A, and one literal).
pub(super) fn get(stream: u32) -> Vec<u8> {
    let end_stream_and_headers = 5;
    frame(HEADERS, end_stream_and_headers, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'a'])
}

/// A PING.
pub(super) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

/// A connection that speaks HTTP/2.
pub(super) struct Frames(Connection);

impl Frames {
    /// Says hello.
    pub(super) fn begin(mut connection: Connection) -> Self {
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.send(&frame(SETTINGS, 0, 0, &[]));
        Self(connection)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
    }

    /// The next frame; `None`: the connection has ended, or nothing came.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], payload })
    }

    /// The next frame that is one.
    pub(super) fn until(&mut self, is_one: impl Fn(&Frame) -> bool) -> Option<Frame> {
        std::iter::from_fn(|| self.next()).find(is_one)
    }

    /// Asks whether the connection lives, and what the last reason to end it was if not.
    pub(super) fn state(&mut self) -> Seen {
        let mark = *b"selftest";
        self.send(&frame(PING, 0, 0, &mark));
        let mut reason = None;
        while let Some(frame) = self.next() {
            if frame.kind == PING && frame.flags == ACK && frame.payload == mark {
                return Seen::Other(ALIVE.to_owned());
            }
            if frame.kind == GOAWAY {
                reason = frame.number(4);
            }
        }
        Seen::Other(match reason {
            Some(ENHANCE_YOUR_CALM) => CALMED.to_owned(),
            Some(other) => format!("GOAWAY with {other}"),
            None => "closed without a word".to_owned(),
        })
    }

    /// How long it takes until the connection ends.
    pub(super) fn closed_within(&mut self, longest: Duration) -> Option<Duration> {
        self.0.closed_within(longest)
    }
}

/// A connection that lives.
pub(super) const ALIVE: &str = "alive";
/// A connection that was told to calm down.
pub(super) const CALMED: &str = "GOAWAY with ENHANCE_YOUR_CALM";
