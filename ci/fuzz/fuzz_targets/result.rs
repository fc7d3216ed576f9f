//! Any bytes as what a plugin gives back: whatever passes becomes an answer that every reader understands.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::encode::{self, ReplyTo, ServerInfo};
use protocol::envelope::Message;
use protocol::json::{Limits, check};
use protocol::{Envelope, Method, Revision};

const METHODS: [Method; 4] =
    [Method::ToolsCall, Method::ResourcesRead, Method::PromptsGet, Method::Complete];
const SERVER: &[u8] = br#"{"name":"s","version":"1"}"#;
const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"x"}"#;

fuzz_target!(|data: &[u8]| {
    let [method, revision, status, format, flags, rest @ ..] = data else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let revision = Revision::ALL[usize::from(*revision) % Revision::ALL.len()];
    let completed = plugin_host::fuzzing::Completed {
        status: i32::from(*status % 12),
        format: u32::from(*format % 6),
        has_mime: flags & 1 != 0,
        body: rest,
    };
    let Some(outcome) = plugin_host::fuzzing::outcome(method, revision, completed) else { return };
    let call = Envelope::parse(Bytes::from_static(CALL), &Limits::DEFAULT);
    let Ok(Message::One(call)) = call else { unreachable!("a request") };
    let id = call.id().unwrap_or_default();
    let to = ReplyTo { id, revision, method, uri: Bytes::from_static(b"\"u:r\"") };
    let answer = encode::response(&to, &ServerInfo(Bytes::from_static(SERVER)), &outcome);
    // Deeper by what stands around it.
    let limits = Limits { depth: 72, nodes: u32::MAX, ..Limits::DEFAULT };
    check(&answer, &limits).expect("JSON without repeated keys");
    assert!(!answer.contains(&b'\n'), "one line");
});
