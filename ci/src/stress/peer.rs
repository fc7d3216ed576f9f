//! One raw connection, for peers that do what no client does: half a request, a byte at a time, an end without a word.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use load::answer::{Parser, Progress};
use load::wire::{self, Era, Tool};
use load::{Client, Target};
use serde_json::Value;
use socket2::SockRef;

/// What a peer hears.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A whole answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its head and body.
        bytes: Vec<u8>,
    },
    /// The end of the connection.
    Closed,
    /// Nothing that is whole, within the patience.
    Silent,
    /// Bytes that are no HTTP.
    NotHttp(String),
}

impl Reply {
    /// The status, if it is an answer.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Closed | Self::Silent | Self::NotHttp(_) => None,
        }
    }

    /// The message in the answer, if there is one.
    pub(crate) fn message(&self) -> Option<Value> {
        let Self::Answer { bytes, .. } = self else { return None };
        load::answer::message(&load::answer::body(bytes).ok()?)
    }
}

/// A raw connection.
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// Connects from `source`, or any address.
    pub(crate) fn connect(target: &Target, source: Option<IpAddr>) -> Result<Self, String> {
        Client::connect_from(target, source).map(|client| Self(client.into_stream()))
    }

    /// Sends; whether all of it was taken. A refusal may end the connection before that.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends nothing more.
    pub(crate) fn finish(&self) {
        self.0.shutdown(Shutdown::Write).ok();
    }

    /// Ends the connection without a farewell.
    pub(crate) fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).ok();
    }

    /// Takes in as little at once as the kernel allows.
    pub(crate) fn narrow(&self) {
        SockRef::from(&self.0).set_recv_buffer_size(1).ok();
    }

    /// Waits for one answer, so long at most.
    pub(crate) fn answer(&mut self, patience: Duration) -> Reply {
        let begun = Instant::now();
        let (mut bytes, mut part) = (Vec::new(), [0; 16 * 1024]);
        let mut parser = Parser::default();
        loop {
            let left = patience.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            self.0.set_read_timeout(Some(left)).ok();
            match self.0.read(&mut part) {
                Ok(0) => return Reply::Closed,
                Ok(count) => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Reply::Closed,
            }
            match parser.advance(&bytes) {
                Ok(Progress::Whole { status: 100, .. }) => bytes.clear(),
                Ok(Progress::Whole { status, length, .. }) => {
                    bytes.truncate(length);
                    return Reply::Answer { status, bytes };
                }
                Ok(Progress::Partial) => {}
                Err(error) => return Reply::NotHttp(error),
            }
            if begun.elapsed() >= patience {
                return Reply::Silent;
            }
        }
    }

    /// Whether the other side has ended the connection. Throws away what it said.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.0.set_nonblocking(true).ok();
        let mut part = [0; 16 * 1024];
        let is_gone = loop {
            match self.0.read(&mut part) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break !is_timeout(&error),
            }
        };
        self.0.set_nonblocking(false).ok();
        is_gone
    }

    /// Reads exactly so many bytes; `false` at the end of the connection or of the patience.
    pub(crate) fn read_exact(&mut self, bytes: &mut [u8], patience: Duration) -> bool {
        self.0.set_read_timeout(Some(patience)).ok();
        self.0.read_exact(bytes).is_ok()
    }

    /// How long one write may take.
    pub(crate) fn set_write_patience(&self, patience: Duration) {
        self.0.set_write_timeout(Some(patience)).ok();
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A modern call whose body has exactly so many bytes, by an argument that its tool does not know.
pub(crate) fn sized_call(target: &Target, body_bytes: usize) -> Vec<u8> {
    // Put in as text: to write JSON of many mebibytes takes a debug build seconds.
    let tool = Tool {
        name: "test_simple_text".to_owned(),
        arguments: serde_json::json!({ "ballast": "" }),
    };
    let message = wire::call_message(Era::Modern, 1, &tool).to_string();
    let ballast = "x".repeat(body_bytes.saturating_sub(message.len()));
    let message = message.replacen("\"ballast\":\"\"", &format!("\"ballast\":\"{ballast}\""), 1);
    let lines = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "test_simple_text"),
    ];
    wire::post_text(target, &lines, &message)
}

/// The head of such a call, with any length in it and nothing behind it.
pub(crate) fn head_of_call(target: &Target, length: &str) -> Vec<u8> {
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: test_simple_text\r\n{length}\r\n\r\n",
        target.path, target.authority
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_has_the_size_that_was_asked_for() {
        let target = Target::resolve("http://127.0.0.1:1/mcp").unwrap();
        for bytes in [400, 1_000, 70_000] {
            let request = sized_call(&target, bytes);
            let text = String::from_utf8(request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), bytes);
            assert!(head.contains(&format!("Content-Length: {bytes}")));
        }
    }
}
