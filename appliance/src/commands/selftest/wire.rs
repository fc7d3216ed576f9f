//! Connections of a test, byte by byte: what is sent, and what comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use load::answer::{self, Parser, Progress};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use super::answer::{Answer, status};
use super::judge::Seen;

/// How long an answer may take, unless its check says something else: longer than any deadline in a lane.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Bytes that the kernel keeps for a client that does not read; it doubles them.
const SMALL_BUFFER_BYTES: usize = 4 << 10;

/// One way into a lane.
#[derive(Clone, Debug, serde::Deserialize)]
pub(super) struct Way {
    /// The listener's name in the profile.
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) path: String,
}

impl Way {
    /// The head of a POST of so many bytes, without its end.
    pub(super) fn head(&self, bytes: usize) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {bytes}\r\n",
            self.path, self.address
        )
    }

    /// The bytes of a request of 2026-07-28.
    pub(super) fn request(&self, method: &str, params: Value) -> Vec<u8> {
        self.posted(&modern_headers(method, &params), &message(method, params))
    }

    /// The bytes of a call of a tool.
    pub(super) fn call(&self, tool: &str, arguments: &Value) -> Vec<u8> {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// A call of the tool that answers at once.
    pub(super) fn ordinary(&self) -> Vec<u8> {
        self.call("probe_answer", &json!({}))
    }

    /// The bytes of a handshake of 2025-11-25.
    pub(super) fn initialize(&self) -> Vec<u8> {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "selftest", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        self.posted("", &body.to_string())
    }

    /// The bytes of a POST with more headers.
    pub(super) fn posted(&self, headers: &str, body: &str) -> Vec<u8> {
        format!("{}{headers}\r\n{body}", self.head(body.len())).into_bytes()
    }

    /// The bytes of a GET of `target`, which is no part of the protocol.
    pub(super) fn get(&self, target: &str, headers: &str) -> Vec<u8> {
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address).into_bytes()
    }
}

/// Headers of a request of 2026-07-28.
pub(super) fn modern_headers(method: &str, params: &Value) -> String {
    let name = ["name", "taskId"].iter().find_map(|key| params.get(key)?.as_str());
    let name = name.map_or_else(String::new, |name| format!("Mcp-Name: {name}\r\n"));
    format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
}

/// The text of a request of 2026-07-28.
pub(super) fn message(method: &str, params: Value) -> String {
    message_of(&json!({}), method, params)
}

