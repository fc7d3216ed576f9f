//! An HTTP/2 client that sends and sees single frames.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::{PATIENCE, Program};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const ACK: u8 = 1;

/// A frame that came in.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of the payload.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET of `/` on a stream (RFC 7541, appendix A, and one literal).
pub(crate) fn get(stream: u32) -> Vec<u8> {
    let end_stream_and_headers = 5;
    frame(HEADERS, end_stream_and_headers, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'a'])
}

/// A connection.
pub(crate) struct Frames(TcpStream);

impl Frames {
    /// Says hello.
    pub(crate) fn open(program: &Program) -> Self {
        let stream = TcpStream::connect(&program.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut frames = Self(stream);
        frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.send(&frame(SETTINGS, 0, 0, &[]));
        frames
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it reads");
    }

    /// The next frame; `None`: the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], payload })
    }

    /// The next frame that is one.
    pub(crate) fn until(&mut self, is_one: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the connection has ended");
            if is_one(&frame) {
                return frame;
            }
        }
    }

    /// The reason of the last GOAWAY before the end of the connection.
    pub(crate) fn farewell(&mut self) -> Option<u32> {
        let frames = std::iter::from_fn(|| self.next());
        frames.filter(|frame| frame.kind == GOAWAY).map(|frame| frame.number(4)).last()
    }

    /// Asks whether the connection lives; the frames that came before the answer.
    pub(crate) fn alive(&mut self) -> Vec<Frame> {
        let mark = *b"alive?!!";
        self.send(&frame(PING, 0, 0, &mark));
        let mut before = Vec::new();
        loop {
            let frame = self.next().expect("it lives");
            if frame.kind == PING && frame.flags == ACK && frame.payload == mark {
                return before;
            }
            before.push(frame);
        }
    }
}
