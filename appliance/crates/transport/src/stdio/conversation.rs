//! What one client on stdio has going: its legacy session, its running requests, its subscriptions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use profile::plan::StdioPlan;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{
    Aimed, Bound, Call, Class, Envelope, EnvelopeError, Era, Fault, Id, MetaKey, Method, Param,
    Permit, Principal, Refusal, RefusalKind, Revision, Shape, codes, encode,
};
use runtime::{Change, Generation};
use tokio::sync::broadcast;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::push;
use crate::classify;
use crate::endpoint::Endpoint;
use crate::legacy::{self, Ended, Outlet};
use crate::modern;
use crate::outcome::{self, EVENTS_MAX};
use crate::reserved::with_share;
use crate::session::Session;
use crate::subscription::{Heard, Subscription};
use crate::task;

/// Modern requests that run, to be stopped by their id.
type Running = Arc<Mutex<HashMap<Id, Request>>>;

/// A modern request that runs.
struct Request {
    /// How to stop it, once it has a task.
    handle: Option<AbortHandle>,
    /// Whether it ends by itself; a subscription does not.
    is_call: bool,
}

/// The one client.
pub(super) struct Conversation {
    endpoint: Arc<Endpoint>,
    session: Option<Arc<Session>>,
    changes: broadcast::Receiver<Change>,
    messages: Option<Sender<Bytes>>,
    running: Running,
    calls: Arc<Bound>,
    principal: Principal,
}

impl Conversation {
    pub(super) fn new(endpoint: Arc<Endpoint>, plan: &StdioPlan, messages: Sender<Bytes>) -> Self {
        Self {
            changes: endpoint.changes.subscribe(),
            endpoint,
            session: None,
            messages: Some(messages),
            running: Running::default(),
            calls: Bound::new("stdio_calls", plan.calls_max),
            principal: Principal::local(),
        }
    }

    /// The cap on a line, which follows the current generation.
    pub(super) fn line_bytes_max(&self) -> usize {
        self.endpoint.switch.load().stack().request_bytes_max()
    }

    /// Takes in one line; what can be answered at once is answered.
    pub(super) async fn take(&mut self, line: Bytes, out: &mut Vec<u8>) {
        let generation = self.endpoint.switch.load();
        let (line, no_room) = reserve(&generation, line);
        let answer = match (Envelope::parse(line, &Limits::DEFAULT), no_room) {
            (Err(error), _) => Some(malformed(error)),
            (Ok(Message::One(envelope)), _) if envelope.method() == Method::Cancelled => {
                self.cancel(&envelope);
                None
            }
            (Ok(Message::One(envelope)), Some(refusal)) if envelope.shape() == Shape::Request => {
                Some(outcome::refused(&generation, &envelope.id().unwrap_or_default(), &refusal))
            }
            (Ok(Message::Batch(_)), Some(refusal)) => {
                Some(outcome::refused(&generation, &Id::default(), &refusal))
            }
            (Ok(Message::Batch(items)), None) => self.batch(&generation, items).await,
            (Ok(Message::One(envelope)), _) => match classify::era_of_body(&envelope) {
                Era::Modern => self.modern(&generation, envelope, out).await,
                Era::Legacy => self.legacy(&generation, envelope, out).await,
            },
        };
        if let Some(answer) = answer {
            push(out, &answer);
        }
    }

    /// No more input: nothing new starts, and running calls may finish. Subscriptions end with a client that has left;
    /// when it is the server that ends they say so themselves, as its last word.
    pub(super) fn close(&mut self, has_client_left: bool) {
        self.messages = None;
        let running = lock(&self.running);
        for request in running.values().filter(|request| has_client_left && !request.is_call) {
            if let Some(handle) = &request.handle {
                handle.abort();
            }
        }
        drop(running);
        // What the session still has running may finish; nothing keeps it longer than that.
        self.session = None;
    }

