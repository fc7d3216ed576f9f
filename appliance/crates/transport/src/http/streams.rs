//! GET and DELETE: the streams of a legacy session, and its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, Response, StatusCode};
use protocol::{Held, Id, Revision};
use runtime::Change;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::legacy::SESSION_HEADER;
use super::{Admitted, HttpEndpoint, accepts, answer};
use crate::body::ReplyBody;
use crate::legacy;
use crate::session::{Session, StreamItem, StreamKind, StreamReader, sse};

const LAST_EVENT_HEADER: HeaderName = HeaderName::from_static("last-event-id");

impl HttpEndpoint {
    /// Opens the session's stream, or reads on where a connection broke.
    pub(super) fn get(self: Arc<Self>, mut admitted: Admitted) -> Response<ReplyBody> {
        if !admitted.headers.contains_key(SESSION_HEADER) {
            // A client without a session has nothing to listen to here.
            return answer::method_not_allowed();
        }
        if !accepts(&admitted.headers, "text/event-stream") {
            return answer::status(StatusCode::NOT_ACCEPTABLE);
        }
        let no_id = Id::default();
        let session = match self.session(&admitted, &no_id) {
            Ok(session) => session,
            Err(response) => return *response,
        };
        let held = std::mem::take(&mut admitted.held);
        if let Some(last) = admitted.headers.get(LAST_EVENT_HEADER) {
            let last = last.to_str().unwrap_or_default().trim();
            if let Some(reader) = session.resume(last) {
                return read_on(&session, reader, held, admitted.heartbeat);
            }
            // What the process before had not said yet is lost; what comes is not.
            if !session.is_of_process_before(last) {
                return answer::status(StatusCode::BAD_REQUEST);
            }
        }
        let stream = match session.open_stream(StreamKind::Standalone) {
            Ok(stream) => stream,
            Err(refusal) => {
                let refusal = refusal.for_principal(admitted.principal);
                return answer::refusal(&no_id, &refusal, &admitted.generation);
            }
        };
        self.listen_for_changes(session, stream.reader(None), held, admitted.heartbeat)
    }

    /// Ends the session: everything of it stops, and its id is unknown from now on.
    pub(super) fn delete(&self, admitted: &Admitted) -> Response<ReplyBody> {
        if !admitted.headers.contains_key(SESSION_HEADER) {
            return answer::method_not_allowed();
        }
        if let Err(response) = self.session(admitted, &Id::default()) {
            return *response;
        }
        let id = admitted.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        self.endpoint.sessions.end(id.unwrap_or_default().trim());
        answer::status(StatusCode::NO_CONTENT)
    }

    /// Sends what the standalone stream's reader reads, and changes are put into while somebody reads it.
    fn listen_for_changes(
        &self,
        session: Arc<Session>,
        reader: StreamReader,
        held: Held,
        heartbeat: Duration,
    ) -> Response<ReplyBody> {
        let first = opening(&session, &reader);
        let listening = Listening {
            session,
            reader,
            changes: self.endpoint.changes.subscribe(),
            ending: self.ending.subscribe(),
        };
        let messages =
            stream::unfold((listening, first), move |(mut listening, first)| async move {
                if let Some(first) = first {
                    return Some((first, (listening, None)));
                }
                listening.next(heartbeat).await.map(|bytes| (bytes, (listening, None)))
            });
        answer::events(Box::pin(messages), held)
    }
}

/// Sends what a reader reads. A 2025-11-25 client is first told where it is, so that it can come back.
pub(super) fn read_on(
    session: &Arc<Session>,
    reader: StreamReader,
    held: Held,
    heartbeat: Duration,
) -> Response<ReplyBody> {
    let first = opening(session, &reader);
    let messages = stream::unfold((Some(reader), first), move |(reader, first)| async move {
        if let Some(first) = first {
            return Some((first, (reader, None)));
        }
        let mut reader = reader?;
        tokio::select! {
            biased;
            item = reader.next() => match item {
                StreamItem::Message { event_id, message } => {
                    let event = sse::event(Some(&event_id.to_string()), None, &message);
                    Some((event, (Some(reader), None)))
                }
                StreamItem::Detached { event_id, retry_ms } => {
                    let event = sse::priming(&event_id.to_string(), Some(retry_ms));
                    Some((event, (None, None)))
                }
                StreamItem::Closed => None,
            },
            () = tokio::time::sleep(heartbeat) => {
                Some((Bytes::from_static(sse::COMMENT), (Some(reader), None)))
            }
        }
    });
    answer::events(Box::pin(messages), held)
}

/// The priming event of 2025-11-25; older clients would try to read its empty data.
fn opening(session: &Session, reader: &StreamReader) -> Option<Bytes> {
    (session.revision() == Revision::V2025_11_25)
        .then(|| sse::priming(&reader.position().to_string(), None))
}

struct Listening {
    session: Arc<Session>,
    reader: StreamReader,
    changes: Receiver<Change>,
    ending: tokio::sync::watch::Receiver<bool>,
}

impl Listening {
    async fn next(&mut self, heartbeat: Duration) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                item = self.reader.next() => match item {
                    StreamItem::Message { event_id, message } => {
                        return Some(sse::event(Some(&event_id.to_string()), None, &message));
                    }
                    StreamItem::Detached { .. } | StreamItem::Closed => return None,
                },
                change = self.changes.recv() => {
                    let change = match change {
                        Ok(change) => change,
                        Err(RecvError::Lagged(_)) => Change::Resources,
                        Err(RecvError::Closed) => return None,
                    };
                    // Several streams of one session may listen; each message goes on one of them.
                    let is_chosen = self
                        .session
                        .standalone()
                        .is_some_and(|stream| Arc::ptr_eq(&stream, self.reader.stream()));
                    if is_chosen && let Some(message) = legacy::change(&self.session, &change) {
                        self.reader.stream().push(message);
                    }
                }
                _ = self.ending.wait_for(|ending| *ending) => return None,
                () = tokio::time::sleep(heartbeat) => return Some(Bytes::from_static(sse::COMMENT)),
            }
        }
    }
}
