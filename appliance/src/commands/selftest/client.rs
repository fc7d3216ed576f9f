//! Clients of more than one request: what they say of the requests before.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::judge::Seen;
use super::run::Run;
use super::wire::{Connection, Way, message_of, modern_headers};

/// What a client can do that answers questions and knows tasks.
fn capabilities() -> Value {
    json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } })
}

/// What a client says that lets a tool go on.
pub(super) fn consent() -> Value {
    json!({ "action": "accept", "content": { "ok": true } })
}

/// A request of 2026-07-28 of a client that answers questions and knows tasks.
pub(super) fn able(way: &Way, method: &str, params: Value) -> Vec<u8> {
    way.posted(&modern_headers(method, &params), &message_of(&capabilities(), method, params))
}

/// A session of 2025-11-25, on a connection that stays.
#[derive(Debug)]
pub(super) struct Session<'a> {
    way: &'a Way,
    client: IpAddr,
    connection: Connection,
    /// The lines of a head by which it is known.
    lines: String,
}

impl<'a> Session<'a> {
    /// Begins one from an address that no request has come from.
    ///
    /// # Errors
    /// What came back instead.
    pub(super) fn begin(run: &mut Run, way: &'a Way) -> Result<Self, Seen> {
        let client = run.client();
        let mut connection = Connection::open(way, client)?;
        let welcome = connection.exchange(&way.initialize())?;
        let Some(id) = welcome.header("mcp-session-id") else { return Err(welcome.seen()) };
        let lines = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        let mut session = Self { way, client, connection, lines };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        session.post(&initialized)?;
        Ok(session)
    }

    /// The same for the check of one key, which is skipped when there is none.
    pub(super) fn begin_for(run: &mut Run, way: &'a Way, key: &str) -> Option<Self> {
        let begun = Self::begin(run, way);
        begun.map_err(|failed| run.skip(key, format!("there was no session: {failed}"))).ok()
    }

    /// The bytes of a request.
    pub(super) fn request(&self, method: &str, params: &Value) -> Vec<u8> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.way.posted(&self.lines, &message.to_string())
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask(&mut self, method: &str, params: &Value) -> Result<Answer, Seen> {
        let request = self.request(method, params);
        self.connection.exchange(&request)
    }

    /// Sends a message that is no request; what comes back has no message.
    pub(super) fn post(&mut self, message: &Value) -> Result<Answer, Seen> {
        self.connection.exchange(&self.way.posted(&self.lines, &message.to_string()))
    }

    /// Asks for what came after an event of a stream.
    pub(super) fn resume(&self, event: &str) -> Result<Answer, Seen> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}Last-Event-ID: {event}\r\n\r\n",
            self.way.path, self.way.address, self.lines
        );
        self.beside()?.exchange(request.as_bytes())
    }

    /// Another connection of the same client.
    pub(super) fn beside(&self) -> Result<Connection, Seen> {
        Connection::open(self.way, self.client)
    }
}

/// What was seen of an exchange.
pub(super) fn seen(exchanged: Result<Answer, Seen>) -> Seen {
    exchanged.map_or_else(|failed| failed, |answer| answer.seen())
}
