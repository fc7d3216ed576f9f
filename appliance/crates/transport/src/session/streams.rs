//! The streams of one session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use foldhash::fast::RandomState;
use protocol::Refusal;

use super::Session;
use super::shared;
use super::stream::{EventId, Stream, StreamKind, StreamReader};

/// Streams by number, those over but not forgotten included.
#[derive(Default)]
pub(super) struct Streams(HashMap<u32, Arc<Stream>, RandomState>);

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn close_all(self) {
        for stream in self.0.into_values() {
            stream.close();
        }
    }

    /// Takes out what nobody is expected to come back for.
    pub(super) fn take_expired(&mut self) -> Vec<Arc<Stream>> {
        self.0.extract_if(|_, stream| stream.has_expired()).map(|(_, stream)| stream).collect()
    }
}

impl Session {
    /// Opens a stream. Nobody reads it yet: see [`Stream::reader`]. In a session that has ended, it is closed already.
    ///
    /// # Errors
    /// When there are as many streams as the plan allows, and none of them is over.
    pub fn open_stream(self: &Arc<Self>, kind: StreamKind) -> Result<Arc<Stream>, Refusal> {
        let shared = &self.shared;
        shared.make_room();
        let permit = shared.streams.try_take().ok_or_else(|| {
            let limit = shared.streams.limit();
            shared::exhausted("process", limit, "Every stream is taken; try again later.")
        })?;
        let number = self.streams.fetch_add(1, Relaxed).wrapping_add(1);
        let stream = Stream::new(self, number, kind, permit);
        match self.state.lock().busy() {
            Some(busy) => drop(busy.streams.0.insert(number, Arc::clone(&stream))),
            None => stream.close(),
        }
        Ok(stream)
    }

    /// The one stream that a message goes on which no call is about: the standalone one that is most likely heard.
    #[must_use]
    pub fn standalone(&self) -> Option<Arc<Stream>> {
        let mut state = self.state.lock();
        let streams = state.busy_already()?.streams.0.values();
        let standalone =
            streams.filter(|stream| stream.kind() == StreamKind::Standalone && !stream.is_over());
        standalone.max_by_key(|stream| stream.nearness()).cloned()
    }

    /// Reads on behind the message that the client got last. `None` when this session never sent it, or has forgotten
    /// its stream.
    #[must_use]
    pub fn resume(&self, last_event_id: &str) -> Option<StreamReader> {
        let id = EventId::parse(last_event_id)?;
        let stream = Arc::clone(self.state.lock().busy_already()?.streams.0.get(&id.stream())?);
        stream.has_reached(id.number()).then(|| stream.reader(Some(id.number())))
    }

    pub(super) fn forget_stream(&self, number: u32) {
        let stream =
            self.state.lock().busy_already().and_then(|busy| busy.streams.0.remove(&number));
        drop(stream);
    }
}
