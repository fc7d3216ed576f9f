//! What tasks promise, whatever happens to them.

mod records;
mod store;

use std::sync::Arc;

use bytes::Bytes;
use protocol::json::{Limits, Raw, check};
use protocol::{Bound, Share};

use super::record::{Record, TASK_BYTES};

fn raw(text: &str) -> Raw<'_> {
    check(text.as_bytes(), &Limits::DEFAULT).expect("JSON")
}

fn record(bound: &Arc<Bound>) -> Record {
    Record::new(Share::none(Arc::clone(bound)), 0, jiff::Timestamp::UNIX_EPOCH).expect("room")
}

fn questions(names: &[&str]) -> Vec<(Box<str>, Bytes)> {
    let question = Bytes::from_static(br#"{"method":"roots/list","params":{}}"#);
    names.iter().map(|name| ((*name).into(), question.clone())).collect()
}

/// The keys of the questions that are open.
fn open(record: &Record) -> Vec<String> {
    let text = String::from_utf8(record.open_questions().to_vec()).expect("text");
    raw(&text).members().map(|(key, _)| key.into_owned()).collect()
}

fn roomy() -> Arc<Bound> {
    Bound::new("bytes", 64 * TASK_BYTES)
}
