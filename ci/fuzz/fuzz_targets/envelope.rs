//! Any bytes as a JSON-RPC message: what we accept is JSON to others too, and means the same to them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::envelope::Message;
use protocol::json::{Kind, Limits, Raw};
use protocol::{Envelope, Fault, Id, Param, encode};
use serde_json::Value;

/// A key by which the other reader speaks to itself: an object that begins with it is a number to it.
const THEIR_SECRET: &[u8] = b"$serde_json::private::";

fuzz_target!(|data: &[u8]| {
    if data.windows(THEIR_SECRET.len()).any(|part| part == THEIR_SECRET) {
        return;
    }
    let fault = |id: &Id| {
        let text = encode::fault(id, &Fault::new(-32700, "no"));
        let value: Value = serde_json::from_slice(&text).expect("our own answers are JSON");
        assert_eq!(value["error"]["code"].to_string(), "-32700");
    };
    let message = match Envelope::parse(Bytes::copy_from_slice(data), &Limits::DEFAULT) {
        Ok(message) => message,
        Err(error) => return fault(&error.id.unwrap_or_default()),
    };
    let theirs: Value = serde_json::from_slice(data).expect("JSON to others");
    match message {
        Message::One(envelope) => agree(&envelope, &theirs),
        Message::Batch(items) => {
            let theirs = theirs.as_array().expect("a batch is an array");
            assert_eq!(items.len(), theirs.len());
            for (item, theirs) in items.iter().zip(theirs) {
                match item {
                    Ok(envelope) => agree(envelope, theirs),
                    Err(error) => fault(&error.id.clone().unwrap_or_default()),
                }
            }
        }
    }
});

fn agree(envelope: &Envelope, theirs: &Value) {
    if let Some(id) = envelope.id() {
        assert_eq!(serde_json::from_str::<Value>(id.text()).expect("JSON"), theirs["id"]);
    }
    assert_eq!(envelope.method_name(), theirs["method"].as_str().unwrap_or_default());
    match (envelope.params(), theirs.get("params")) {
        (Some(params), Some(theirs)) => same(params, theirs),
        (ours, theirs) => assert_eq!(ours.is_some(), theirs.is_some()),
    }
    let name = envelope.param(Param::Name).and_then(Raw::as_str);
    assert_eq!(name.as_deref(), theirs["params"]["name"].as_str());
}

fn same(ours: Raw<'_>, theirs: &Value) {
    match ours.kind() {
        Kind::Object => {
            let members: Vec<_> = ours.members().collect();
            assert_eq!(members.len(), theirs.as_object().expect("an object").len());
            for (key, value) in members {
                same(value, &theirs[&*key]);
            }
        }
        Kind::Array => {
            let items: Vec<_> = ours.items().collect();
            let theirs = theirs.as_array().expect("an array");
            assert_eq!(items.len(), theirs.len());
            for (item, theirs) in items.into_iter().zip(theirs) {
                same(item, theirs);
            }
        }
        Kind::String => assert_eq!(ours.as_str().as_deref(), theirs.as_str()),
        Kind::Bool => assert_eq!(ours.as_bool(), theirs.as_bool()),
        Kind::Null => assert!(theirs.is_null()),
        Kind::Number => {
            assert!(theirs.is_number());
            if let Ok(plain) = ours.text().parse::<i64>() {
                assert_eq!(ours.as_i64(), Some(plain));
            }
            if let (Some(integer), Some(float)) = (ours.as_i64(), ours.as_f64()) {
                assert_eq!(integer as f64, float, "{}", ours.text());
            }
        }
    }
}
