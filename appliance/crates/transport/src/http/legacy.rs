//! 2024-11-05 to 2025-11-25 over HTTP: sessions, and answers that may outlive their connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use protocol::{
    Call, Class, Envelope, EnvelopeError, Fault, Held, Id, Method, Refusal, Revision, Shape,
};
use tokio::sync::oneshot;

use super::step::Step;
use super::streams::read_on;
use super::{Admitted, HttpEndpoint, answer};
use crate::body::ReplyBody;
use crate::legacy::{self, Ended, Outlet};
use crate::outcome;
use crate::session::{Session, Stream, StreamKind, StreamReader};

/// Names the session of a request.
pub(super) const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// A legacy error of the transport itself, with its own HTTP status.
fn refused(id: &Id, status: u16, code: i32, message: &'static str) -> Response<ReplyBody> {
    answer::fault(id, &Fault { http_status: status, ..Fault::new(code, message) })
}

/// Judges a request that comes to no call: its head did not say what it is.
fn check_class(admitted: &Admitted, envelope: &Envelope) -> Result<(), Refusal> {
    admitted.generation.stack().check_class(Class::of(envelope.method()))
}

impl HttpEndpoint {
    /// The session that the request names.
    pub(super) fn session(
        &self,
        admitted: &Admitted,
        id: &Id,
    ) -> Result<Arc<Session>, Box<Response<ReplyBody>>> {
        let named = admitted.headers.get(SESSION_HEADER);
        let Some(named) = named else {
            let message = "The Mcp-Session-Id header is missing; send initialize first.";
            return Err(Box::new(refused(id, 400, protocol::codes::INVALID_REQUEST, message)));
        };
        let session = named.to_str().ok().and_then(|text| self.endpoint.sessions.find(text.trim()));
        // The same for unknown, expired and ended ones: an id tells nothing.
        session.ok_or_else(|| Box::new(refused(id, 404, -32001, "Session not found")))
    }

    pub(super) fn legacy(self: &Arc<Self>, admitted: &mut Admitted, envelope: Envelope) -> Step {
        let id = envelope.id().unwrap_or_default();
        if envelope.method() == Method::Initialize && envelope.shape() == Shape::Request {
            let response = self.initialize(admitted, &envelope);
            // The client's next request may meet the process that takes over.
            return match self.endpoint.sessions.settled() {
                None => response.into(),
                Some(settled) => Step::later(async {
                    settled.await;
                    response
                }),
            };
        }
        let session = match self.session(admitted, &id) {
            Ok(session) => session,
            Err(response) => return (*response).into(),
        };
        match envelope.shape() {
            Shape::Notification => {
                legacy::notified(&session, &envelope);
                return answer::status(StatusCode::ACCEPTED).into();
            }
            Shape::Response | Shape::ErrorResponse => {
                session.answer(&envelope);
                return answer::status(StatusCode::ACCEPTED).into();
            }
            Shape::Request => {}
        }
        if legacy::is_of_session(&session, envelope.method()) {
            if let Err(refusal) = check_class(admitted, &envelope) {
                return answer::refusal(&id, &refusal, &admitted.generation).into();
            }
            return Step::later(Arc::clone(self).of_session(admitted.take(), session, envelope));
        }
        let call = legacy::call(&session, envelope, admitted.principal);
        let call = admitted.generation.stack().aim(call);
        if legacy::is_immediate(&call) {
            return Step::call(admitted, call);
        }
        Step::later(Arc::clone(self).run_apart(admitted.take(), session, call.into_call()))
    }

    /// What concerns the session and no plugin's answer.
    async fn of_session(
        self: Arc<Self>,
        admitted: Admitted,
        session: Arc<Session>,
        envelope: Envelope,
    ) -> Response<ReplyBody> {
        let Admitted { generation, held, .. } = admitted;
        let message =
            legacy::answer_of_session(&self.endpoint, &generation, &session, &envelope).await;
        answer::json(StatusCode::OK, message, held)
    }

