//! Refusals that only HTTP has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::conversation::{Conversation, Fits};
use super::modern;
use crate::server::Server;

/// No answer is this long in coming.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// What a client of a session may be refused.
pub(super) fn legacy(talk: &mut Conversation, revision: &str) -> Result<(), String> {
    let server = Server::start("ci/interop/conformance/profile.toml")?;
    let version = format!("MCP-Protocol-Version: {revision}\r\n");
    for (asked, headers, code) in [
        ("without a session", version.clone(), -32600),
        ("with a session that nobody has", format!("{version}Mcp-Session-Id: none\r\n"), -32001),
    ] {
        let refusal = post(&server, &headers, PING)?;
        talk.keep_refusal(asked, &refusal, code, Fits::Plain)?;
    }
    Ok(())
}

/// What a client without one may be refused.
pub(super) fn modern(talk: &mut Conversation) -> Result<(), String> {
    let server = Server::start("ci/interop/conformance/profile.toml")?;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list",
        "params": modern::plain(json!({})) });
    let headers = format!("MCP-Protocol-Version: {}\r\nMcp-Method: ping\r\n", modern::REVISION);
    let refusal = post(&server, &headers, &list.to_string())?;
    talk.keep_refusal(
        "a header that differs",
        &refusal,
        -32020,
        Fits::Response("HeaderMismatchError"),
    )?;
    let refusal = post(&server, "Origin: http://evil.example.com\r\n", &list.to_string())?;
    talk.keep_refusal("a foreign origin", &refusal, -32600, Fits::Error("InvalidRequestError"))
}

/// Posts a body on a connection of its own; the JSON that is answered.
fn post(server: &Server, headers: &str, body: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", server.url());
    let address = server.url().split('/').nth(2).unwrap_or_default();
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE)).map_err(failed)?;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\
         Connection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(|error| format!("not JSON: {error}: {answer}"))
}
