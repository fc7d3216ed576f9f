//! One client: its connection, and the one call that is under way on it.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::answer::{Parser, Progress};
use crate::arrival::{self, Part};
use crate::client::Client;
use crate::target::Target;
use crate::wire;
use crate::workload::Workload;

/// Bytes that a connection's buffer begins with: one answer to a small call, and room to see that nothing follows it.
const BUFFER_BYTES: usize = 8 * 1024;

/// Most bytes of all answers that are under way: what the generator may take of the server's memory.
const BUFFERS_BYTES_MAX: usize = 1 << 30;
/// What is said of an answer that takes more than its share of them.
const TOO_LARGE: &str =
    "the answer is larger than a connection may keep; fewer of them may keep more";

/// What ended a connection with a call under way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its name in the figures.
    pub(crate) name: Cow<'static, str>,
    /// What the system said.
    pub(crate) what: String,
}

impl Fault {
    fn new(name: &'static str, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// More is to come.
    Pending,
    /// The answer is whole.
    Answer {
        /// Its status.
        status: u16,
        /// When the kernel had the last of it; see [`Part::stamp`].
        stamp: Option<Duration>,
    },
}

/// A client.
#[derive(Debug)]
pub(crate) struct Line {
    stream: Option<TcpStream>,
    token: Token,
    source: Option<IpAddr>,
    request: Vec<u8>,
    /// The same, asking the server to close the connection after it.
    last_request: Vec<u8>,
    delete: Option<Vec<u8>>,
    is_last: bool,
    closes: bool,
    written: usize,
    buffer: Vec<u8>,
    answer_bytes_max: usize,
    filled: usize,
    parser: Parser,
    /// When the call was due; `None` where the server sets the pace.
    due_at: Option<Instant>,
    /// When this client was free for it: the answer before it had come in, or was given up.
    pub(crate) free_at: Instant,
    /// Right before its first byte was sent, or before the connection for it was opened.
    pub(crate) sent_at: Instant,
    /// Whether a call is under way.
    pub(crate) is_waiting: bool,
}

impl Line {
    /// Connects, and shakes hands where the era asks for it.
    pub(crate) fn open(
        target: &Target,
        workload: Workload<'_>,
        source: Option<IpAddr>,
        token: Token,
        registry: &Registry,
    ) -> Result<Self, String> {
        let mut client = Client::connect_from(target, source)?;
        let session = client.prepare(workload.era, workload.speaks_mcp())?;
        let call =
            |closes| wire::call(target, workload.era, session.as_deref(), workload.tool, closes);
        let (request, last_request) = (call(false), call(true));
        let stream = client.into_stream();
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let mut line = Self {
            stream: None,
            token,
            source,
            request,
            last_request,
            delete: session.map(|session| wire::delete(target, &session)),
            is_last: false,
            closes: false,
            written: 0,
            buffer: vec![0; BUFFER_BYTES],
            answer_bytes_max: (BUFFERS_BYTES_MAX / workload.connections.max(1)).max(BUFFER_BYTES),
            filled: 0,
            parser: Parser::default(),
            due_at: None,
            free_at: Instant::now(),
            sent_at: Instant::now(),
            is_waiting: false,
        };
        line.take(TcpStream::from_std(stream), registry).map_err(|error| error.to_string())?;
        Ok(line)
    }

    fn take(&mut self, mut stream: TcpStream, registry: &Registry) -> std::io::Result<()> {
        registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Opens a connection in place of one that is gone, without waiting for it; whether there was need to.
    pub(crate) fn reconnect(
        &mut self,
        target: &Target,
        registry: &Registry,
    ) -> Result<bool, Fault> {
        if self.stream.is_some() {
            return Ok(false);
        }
        let connect = || {
            let socket = target.socket(self.source)?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&target.address.into()) {
                Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
                _ => {}
            }
            Ok(TcpStream::from_std(socket.into()))
        };
        connect()
            .and_then(|stream| self.take(stream, registry))
            .map(|()| true)
            .map_err(|error| Fault::new("cannot_connect", error.to_string()))
    }

