//! The requests of each era, as bytes.

use serde_json::{Value, json};

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Era {
    /// 2025-11-25 with a handshake and a session for each connection.
    Session,
    /// 2025-11-25 without either, which some servers allow.
    Sessionless,
    /// 2026-07-28.
    Modern,
}

impl Era {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
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

/// A text of `bytes` letters, for `echo` to say back.
pub(crate) fn text(bytes: usize) -> String {
    ('a'..='z').cycle().take(bytes).collect()
}

/// A POST to the endpoint at `authority`, with further header lines.
fn post(authority: &str, lines: &[(&str, &str)], body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in lines {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.push_str(&body);
    head.into_bytes()
}

/// The first message of a session.
pub(crate) fn initialize(authority: &str) -> Vec<u8> {
    let client = json!({"name": "bench", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    post(
        authority,
        &[],
        &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}),
    )
}

/// The second message of a session.
pub(crate) fn initialized(authority: &str, session: &str) -> Vec<u8> {
    let lines = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
    post(authority, &lines, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
}

/// The end of a session.
pub(crate) fn delete(authority: &str, session: &str) -> Vec<u8> {
    format!(
        "DELETE /mcp HTTP/1.1\r\nHost: {authority}\r\nMcp-Session-Id: {session}\r\n\
         MCP-Protocol-Version: 2025-11-25\r\n\r\n"
    )
    .into_bytes()
}

/// The message that calls `echo`, as a client of `era` writes it.
pub(crate) fn call_message(era: Era, id: u64, text: &str) -> Value {
    let mut params = json!({"name": "echo", "arguments": {"text": text}});
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": era.revision(),
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        });
    }
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// A call of `echo` over HTTP.
pub(crate) fn call(authority: &str, era: Era, session: Option<&str>, text: &str) -> Vec<u8> {
    let mut lines = vec![("MCP-Protocol-Version", era.revision())];
    if era == Era::Modern {
        lines.extend([("Mcp-Method", "tools/call"), ("Mcp-Name", "echo")]);
    }
    lines.extend(session.map(|session| ("Mcp-Session-Id", session)));
    post(authority, &lines, &call_message(era, 1, text))
}