    /// Waits for a change that a legacy client is told of.
    pub(super) async fn change(&mut self) -> Bytes {
        loop {
            let change = match self.changes.recv().await {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(_)) => Change::Resources,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            };
            let session = self.session.as_ref().filter(|session| session.is_initialized());
            if let Some(message) = session.and_then(|session| legacy::change(session, &change)) {
                return message;
            }
        }
    }

    /// Answers now, into `out`; later, by itself; or with what is returned.
    async fn modern(
        &mut self,
        generation: &Arc<Generation>,
        envelope: Envelope,
        out: &mut Vec<u8>,
    ) -> Option<Bytes> {
        let id = || envelope.id().unwrap_or_default();
        match envelope.shape() {
            Shape::Notification | Shape::Response | Shape::ErrorResponse => return None,
            Shape::Request => {}
        }
        let declared = match modern::check_body(&envelope) {
            Ok(declared) => declared,
            Err(fault) => return Some(encode::fault(&id(), &fault)),
        };
        if let Err(fault) = task::check(&self.endpoint.tasks, generation, &envelope) {
            return Some(encode::fault(&id(), &fault));
        }
        if let Err(refusal) = self.endpoint.check_phase() {
            return Some(outcome::refused(generation, &id(), &refusal));
        }
        if envelope.method() == Method::Listen {
            return self.listen(generation, &envelope);
        }
        let call = declared.call(envelope, self.principal);
        if task::concerns(generation, &call) {
            let to = outcome::reply_to(&call);
            let result = task::answer(&self.endpoint.tasks, generation, &call).await;
            return Some(outcome::response(generation, &to, result).0);
        }
        let call = generation.stack().aim(call);
        if legacy::is_immediate(&call) {
            immediate(generation, call, out).await;
            return None;
        }
        self.spawn_modern(generation, call.into_call())
    }

    /// The client gave up on a request, of either era: the notification itself need not say which.
    fn cancel(&self, envelope: &Envelope) {
        let Some(id) = envelope.param(Param::RequestId) else { return };
        if let Some(session) = &self.session {
            session.cancel(id.text());
        }
        let mut running = lock(&self.running);
        let found = running.keys().find(|running| running.text() == id.text()).cloned();
        let request = found.and_then(|id| running.remove(&id));
        if let Some(handle) = request.and_then(|request| request.handle) {
            handle.abort();
        }
    }

    /// Runs a modern call beside the others; its messages go out as they come.
    fn spawn_modern(&mut self, generation: &Arc<Generation>, mut call: Call) -> Option<Bytes> {
        let to = outcome::reply_to(&call);
        let permit = match self.claim(&to.id, true) {
            Ok(permit) => permit,
            Err(answer) => return Some(answer.encode(&to.id, generation)),
        };
        let messages = self.messages.clone()?;
        let running = Arc::clone(&self.running);
        let generation = Arc::clone(generation);
        let (sender, mut events) = tokio::sync::mpsc::channel(EVENTS_MAX);
        let token = call.envelope.meta(MetaKey::ProgressToken);
        let token = token.map(|token| call.envelope.share(token)).unwrap_or_default();
        call.events = Some(sender);
        let id = to.id.clone();
        let task = tokio::spawn(async move {
            let _permit = permit;
            let mut work = std::pin::pin!(generation.stack().call(call));
            let result = loop {
                tokio::select! {
                    biased;
                    Some(event) = events.recv() => {
                        if let Some(message) = outcome::event_message(&event, &token, Revision::MODERN) {
                            drop(messages.send(message).await);
                        }
                    }
                    result = &mut work => break result,
                }
            };
            while let Ok(event) = events.try_recv() {
                if let Some(message) = outcome::event_message(&event, &token, Revision::MODERN) {
                    drop(messages.send(message).await);
                }
            }
            let (message, _held) = outcome::response(&generation, &to, result);
            lock(&running).remove(&to.id);
            drop(messages.send(message).await);
        });
        self.note(&id, &task.abort_handle());
        None
    }

    fn listen(&mut self, generation: &Arc<Generation>, envelope: &Envelope) -> Option<Bytes> {
        let id = envelope.id().unwrap_or_default();
        let ending = self.endpoint.ending.subscribe();
        let opened = Subscription::open(&self.endpoint, generation, envelope, ending);
        let mut subscription = match opened {
            Ok(subscription) => subscription,
            Err(fault) => return Some(encode::fault(&id, &fault)),
        };
        let allowed = generation.stack().check_class(Class::Stream);
        let permits = allowed.and_then(|()| self.endpoint.take_stream()).map_err(Answer::Refused);
        let permits = permits.and_then(|stream| Ok((stream, self.claim(&id, false)?)));
        let permits = match permits {
            Ok(permits) => permits,
            Err(answer) => return Some(answer.encode(&id, generation)),
        };
        let messages = self.messages.clone()?;
        let running = Arc::clone(&self.running);
        let acknowledgement = subscription.acknowledgement();
        let own_id = id.clone();
        let task = tokio::spawn(async move {
            let _permits = permits;
            subscription.begun().await;
            drop(messages.send(acknowledgement).await);
            loop {
                match subscription.next().await {
                    Heard::Message(message) => {
                        if messages.send(message).await.is_err() {
                            break;
                        }
                    }
                    Heard::End(response) => {
                        drop(messages.send(response).await);
                        break;
                    }
                }
            }
            lock(&running).remove(&own_id);
        });
        self.note(&id, &task.abort_handle());
        None
    }

    /// Takes a place for a request that runs beside the others.
    fn claim(&self, id: &Id, is_call: bool) -> Result<Permit, Answer> {
        let Some(permit) = self.calls.try_take() else {
            let message = "Too many requests at once on this connection; try again later.";
            let refusal = Refusal::new(RefusalKind::Overloaded, "listen", "connection", message)
                .with_limit(self.calls.limit() as u64)
                .with_retry_after(Duration::from_secs(1));
            return Err(Answer::Refused(refusal));
        };
        match lock(&self.running).entry(id.clone()) {
            Entry::Occupied(_) => Err(Answer::Failed(legacy::duplicate_id())),
            Entry::Vacant(place) => {
                place.insert(Request { handle: None, is_call });
                Ok(permit)
            }
        }
    }

    /// Remembers how to stop a request, unless it has ended already.
    fn note(&self, id: &Id, handle: &AbortHandle) {
        if let Some(request) = lock(&self.running).get_mut(id) {
            request.handle = Some(handle.clone());
        }
    }

    /// As [`Conversation::modern`].
    async fn legacy(
        &mut self,
        generation: &Arc<Generation>,
        envelope: Envelope,
        out: &mut Vec<u8>,
    ) -> Option<Bytes> {
        if envelope.method() == Method::Initialize && envelope.shape() == Shape::Request {
            return Some(self.initialize(generation, &envelope));
        }
        let Some(session) = self.session.clone() else {
            let is_request = envelope.shape() == Shape::Request;
            return is_request.then(|| before_handshake(&envelope));
        };
        match envelope.shape() {
            Shape::Notification => {
                legacy::notified(&session, &envelope);
                return None;
            }
            Shape::Response | Shape::ErrorResponse => {
                session.answer(&envelope);
                return None;
            }
            Shape::Request => {}
        }
        if legacy::is_of_session(&session, envelope.method()) {
            let endpoint = &self.endpoint;
            return Some(
                legacy::answer_of_session(endpoint, generation, &session, &envelope).await,
            );
        }
        if let Err(refusal) = self.endpoint.check_phase() {
            let id = envelope.id().unwrap_or_default();
            return Some(outcome::refused(generation, &id, &refusal));
        }
        let call = legacy::call(&session, envelope, self.principal);
        let call = generation.stack().aim(call);
        if legacy::is_immediate(&call) {
            immediate(generation, call, out).await;
            return None;
        }
        self.spawn_legacy(generation, session, call.into_call())
    }

    fn initialize(&mut self, generation: &Generation, envelope: &Envelope) -> Bytes {
        let id = envelope.id().unwrap_or_default();
        if self.session.is_some() {
            return encode::fault(&id, &legacy::initialized_twice());
        }
        let handshake = match legacy::handshake(envelope) {
            Ok(handshake) => handshake,
            Err(fault) => return encode::fault(&id, &fault),
        };
        match legacy::create_session(&self.endpoint, generation, &handshake, self.principal) {
            Ok((_, session)) => {
                let answer = legacy::welcome(generation, &session, envelope);
                self.session = Some(session);
                answer
            }
            Err(refusal) => outcome::refused(generation, &id, &refusal),
        }
    }

    fn spawn_legacy(
        &mut self,
        generation: &Arc<Generation>,
        session: Arc<Session>,
        call: Call,
    ) -> Option<Bytes> {
        let id = call.id();
        let Some(permit) = self.calls.try_take() else {
            let refusal = Refusal::new(
                RefusalKind::Overloaded,
                "listen",
                "connection",
                "Too many requests at once on this connection; try again later.",
            )
            .with_limit(self.calls.limit() as u64)
            .with_retry_after(Duration::from_secs(1));
            return Some(outcome::refused(generation, &id, &refusal));
        };
        let messages = self.messages.clone()?;
        let generation = Arc::clone(generation);
        drop(tokio::spawn(async move {
            let _permit = permit;
            let mut outlet = Line(messages.clone());
            let message = match legacy::run(&generation, &session, call, &mut outlet).await {
                Ended::Answered(message, _held) => message,
                Ended::Refused(refusal) => outcome::refused(&generation, &id, &refusal),
                Ended::Cancelled => return,
            };
            drop(messages.send(message).await);
        }));
        None
    }

    async fn batch(
        &mut self,
        generation: &Arc<Generation>,
        items: Vec<Result<Envelope, EnvelopeError>>,
    ) -> Option<Bytes> {
        let session = self.session.clone();
        let session = session.filter(|session| session.revision() == Revision::V2025_03_26);
        match session {
            Some(session) => {
                legacy::batch(&self.endpoint, generation, &session, self.principal, items).await
            }
            None => Some(encode::fault(&Id::default(), &legacy::no_batches())),
        }
    }
}

