//! Clients of HTTP/2 with prior knowledge: several calls under way on one connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use load::wire::{self, Tool};
use load::{Client, Era, Target};
use serde_json::json;

use super::Amount;
use crate::Outcome;
use crate::stage::http2::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEAD_BYTES, HEADERS, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame,
};

/// Calls under way on a connection.
const STREAMS: usize = 8;
/// The answers of a whole connection must fit into its window.
const WINDOW_MORE_BYTES: u32 = 1 << 30;
/// As often as other messages, times this: most clients of HTTP/2 call.
const MORE: usize = 10;
/// Indexed fields of the static table (RFC 7541, appendix A): `:method: POST` and `:scheme: http`.
const POST_HTTP: [u8; 2] = [0x83, 0x86];
/// Literals whose names are in the static table: `:authority` and `:path`.
const AUTHORITY: u8 = 0x41;
const PATH: u8 = 0x44;

/// Calls, some of a plugin's threads.
pub(super) fn send(target: &Target, amount: Amount) -> Outcome {
    let now = Tool { name: "now".to_owned(), arguments: json!({}) };
    let calls = [head(target, "echo")?, head(target, "now")?]
        .into_iter()
        .zip([body(&Tool::echo(&wire::text(64))), body(&now)]);
    let calls: Vec<_> = calls.collect();
    let mut socket = Client::connect(target)?.into_stream();
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    hello.extend(frame(WINDOW_UPDATE, 0, 0, &WINDOW_MORE_BYTES.to_be_bytes()));
    say(&mut socket, &hello)?;
    // Streams of clients have odd numbers.
    let mut streams = (1_u32..).step_by(2);
    for _ in 0..(amount.times * MORE).div_ceil(STREAMS) {
        let mut requests = Vec::new();
        for (stream, (head, body)) in streams.by_ref().zip(calls.iter().cycle()).take(STREAMS) {
            requests.extend(frame(HEADERS, END_HEADERS, stream, head));
            requests.extend(frame(DATA, END_STREAM, stream, body));
        }
        say(&mut socket, &requests)?;
        for _ in 0..STREAMS {
            wait_for_an_end(&mut socket)?;
        }
    }
    Ok(())
}

fn body(tool: &Tool) -> Vec<u8> {
    wire::call_message(Era::Modern, 1, tool).to_string().into_bytes()
}

fn head(target: &Target, tool: &str) -> Result<Vec<u8>, String> {
    let mut head = POST_HTTP.to_vec();
    for (index, value) in [(AUTHORITY, &*target.authority), (PATH, &*target.path)] {
        head.push(index);
        text(&mut head, value)?;
    }
    let fields = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    for (name, value) in fields {
        head.push(0);
        text(&mut head, name)?;
        text(&mut head, value)?;
    }
    Ok(head)
}

/// Writes a short text as it is (RFC 7541, 5.2).
fn text(head: &mut Vec<u8>, text: &str) -> Outcome {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 0x7f);
    head.push(length.ok_or_else(|| format!("`{text}` is too long"))?);
    head.extend(text.as_bytes());
    Ok(())
}

fn say(socket: &mut TcpStream, bytes: &[u8]) -> Outcome {
    socket.write_all(bytes).map_err(|error| format!("HTTP/2, sending: {error}"))
}

/// Reads frames up to the end of one answer, which must have a body.
fn wait_for_an_end(socket: &mut TcpStream) -> Outcome {
    loop {
        let mut head = [0; HEAD_BYTES];
        let failed = |error: std::io::Error| format!("HTTP/2, reading: {error}");
        socket.read_exact(&mut head).map_err(failed)?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        socket.read_exact(&mut payload).map_err(failed)?;
        match kind {
            DATA if flags & END_STREAM != 0 => return Ok(()),
            GOAWAY | RST_STREAM => return Err(format!("HTTP/2: frame {kind}: {payload:?}")),
            HEADERS if flags & END_STREAM != 0 => return Err("HTTP/2: no body".to_owned()),
            SETTINGS if flags == 0 => say(socket, &frame(SETTINGS, 1, 0, &[]))?,
            _ => {}
        }
    }
}