    fn initialize(&self, admitted: &Admitted, envelope: &Envelope) -> Response<ReplyBody> {
        let id = envelope.id().unwrap_or_default();
        let is_known = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| self.endpoint.sessions.find(text).is_some())
        };
        if admitted.headers.get(SESSION_HEADER).is_some_and(is_known) {
            return answer::fault(&id, &legacy::initialized_twice());
        }
        let handshake = match legacy::handshake(envelope) {
            Ok(handshake) => handshake,
            Err(fault) => {
                return answer::fault(&id, &Fault { http_status: 200, ..fault });
            }
        };
        let created = check_class(admitted, envelope).and_then(|()| {
            legacy::create_session(
                &self.endpoint,
                &admitted.generation,
                &handshake,
                admitted.principal,
            )
        });
        let (session_id, session) = match created {
            Ok(created) => created,
            Err(refusal) => return answer::refusal(&id, &refusal, &admitted.generation),
        };
        let message = legacy::welcome(&admitted.generation, &session, envelope);
        let mut response = answer::json(StatusCode::OK, message, Held::default());
        if let Ok(value) = HeaderValue::from_str(session_id.as_str()) {
            response.headers_mut().insert(SESSION_HEADER, value);
        }
        response
    }

    /// Runs a call on a task of its own: a legacy client that goes away does not cancel it.
    async fn run_apart(
        self: Arc<Self>,
        admitted: Admitted,
        session: Arc<Session>,
        call: Call,
    ) -> Response<ReplyBody> {
        let Admitted { generation, mut held, heartbeat, .. } = admitted;
        held.add(generation.in_flight().take_anyway().0);
        let id = call.id();
        let (opened, reader) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let mut outlet =
            LazyStream { session: Arc::clone(&session), stream: None, opened: Some(opened) };
        let running = (Arc::clone(&generation), Arc::clone(&session));
        drop(tokio::spawn(async move {
            let (generation, session) = running;
            let id = call.id();
            let how = legacy::run(&generation, &session, call, &mut outlet).await;
            match (outlet.stream.take(), how) {
                (None, how) => drop(ended.send(how)),
                (Some(stream), Ended::Answered(message, _held)) => stream.finish(message),
                (Some(stream), Ended::Refused(refusal)) => {
                    stream.finish(outcome::refused(&generation, &id, &refusal));
                }
                (Some(stream), Ended::Cancelled) => stream.close(),
            }
        }));
        // Speaks first, or ends without a word: the other end of `opened` is gone then.
        if let Ok(reader) = reader.await {
            return read_on(&session, reader, held, heartbeat);
        }
        match end.await {
            Ok(Ended::Answered(message, permits)) => {
                held.absorb(permits);
                answer::json(StatusCode::OK, message, held)
            }
            Ok(Ended::Refused(refusal)) => answer::refusal(&id, &refusal, &generation),
            // The client took its request back, and wants no answer.
            Ok(Ended::Cancelled) => answer::status(StatusCode::ACCEPTED),
            Err(_) => answer::fault(
                &id,
                &Fault { http_status: 500, ..Fault::internal("The call ended without an answer.") },
            ),
        }
    }

    pub(super) async fn legacy_batch(
        self: Arc<Self>,
        admitted: Admitted,
        items: Vec<Result<Envelope, EnvelopeError>>,
    ) -> Response<ReplyBody> {
        let no_id = Id::default();
        let session = match self.session(&admitted, &no_id) {
            Ok(session) => session,
            // Without a session there is nobody who could have agreed on batches.
            Err(response) if admitted.headers.contains_key(SESSION_HEADER) => return *response,
            Err(_) => return answer::fault(&no_id, &legacy::no_batches()),
        };
        if session.revision() != Revision::V2025_03_26 {
            return answer::fault(&no_id, &legacy::no_batches());
        }
        let Admitted { generation, principal, mut held, .. } = admitted;
        held.add(generation.in_flight().take_anyway().0);
        match legacy::batch(&self.endpoint, &generation, &session, principal, items).await {
            Some(answers) => answer::json(StatusCode::OK, answers, held),
            None => answer::status(StatusCode::ACCEPTED),
        }
    }
}

/// Opens a stream with the first thing that is said, so that a call which says nothing is answered with plain JSON.
struct LazyStream {
    session: Arc<Session>,
    stream: Option<Arc<Stream>>,
    opened: Option<oneshot::Sender<StreamReader>>,
}

impl LazyStream {
    fn open(&mut self) -> Option<&Arc<Stream>> {
        if self.stream.is_none() {
            // Without room for a stream the call goes on unheard.
            let stream = self.session.open_stream(StreamKind::Request).ok()?;
            if let Some(opened) = self.opened.take() {
                // Read from now on: nothing that follows can come before its reader.
                opened.send(stream.reader(None)).ok();
            }
            self.stream = Some(stream);
        }
        self.stream.as_ref()
    }
}

impl Outlet for LazyStream {
    async fn say(&mut self, message: Bytes) {
        if let Some(stream) = self.open() {
            stream.push(message);
        }
    }

    fn detach(&mut self, retry_ms: u32) {
        // Clients of other revisions do not come back.
        if self.session.revision() == Revision::V2025_11_25
            && let Some(stream) = self.open()
        {
            stream.detach(retry_ms);
        }
    }
}