/// Messages of a legacy call go to the output in their order.
struct Line(Sender<Bytes>);

impl Outlet for Line {
    async fn say(&mut self, message: Bytes) {
        drop(self.0.send(message).await);
    }

    fn detach(&mut self, _: u32) {
        // A pipe has no connection to let go of.
    }
}

/// Why a request does not run.
enum Answer {
    Refused(Refusal),
    Failed(Fault),
}

impl Answer {
    fn encode(&self, id: &Id, generation: &Generation) -> Bytes {
        match self {
            Self::Refused(refusal) => outcome::refused(generation, id, refusal),
            Self::Failed(fault) => encode::fault(id, fault),
        }
    }
}

/// A line that keeps its place in the ledger of bodies, or the refusal for want of one. The line is there in any case,
/// and what frees memory is heard even then.
fn reserve(generation: &Generation, line: Bytes) -> (Bytes, Option<Refusal>) {
    let stack = generation.stack();
    let Some(mut share) = stack.body_share() else {
        return (line, None);
    };
    let refusal = stack.grow_body(&mut share, line.len()).err();
    (with_share(line, Some(share)), refusal)
}

async fn immediate(generation: &Arc<Generation>, call: Aimed, out: &mut Vec<u8>) {
    let to = outcome::reply_to(&call);
    let result = generation.stack().run(call).await;
    drop(outcome::write_response(out, generation, &to, result));
    out.push(b'\n');
}

fn malformed(error: EnvelopeError) -> Bytes {
    encode::fault(&error.id.unwrap_or_default(), &Fault::new(error.code, error.message))
}

/// Before the handshake only `ping` has an answer.
fn before_handshake(envelope: &Envelope) -> Bytes {
    let id = envelope.id().unwrap_or_default();
    if envelope.method() == Method::Ping {
        return format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}", id.text()).into();
    }
    let message =
        "Send initialize first, or declare the revision of a stateless request in params._meta.";
    encode::fault(&id, &Fault::new(codes::INVALID_REQUEST, message))
}

fn lock(running: &Running) -> std::sync::MutexGuard<'_, HashMap<Id, Request>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