    /// Begins a call, right before it is sent. With `is_last`, the connection ends after it.
    pub(crate) fn begin(&mut self, due_at: Option<Instant>, is_last: bool) {
        self.is_waiting = true;
        self.is_last = is_last;
        self.written = 0;
        self.filled = 0;
        self.due_at = due_at;
        self.sent_at = Instant::now();
    }

    /// How long the call, although due, waited for this client because that still waited for the server.
    pub(crate) fn waited(&self) -> Duration {
        let wait = |due_at| self.free_at.saturating_duration_since(due_at);
        self.due_at.map(wait).unwrap_or_default()
    }

    /// How late the generator itself sent the call, which was due and had this client; `None` where the server sets
    /// the pace.
    pub(crate) fn lateness(&self) -> Option<Duration> {
        let lateness =
            |due_at: Instant| self.sent_at.saturating_duration_since(due_at.max(self.free_at));
        self.due_at.map(lateness)
    }

    /// Writes what is left of the request, as far as the socket takes it.
    pub(crate) fn send(&mut self) -> Result<(), Fault> {
        let request = if self.is_last { &self.last_request } else { &self.request };
        let Some(stream) = &mut self.stream else { return Err(closed()) };
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if is_not_yet(&error) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Err(Fault::new("cannot_connect", error.to_string()));
                }
                Err(error) => return Err(Fault::new("closed", error.to_string())),
            }
        }
        Ok(())
    }

    /// Reads as far as the socket allows.
    pub(crate) fn receive(&mut self) -> Result<Received, Fault> {
        let Some(stream) = &mut self.stream else { return Err(closed()) };
        loop {
            if self.filled == self.buffer.len() {
                if self.filled >= self.answer_bytes_max {
                    return Err(Fault::new("answer_too_large", TOO_LARGE));
                }
                self.buffer.resize((self.filled * 2).min(self.answer_bytes_max), 0);
            }
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let room = space.len();
            let Part { bytes: got, stamp } = match stream.try_io(|| arrival::read(stream, space)) {
                Ok(Part { bytes: 0, .. }) => return Err(closed()),
                Ok(part) => part,
                Err(error) if is_not_yet(&error) => return Ok(Received::Pending),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Err(Fault::new("cannot_connect", error.to_string()));
                }
                Err(error) => return Err(Fault::new("closed", error.to_string())),
            };
            self.filled += got;
            let progress = self.parser.advance(self.buffer.get(..self.filled).unwrap_or_default());
            match progress.map_err(|what| Fault::new("not_http", what))? {
                Progress::Whole { status, length, closes } => {
                    if length != self.filled {
                        return Err(Fault::new("not_http", "more bytes than the answer has"));
                    }
                    self.closes = closes;
                    return Ok(Received::Answer { status, stamp });
                }
                // A short read has emptied the socket; the next bytes bring an event of their own.
                Progress::Partial if got < room => return Ok(Received::Pending),
                Progress::Partial => {}
            }
        }
    }

    /// The answer, once it is whole.
    pub(crate) fn answer(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// The call has its answer, which came in at this moment. The connection goes when either side said so.
    pub(crate) fn finish(&mut self, arrived_at: Instant) {
        self.is_waiting = false;
        self.free_at = arrived_at;
        if std::mem::take(&mut self.closes) || self.is_last {
            self.hang_up();
        }
    }

    /// Ends the connection; the next call needs another one.
    pub(crate) fn hang_up(&mut self) {
        self.is_waiting = false;
        self.parser = Parser::default();
        // Closing takes it out of the poll.
        self.stream = None;
    }

    /// Ends the session, as a well-behaved client does.
    pub(crate) fn close(mut self, target: &Target, registry: &Registry) {
        let (Some(mut stream), Some(delete)) = (self.stream.take(), self.delete.take()) else {
            return;
        };
        if self.is_waiting || registry.deregister(&mut stream).is_err() {
            return;
        }
        // A server may refuse to end a session, and may have closed the connection: both are its own business.
        Client::again(stream.into(), target).and_then(|mut client| client.exchange(&delete)).ok();
    }
}

/// What `connect` says when it does not wait.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

fn closed() -> Fault {
    Fault::new("closed", "the server closed the connection")
}

/// A socket that is being connected, or that has no more to say for now.
fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
