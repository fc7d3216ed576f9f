//! Any text as `params._meta`: what a modern request must carry, and what it declares.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::Envelope;

fuzz_target!(|data: &[u8]| {
    let mut text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":"#.to_vec();
    text.extend_from_slice(data);
    text.extend_from_slice(b"}}");
    if let Ok(Message::One(envelope)) = Envelope::parse(Bytes::from(text), &Limits::DEFAULT) {
        transport::fuzzing::declared(envelope);
    }
});
