//! What only an active session has: running requests, questions, streams, subscriptions.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use profile::plan::SessionPlan;
use protocol::Id;
use tokio::sync::{oneshot, watch};

use super::asking::AskError;
use super::stream::Stream;
use super::Session;

/// Most streams of one session: a client has one for each running call, and one more.
const STREAMS_MAX: usize = 64;

/// Where the answer to a question goes.
pub(super) type Waiting = oneshot::Sender<Result<Bytes, AskError>>;

/// A request with this id runs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateId;

/// What only an active session has.
#[derive(Default)]
pub(super) struct Live {
    /// Dropped or set: the request is over for its client.
    running: HashMap<Id, watch::Sender<bool>>,
    questions: HashMap<u64, Waiting>,
    next_question: u64,
    streams: HashMap<u64, Arc<Stream>>,
    next_stream: u64,
    standalone: Option<u64>,
    subscriptions: HashMap<Box<str>, Box<dyn Any + Send>>,
}

impl Live {
    pub(super) fn begin(&mut self, id: &Id) -> Result<watch::Receiver<bool>, DuplicateId> {
        if self.running.contains_key(id) {
            return Err(DuplicateId);
        }
        let (sender, receiver) = watch::channel(false);
        self.running.insert(id.clone(), sender);
        Ok(receiver)
    }

    pub(super) fn forget(&mut self, id: &Id) {
        self.running.remove(id);
    }

    pub(super) fn cancel(&mut self, id_text: &str) {
        if let Some((_, running)) = self.running.iter().find(|(id, _)| id.text() == id_text) {
            running.send_replace(true);
        }
    }

    pub(super) fn ask(&mut self) -> (u64, oneshot::Receiver<Result<Bytes, AskError>>) {
        self.next_question += 1;
        let (sender, receiver) = oneshot::channel();
        self.questions.insert(self.next_question, sender);
        (self.next_question, receiver)
    }

    /// Ids of ours are plain numbers; anything else was not asked.
    pub(super) fn take_question(&mut self, id_text: &str) -> Option<Waiting> {
        self.questions.remove(&id_text.parse().ok()?)
    }

    pub(super) fn open_stream(&mut self, plan: &SessionPlan) -> Option<Arc<Stream>> {
        if self.streams.len() >= STREAMS_MAX {
            self.sweep(Duration::ZERO);
        }
        if self.streams.len() >= STREAMS_MAX {
            return None;
        }
        self.next_stream += 1;
        let stream = Stream::new(self.next_stream, plan);
        self.streams.insert(self.next_stream, Arc::clone(&stream));
        Some(stream)
    }

    pub(super) fn open_standalone(&mut self, plan: &SessionPlan) -> Option<Arc<Stream>> {
        if let Some(before) = self.standalone.take().and_then(|number| self.streams.remove(&number)) {
            before.close();
        }
        let stream = self.open_stream(plan)?;
        self.standalone = Some(stream.number());
        Some(stream)
    }

    pub(super) fn stream(&self, number: u64) -> Option<Arc<Stream>> {
        self.streams.get(&number).cloned()
    }

    pub(super) fn close_stream(&mut self, stream: &Stream) {
        stream.close();
        self.streams.remove(&stream.number());
        if self.standalone == Some(stream.number()) {
            self.standalone = None;
        }
    }

    pub(super) fn subscribe(&mut self, uri: &str, guard: Box<dyn Any + Send>, limit: usize) -> bool {
        if self.subscriptions.len() >= limit && !self.subscriptions.contains_key(uri) {
            return false;
        }
        self.subscriptions.insert(uri.into(), guard);
        true
    }

    pub(super) fn unsubscribe(&mut self, uri: &str) {
        self.subscriptions.remove(uri);
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.subscriptions.contains_key(uri)
    }

    /// Forgets finished streams after `keep`; `true` when anything is left.
    pub(super) fn sweep(&mut self, keep: Duration) -> bool {
        self.streams.retain(|_, stream| !stream.is_over_for(keep));
        !(self.running.is_empty()
            && self.questions.is_empty()
            && self.streams.is_empty()
            && self.subscriptions.is_empty())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for stream in self.streams.values() {
            stream.close();
        }
    }
}

/// A running request. Dropping it says that it is over.
pub struct Running {
    session: Arc<Session>,
    id: Id,
    cancelled: watch::Receiver<bool>,
}

impl Running {
    pub(super) const fn new(session: Arc<Session>, id: Id, cancelled: watch::Receiver<bool>) -> Self {
        Self { session, id, cancelled }
    }

    /// Ends when the client cancels the request, or its session ends.
    pub async fn cancelled(&self) {
        // An error says that the session is gone.
        self.cancelled.clone().wait_for(|is_cancelled| *is_cancelled).await.ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.session.forget_running(&self.id);
    }
}
