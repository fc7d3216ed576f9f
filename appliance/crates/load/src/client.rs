//! A client that waits for each answer: handshakes, probes, and the calls whose number matters more than their pace.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::answer::{self, Parser, Progress};
use crate::arrival::{self, Clocks, Part};
use crate::target::Target;
use crate::wire::{self, Era, Tool};

/// How long a server may take for one answer before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Length of a session's id that clients of a server without MCP make up: as long as ours.
const SESSION_ID_BYTES: usize = 43;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    target: Target,
    buffer: Vec<u8>,
    /// When the last request was sent.
    sent_at: Instant,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head and body.
    pub bytes: Vec<u8>,
    /// When the kernel had the last of it.
    pub arrived_at: Instant,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// That the server cannot be reached, and why.
    pub fn connect(target: &Target) -> Result<Self, String> {
        Self::connect_from(target, None)
    }

    /// Connects from the address `source`, or any.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_from(target: &Target, source: Option<IpAddr>) -> Result<Self, String> {
        let connect = || {
            let socket = target.socket(source)?;
            socket.connect_timeout(&target.address.into(), PATIENCE)?;
            socket.set_tcp_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket.into())
        };
        let stream = connect().map_err(|error: std::io::Error| {
            format!("cannot reach {}: {error}; is a server there?", target.authority)
        })?;
        Ok(Self::new(stream, target))
    }

    fn new(stream: TcpStream, target: &Target) -> Self {
        Self { stream, target: target.clone(), buffer: Vec::new(), sent_at: Instant::now() }
    }

    /// Gives the connection away.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Why no answer came.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Why the connection did not take it.
    pub fn send(&mut self, request: &[u8]) -> Result<(), String> {
        self.sent_at = Instant::now();
        self.stream.write_all(request).map_err(|error| format!("sending: {error}"))
    }

    /// Waits for the answer to what was sent.
    ///
    /// # Errors
    /// Why no answer came.
    pub fn receive(&mut self) -> Result<Answer, String> {
        let mut parser = Parser::default();
        let mut part = [0; 16 * 1024];
        loop {
            let Part { bytes: got, stamp } = match arrival::read(&self.stream, &mut part) {
                Ok(part) => part,
                // A signal, which is for others.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("reading: {error}")),
            };
            if got == 0 {
                return Err("the server closed the connection".to_owned());
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err("the answer has no end".to_owned());
            }
            self.buffer.extend_from_slice(&part[..got]);
            if let Progress::Whole { status, length, .. } = parser.advance(&self.buffer)? {
                let arrived_at = Clocks::read().arrival(stamp, self.sent_at, Instant::now());
                let rest = self.buffer.split_off(length);
                let bytes = std::mem::replace(&mut self.buffer, rest);
                return Ok(Answer { status, bytes, arrived_at });
            }
        }
    }

    /// Shakes hands; the session's id.
    ///
    /// # Errors
    /// What the server said instead.
    pub fn open_session(&mut self) -> Result<String, String> {
        let answer = self.exchange(&wire::initialize(&self.target))?;
        let session = answer::header(&answer.bytes, "mcp-session-id")
            .ok_or_else(|| format!("no session: {}", String::from_utf8_lossy(&answer.bytes)))?
            .to_owned();
        let initialized = wire::initialized(&self.target, &session);
        let accepted = self.exchange(&initialized)?;
        if accepted.status != 202 {
            return Err(format!("the handshake's second half got status {}", accepted.status));
        }
        Ok(session)
    }

    /// Shakes hands if `era` asks for it. To a server that speaks no MCP, clients pretend that
    /// it gave them a session.
    ///
    /// # Errors
    /// As [`Client::open_session`].
    pub fn prepare(&mut self, era: Era, speaks_mcp: bool) -> Result<Option<String>, String> {
        match era {
            Era::Session if speaks_mcp => self.open_session().map(Some),
            Era::Session => Ok(Some("0".repeat(SESSION_ID_BYTES))),
            Era::Sessionless | Era::Modern => Ok(None),
        }
    }

    /// Calls `echo` once; whoever speaks MCP must say the text back.
    ///
    /// # Errors
    /// What came instead of the echo.
    pub fn call(&mut self, era: Era, text: &str, speaks_mcp: bool) -> Result<Answer, String> {
        let session = self.prepare(era, speaks_mcp)?;
        let answer = self.exchange(&wire::call(
            &self.target,
            era,
            session.as_deref(),
            &Tool::echo(text),
            false,
        ))?;
        let message = answer::message(&answer::body(&answer.bytes)?);
        let is_echo = message.is_some_and(|message| answer::echoes(&message, text));
        if answer.status != 200 || (speaks_mcp && !is_echo) {
            return Err(format!("not an echo: {}", String::from_utf8_lossy(&answer.bytes)));
        }
        Ok(answer)
    }

    /// Takes over a connection to `target` that nobody waits for.
    ///
    /// # Errors
    /// Why the connection cannot be used.
    pub fn again(stream: TcpStream, target: &Target) -> Result<Self, String> {
        stream.set_nonblocking(false).map_err(|error| error.to_string())?;
        Ok(Self::new(stream, target))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answer_that_waits_for_its_reader_came_when_the_kernel_had_it() {
        const LATE: Duration = Duration::from_millis(200);
        let _kernel_stamps = arrival::tests::stamped();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut client = Client::connect(&Target::resolve(&url).unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.send(b"?").unwrap();
        server.read_exact(&mut [0]).unwrap();
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        client.stream.peek(&mut [0]).unwrap();
        let seen_at = Instant::now();
        while seen_at.elapsed() < LATE {
            std::hint::spin_loop();
        }
        let answer = client.receive().unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.arrived_at < seen_at + LATE / 2, "{:?}", answer.arrived_at - seen_at);
    }
}