/// The same of a client with these capabilities.
pub(super) fn message_of(capabilities: &Value, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// Addresses of this machine, each a client of its own to the limits.
#[derive(Debug, Default)]
pub(super) struct Clients(u16);

impl Clients {
    /// One that no request of this run has come from.
    pub(super) const fn next(&mut self) -> IpAddr {
        self.0 = self.0.wrapping_add(1);
        let [high, low] = self.0.to_be_bytes();
        // Neither 127.0.0.0/16, where others are, nor an address that ends in 0 or 255 by accident of the counter.
        IpAddr::V4(Ipv4Addr::new(127, 77, high, low))
    }
}

fn not_connected(error: &io::Error) -> Seen {
    Seen::Failed(format!("cannot connect: {error}"))
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects from `client`.
    pub(super) fn open(way: &Way, client: IpAddr) -> Result<Self, Seen> {
        Self::connect(way, client, |_| Ok(())).map_err(|error| not_connected(&error))
    }

    /// The same with little room for answers, for a client that does not read them.
    pub(super) fn open_small(way: &Way, client: IpAddr) -> Result<Self, Seen> {
        let set = |socket: &Socket| socket.set_recv_buffer_size(SMALL_BUFFER_BYTES);
        Self::connect(way, client, set).map_err(|error| not_connected(&error))
    }

    fn connect(
        way: &Way,
        client: IpAddr,
        set: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        set(&socket)?;
        socket.bind(&SocketAddr::new(client, 0).into())?;
        socket.connect_timeout(&way.address.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends; a server that has closed is found out by reading.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> Seen {
        self.send(request);
        self.answer()
    }

    /// Reads the answer to what was sent.
    pub(super) fn answer(&mut self) -> Seen {
        self.whole().map_or_else(|failed| failed, |answer| answer.seen())
    }

    /// Sends a request and reads its answer, for those who want to know more of it.
    pub(super) fn exchange(&mut self, request: &[u8]) -> Result<Answer, Seen> {
        self.send(request);
        self.whole()
    }

    /// Reads the answer to what was sent, for the same.
    pub(super) fn whole(&mut self) -> Result<Answer, Seen> {
        match self.whole_answer() {
            Ok(Some(bytes)) => Ok(Answer::new(bytes)),
            Ok(None) => Err(Seen::Closed),
            Err(error) => Err(Seen::Failed(error)),
        }
    }

    /// The answer, if one has come.
    pub(super) fn answer_there_is(&mut self) -> Option<Seen> {
        self.stream.set_nonblocking(true).ok()?;
        let is_there = self.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        self.stream.set_nonblocking(false).ok()?;
        is_there.then(|| self.answer())
    }

    /// The answer's bytes; `None`: the connection was closed instead.
    fn whole_answer(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut parser = Parser::default();
        let mut part = vec![0; 64 << 10];
        loop {
            if let Progress::Whole { length, .. } = parser.advance(&self.buffer)? {
                let rest = self.buffer.split_off(length);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err("an answer without an end".to_owned());
            }
            match self.stream.read(&mut part) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(format!("no answer: {error}")),
            }
        }
    }

    /// The first bytes of an answer, with the head of an answer that has no end.
    pub(super) fn head(&mut self) -> Seen {
        let mut part = vec![0; 16 << 10];
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let is_stream = answer::header(&self.buffer, "content-type")
                    .is_some_and(|kind| kind.starts_with("text/event-stream"));
                if !is_stream {
                    return self.answer();
                }
                let status = status(&self.buffer);
                self.buffer.drain(..end + 4);
                return Seen::Answer { status, refused: None };
            }
            match self.stream.read(&mut part) {
                Ok(0) => return Seen::Closed,
                Ok(count) => self.buffer.extend_from_slice(&part[..count]),
                Err(error) => return Seen::Failed(format!("no answer: {error}")),
            }
        }
    }

    /// Reads to the end of the connection: how long it took, or that it is still open after `longest`.
    pub(super) fn closed_within(&mut self, longest: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let mut part = [0; 4096];
        loop {
            let left = longest.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
            self.stream.set_read_timeout(Some(left)).ok()?;
            match self.stream.read(&mut part) {
                Ok(0) => return Some(begun.elapsed()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return None,
                    ErrorKind::Interrupted => {}
                    _ => return Some(begun.elapsed()),
                },
            }
        }
    }

    /// Whether this text comes in time.
    pub(super) fn reads_within(&mut self, text: &str, longest: Duration) -> bool {
        self.read_until(longest, |read| {
            read.windows(text.len()).any(|part| part == text.as_bytes())
        })
    }

    /// The message of a stream that has this text in it, if it comes in time.
    pub(super) fn message_within(&mut self, text: &str, longest: Duration) -> Option<Value> {
        let mut found = None;
        self.read_until(longest, |read| {
            let read = String::from_utf8_lossy(read);
            let whole = read.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let mut messages = whole.lines().filter_map(|line| line.strip_prefix("data: "));
            found = messages.find(|message| message.contains(text)).map(str::to_owned);
            found.is_some()
        });
        serde_json::from_str(&found?).ok()
    }

    /// Reads on until what was read `is_enough`. `false`: there was no such end.
    fn read_until(&mut self, longest: Duration, mut is_enough: impl FnMut(&[u8]) -> bool) -> bool {
        let begun = Instant::now();
        let mut part = [0; 4096];
        loop {
            if is_enough(&self.buffer) {
                return true;
            }
            let left = longest.saturating_sub(begun.elapsed());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match self.stream.read(&mut part) {
                Ok(count) if count > 0 => self.buffer.extend_from_slice(&part[..count]),
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// Reads into `part` what has come, for frames.
    pub(super) fn read_exact(&mut self, part: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(part)
    }
}
