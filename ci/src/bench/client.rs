//! A client that waits for each answer: handshakes, probes, and the calls whose number matters more than their pace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::answer::{self, Parser, Progress};
use super::wire::{self, Era};

/// How long a server may take for one answer before the benchmark gives it up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Length of a session's id that the ceiling's clients make up: as long as ours.
const SESSION_ID_BYTES: usize = 43;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    authority: String,
    buffer: Vec<u8>,
}

/// A whole answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its head and body.
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// Connects to `authority`, an address and a port.
    pub(crate) fn connect(authority: &str) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect(authority)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = connect()
            .map_err(|error: std::io::Error| format!("cannot reach {authority}: {error}"))?;
        Ok(Self { stream, authority: authority.to_owned(), buffer: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), String> {
        self.stream.write_all(request).map_err(|error| format!("sending: {error}"))
    }

    /// Waits for the answer to what was sent.
    pub(crate) fn receive(&mut self) -> Result<Answer, String> {
        let mut parser = Parser::default();
        let mut part = [0; 16 * 1024];
        loop {
            let got = self.stream.read(&mut part).map_err(|error| format!("reading: {error}"))?;
            if got == 0 {
                return Err("the server closed the connection".to_owned());
            }
            self.buffer.extend_from_slice(&part[..got]);
            if let Progress::Whole { status, length } = parser.advance(&self.buffer)? {
                let rest = self.buffer.split_off(length);
                let bytes = std::mem::replace(&mut self.buffer, rest);
                return Ok(Answer { status, bytes });
            }
        }
    }

    /// Shakes hands; the session's id.
    pub(crate) fn open_session(&mut self) -> Result<String, String> {
        let answer = self.exchange(&wire::initialize(&self.authority))?;
        let session = answer::header(&answer.bytes, "mcp-session-id")
            .ok_or_else(|| format!("no session: {}", String::from_utf8_lossy(&answer.bytes)))?
            .to_owned();
        let initialized = wire::initialized(&self.authority, &session);
        let accepted = self.exchange(&initialized)?;
        if accepted.status != 202 {
            return Err(format!("the handshake's second half got status {}", accepted.status));
        }
        Ok(session)
    }

    /// Shakes hands if `era` asks for it. The ceiling speaks no MCP; its clients pretend that it gave them a session.
    pub(crate) fn prepare(&mut self, era: Era, speaks_mcp: bool) -> Result<Option<String>, String> {
        match era {
            Era::Session if speaks_mcp => self.open_session().map(Some),
            Era::Session => Ok(Some("0".repeat(SESSION_ID_BYTES))),
            Era::Sessionless | Era::Modern => Ok(None),
        }
    }

    /// Calls `echo` once; whoever speaks MCP must say the text back.
    pub(crate) fn call(
        &mut self,
        era: Era,
        text: &str,
        speaks_mcp: bool,
    ) -> Result<Answer, String> {
        let session = self.prepare(era, speaks_mcp)?;
        let answer = self.exchange(&wire::call(&self.authority, era, session.as_deref(), text))?;
        let message = answer::message(&answer::body(&answer.bytes)?);
        let is_echo = message.is_some_and(|message| answer::echoes(&message, text));
        if answer.status != 200 || (speaks_mcp && !is_echo) {
            return Err(format!("not an echo: {}", String::from_utf8_lossy(&answer.bytes)));
        }
        Ok(answer)
    }

    /// Takes over a connection that nobody waits for.
    pub(crate) fn again(stream: TcpStream) -> Result<Self, String> {
        stream.set_nonblocking(false).map_err(|error| error.to_string())?;
        Ok(Self { stream, authority: String::new(), buffer: Vec::new() })
    }

    /// Gives the connection away.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}
