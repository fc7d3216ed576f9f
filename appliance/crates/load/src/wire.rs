//! The requests of each era, as bytes.

use serde_json::{Value, json};

use crate::target::Target;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    /// 2025-11-25 with a handshake and a session for each connection.
    Session,
    /// 2025-11-25 without either, which some servers allow.
    Sessionless,
    /// 2026-07-28.
    Modern,
}

impl Era {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Sessionless => "no session",
            Self::Modern => "modern",
        }
    }

    /// The revision that it speaks.
    const fn revision(self) -> &'static str {
        match self {
            Self::Session | Self::Sessionless => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }
}

/// The tool to call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name: visible ASCII, since the modern era has it in a header.
    pub name: String,
    /// What it is called with: an object.
    pub arguments: Value,
}

impl Tool {
    /// The tool that says back what it is told.
    #[must_use]
    pub fn echo(text: &str) -> Self {
        Self { name: "echo".to_owned(), arguments: json!({ "text": text }) }
    }
}

/// A text of `bytes` letters, for `echo` to say back.
#[must_use]
pub fn text(bytes: usize) -> String {
    ('a'..='z').cycle().take(bytes).collect()
}

/// A POST to the endpoint, with further header lines.
fn post(target: &Target, lines: &[(&str, &str)], body: &Value) -> Vec<u8> {
    post_text(target, lines, &body.to_string())
}

/// A POST of any text to the endpoint, with further header lines.
#[must_use]
pub fn post_text(target: &Target, lines: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        target.path,
        target.authority,
        body.len()
    );
    for (name, value) in lines {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// A GET of another path of the same server.
#[must_use]
pub fn get(target: &Target, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", target.authority).into_bytes()
}

/// The first message of a session.
#[must_use]
pub fn initialize(target: &Target) -> Vec<u8> {
    let client = json!({"name": "bench", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    post(target, &[], &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
}

/// The second message of a session.
#[must_use]
pub fn initialized(target: &Target, session: &str) -> Vec<u8> {
    let lines = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
    post(target, &lines, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
}

/// The end of a session.
#[must_use]
pub fn delete(target: &Target, session: &str) -> Vec<u8> {
    format!(
        "DELETE {} HTTP/1.1\r\nHost: {}\r\nMcp-Session-Id: {session}\r\n\
         MCP-Protocol-Version: 2025-11-25\r\n\r\n",
        target.path, target.authority
    )
    .into_bytes()
}

/// The message that calls a tool, as a client of `era` writes it.
#[must_use]
pub fn call_message(era: Era, id: u64, tool: &Tool) -> Value {
    let mut params = json!({"name": tool.name, "arguments": tool.arguments});
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": era.revision(),
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        });
    }
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// A call of a tool over HTTP. One that `closes` is the last on its connection: the server closes it then, so that no
/// port of the client is kept waiting.
#[must_use]
pub fn call(
    target: &Target,
    era: Era,
    session: Option<&str>,
    tool: &Tool,
    closes: bool,
) -> Vec<u8> {
    let mut lines = vec![("MCP-Protocol-Version", era.revision())];
    if era == Era::Modern {
        lines.extend([("Mcp-Method", "tools/call"), ("Mcp-Name", &*tool.name)]);
    }
    lines.extend(session.map(|session| ("Mcp-Session-Id", session)));
    lines.extend(closes.then_some(("Connection", "close")));
    post(target, &lines, &call_message(era, 1, tool))
}
