//! The load: one thread, many connections, one request in flight on each, and what came back.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::answer::{self, Parser, Progress};
use super::client::Client;
use super::wire::{self, Era};

/// One answer in so many is read as a client would read it.
const SAMPLE_EVERY: u64 = 512;
/// Bytes that a connection's buffer begins with: one answer of the larger size.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long the last answers of a round may take.
const GRACE: Duration = Duration::from_secs(5);
/// Latencies are kept from 1 us to 60 s, to three digits.
const LATENCY_NS: (u64, u64) = (1_000, 60_000_000_000);

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload<'a> {
    /// How the clients speak.
    pub(crate) era: Era,
    /// What `echo` is to say.
    pub(crate) text: &'a str,
    /// Connections, each with one request in flight.
    pub(crate) connections: usize,
    /// Whether answers must hold the text; the ceiling's do not.
    pub(crate) speaks_mcp: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Good answers within the time.
    pub(crate) answers: u64,
    /// Answers with another status, without the echo, or that never came.
    pub(crate) errors: u64,
    /// The first of those.
    pub(crate) first_error: Option<String>,
    /// How long it was.
    pub(crate) elapsed: Duration,
    /// Nanoseconds from the first byte out to the last byte in.
    pub(crate) latencies: Histogram<u64>,
}

/// A client's connection.
struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    delete: Option<Vec<u8>>,
    written: usize,
    buffer: Vec<u8>,
    filled: usize,
    parser: Parser,
    sent_at: Instant,
    is_waiting: bool,
}

/// All clients of one server.
pub(crate) struct Load<'a> {
    workload: Workload<'a>,
    poll: Poll,
    events: Events,
    lines: Vec<Line>,
}

impl<'a> Load<'a> {
    /// Connects, and shakes hands where the era asks for it.
    pub(crate) fn open(authority: &str, workload: Workload<'a>) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let mut lines = Vec::with_capacity(workload.connections);
        for index in 0..workload.connections {
            let mut line = Line::open(authority, workload)?;
            poll.registry()
                .register(&mut line.stream, Token(index), Interest::READABLE | Interest::WRITABLE)
                .map_err(|error| error.to_string())?;
            lines.push(line);
        }
        Ok(Self { workload, poll, events: Events::with_capacity(workload.connections), lines })
    }

    /// Calls without a pause for `duration`, then waits for the last answers.
    pub(crate) fn run(&mut self, duration: Duration) -> Result<Outcome, String> {
        let latencies = Histogram::new_with_bounds(LATENCY_NS.0, LATENCY_NS.1, 3)
            .map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let end = begun + duration;
        let mut outcome =
            Outcome { answers: 0, errors: 0, first_error: None, elapsed: duration, latencies };
        let mut waiting = 0;
        for line in &mut self.lines {
            line.begin(Instant::now());
            line.is_waiting = outcome.accept(line.send()).is_some();
            waiting += usize::from(line.is_waiting);
        }
        while waiting > 0 {
            if Instant::now() > end + GRACE {
                outcome.fail(waiting as u64, "no answer within the grace at the end of the round");
                break;
            }
            match self.poll.poll(&mut self.events, Some(Duration::from_millis(100))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(error.to_string());
                }
                _ => {}
            }
            for event in &self.events {
                let Some(line) = self.lines.get_mut(event.token().0).filter(|line| line.is_waiting)
                else {
                    continue;
                };
                let step = line.step(end, self.workload, &mut outcome);
                if outcome.accept(step) != Some(true) {
                    line.is_waiting = false;
                    waiting -= 1;
                }
            }
        }
        Ok(outcome)
    }

    /// Ends the sessions and the connections, as a well-behaved client does.
    pub(crate) fn close(self) -> Result<(), String> {
        for mut line in self.lines {
            let Some(delete) = line.delete.take().filter(|_| line.filled == 0) else {
                continue;
            };
            self.poll.registry().deregister(&mut line.stream).map_err(|error| error.to_string())?;
            let stream = std::net::TcpStream::from(line.stream);
            // A server may refuse to end a session, and may have closed the connection: both are its own business.
            Client::again(stream).and_then(|mut client| client.exchange(&delete)).ok();
        }
        Ok(())
    }
}

impl Line {
    fn open(authority: &str, workload: Workload<'_>) -> Result<Self, String> {
        let mut client = Client::connect(authority)?;
        let session = client.prepare(workload.era, workload.speaks_mcp)?;
        let request = wire::call(authority, workload.era, session.as_deref(), workload.text);
        let stream = client.into_stream();
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            request,
            delete: session.map(|session| wire::delete(authority, &session)),
            written: 0,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            parser: Parser::default(),
            sent_at: Instant::now(),
            is_waiting: false,
        })
    }

    fn begin(&mut self, now: Instant) {
        self.written = 0;
        self.filled = 0;
        self.sent_at = now;
    }

    /// Writes what is left of the request, as far as the socket takes it.
    fn send(&mut self) -> Result<(), String> {
        while let Some(rest) = self.request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }

    /// Goes as far as the socket allows; whether an answer is still to come.
    fn step(
        &mut self,
        end: Instant,
        workload: Workload<'_>,
        outcome: &mut Outcome,
    ) -> Result<bool, String> {
        self.send()?;
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let room = space.len();
            let got = match self.stream.read(space) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(format!("reading: {error}")),
            };
            self.filled += got;
            let answer = self.buffer.get(..self.filled).unwrap_or_default();
            if let Progress::Whole { status, length } = self.parser.advance(answer)? {
                if length != self.filled {
                    return Err("more bytes than the answer has".to_owned());
                }
                let now = Instant::now();
                outcome.record(status, answer, now - self.sent_at, now <= end, workload);
                self.begin(now);
                if now >= end {
                    return Ok(false);
                }
                self.send()?;
            }
            // A short read has emptied the socket; the next bytes bring an event of their own.
            if got < room {
                return Ok(true);
            }
        }
    }
}

impl Outcome {
    /// Counts one answer; reads one in [`SAMPLE_EVERY`].
    fn record(
        &mut self,
        status: u16,
        answer: &[u8],
        latency: Duration,
        in_time: bool,
        workload: Workload<'_>,
    ) {
        if status != 200 {
            self.fail(1, &String::from_utf8_lossy(answer));
            return;
        }
        if workload.speaks_mcp && self.answers.is_multiple_of(SAMPLE_EVERY) {
            let message = answer::body(answer).ok().and_then(|body| answer::message(&body));
            if !message.is_some_and(|message| answer::echoes(&message, workload.text)) {
                self.fail(1, &String::from_utf8_lossy(answer));
                return;
            }
        }
        if in_time {
            self.answers += 1;
            self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    fn fail(&mut self, count: u64, what: &str) {
        self.errors += count;
        self.first_error.get_or_insert_with(|| what.chars().take(400).collect());
    }

    /// Counts a failure of a connection.
    fn accept<T>(&mut self, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(what) => {
                self.fail(1, &what);
                None
            }
        }
    }
}
