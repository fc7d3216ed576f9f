//! What an operator sees of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ::history::{Outcome, Record, Records};
use bytes::Bytes;
use runtime::Source;
use serde_json::{Value, json};
use telemetry::{Metric, Samples};

use super::History;

impl History {
    /// The generations, the oldest first, as JSON. Keys, never values.
    pub(in super::super) fn to_json(&self) -> Bytes {
        let records = self.records();
        let generations: Vec<_> = records.iter().map(|record| shown(&records, record)).collect();
        let kept = if self.is_on_disk { "disk" } else { "memory" };
        json!({ "kept": kept, "generations": generations }).to_string().into()
    }

    /// What a scrape shows, of a process that serves a profile from `source`.
    pub(in super::super) fn metrics(&self, source: Source) -> String {
        let mut samples = Samples::new();
        samples.set(Metric::ProfileIsStale, &[], u8::from(source.is_stale()));
        samples.set(Metric::HistoryGenerations, &[], self.records().iter().len());
        if self.is_on_disk {
            let (written, failed) = (&self.counts.written, &self.counts.failed);
            samples.set(Metric::HistoryWrites, &["written"], written.load(Relaxed));
            samples.set(Metric::HistoryWrites, &["failed"], failed.load(Relaxed));
        }
        let mut out = String::new();
        samples.render(&mut out);
        out
    }
}

fn shown(records: &Records, record: &Arc<Record>) -> Value {
    let outcome = records.outcome(record.number).map(Outcome::as_str);
    json!({
        "generation": record.number,
        "identity": record.identity,
        "since": record.at.to_string(),
        "trigger": record.trigger,
        "outcome": outcome,
        "changed": record.changed,
        "libraries": record.libraries,
        "program": record.program,
    })
}
