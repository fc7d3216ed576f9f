//! The era of sessions: what a legacy request means, whatever it came over.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::encode::{self, ReplyTo};
use protocol::json::{Kind, Limits, Raw, check, write_string};
use protocol::{
    Aimed, CacheHint, Call, ClientCapabilities, Content, Envelope, EnvelopeError, Event, Fault,
    Held, InputRequired, LogLevel, MetaKey, Method, Outcome, Param, Principal, Refusal, Reply,
    Revision, Shape, codes,
};
use runtime::{Change, Generation, Watch};

use crate::endpoint::Endpoint;
use crate::outcome::{self, EVENTS_MAX};
use crate::session::{AskError, Asked, Session, SessionId};

/// Rounds of questions that one call may take: a plugin that asks for ever is a fault.
const ROUNDS_MAX: u16 = 10;

/// What a client said when it shook hands.
pub(crate) struct Handshake {
    /// The revision that both speak.
    pub(crate) revision: Revision,
    /// What the client can do.
    pub(crate) client: ClientCapabilities,
}

/// Reads `initialize`.
///
/// # Errors
/// -32602 when a required member is missing or of the wrong kind.
pub(crate) fn handshake(envelope: &Envelope) -> Result<Handshake, Fault> {
    let version = envelope.param(Param::ProtocolVersion).and_then(Raw::as_str);
    let version =
        version.ok_or_else(|| Fault::invalid_params("protocolVersion must be a string"))?;
    let object = |param, name: &str| {
        let raw = envelope.param(param).filter(|raw: &Raw<'_>| raw.kind() == Kind::Object);
        raw.ok_or_else(|| Fault::invalid_params(format!("{name} must be an object")))
    };
    let client = encode::capabilities(object(Param::Capabilities, "capabilities")?);
    object(Param::ClientInfo, "clientInfo")?;
    // A revision that is not served, or has no handshake: offer the newest that has one.
    let revision =
        Revision::parse(&version).filter(|revision| Method::Initialize.exists_in(*revision));
    Ok(Handshake { revision: revision.unwrap_or(Revision::NEWEST_LEGACY), client })
}

/// Begins the session of a client that shook hands, counted against `principal`.
///
/// # Errors
/// When `principal` begins too many, or there is no place for one more.
pub(crate) fn create_session(
    endpoint: &Endpoint,
    generation: &Generation,
    handshake: &Handshake,
    principal: Principal,
) -> Result<(SessionId, Arc<Session>), Refusal> {
    generation.stack().admit_session(principal)?;
    let created = endpoint.sessions.create(handshake.revision, handshake.client);
    created.map_err(|refusal| refusal.for_principal(principal))
}

/// Whether a request is about the session itself, or about nothing that its revision knows:
/// [`answer_of_session`] answers it.
pub(crate) fn is_of_session(session: &Session, method: Method) -> bool {
    !method.exists_in(session.revision())
        || matches!(
            method,
            Method::Ping
                | Method::SetLevel
                | Method::ResourcesSubscribe
                | Method::ResourcesUnsubscribe
        )
}

/// Answers a request that [`is_of_session`].
pub(crate) async fn answer_of_session(
    endpoint: &Endpoint,
    generation: &Generation,
    session: &Session,
    envelope: &Envelope,
) -> Bytes {
    let outcome = session_method(endpoint, generation, session, envelope).await;
    outcome::response(generation, &reply_to(session, envelope), Ok(outcome.into())).0
}

async fn session_method(
    endpoint: &Endpoint,
    generation: &Generation,
    session: &Session,
    envelope: &Envelope,
) -> Outcome {
    let method = envelope.method();
    let result = match method {
        _ if !method.exists_in(session.revision()) => {
            Err(Fault::method_not_found(&envelope.method_name()))
        }
        Method::SetLevel => set_level(session, envelope),
        Method::ResourcesSubscribe => subscribe(endpoint, generation, session, envelope).await,
        Method::ResourcesUnsubscribe => unsubscribe(session, envelope),
        // A ping.
        _ => Ok(()),
    };
    match result {
        Ok(()) => Outcome::Done(Content::Ready(Bytes::from_static(b"{}"))),
        Err(fault) => Outcome::Failed(fault),
    }
}

fn set_level(session: &Session, envelope: &Envelope) -> Result<(), Fault> {
    let level = envelope.param(Param::Level).and_then(Raw::as_str);
    let level = level.and_then(|text| LogLevel::parse(&text));
    let level = level.ok_or_else(|| {
        Fault::invalid_params(
            "level must be one of debug, info, notice, warning, error, critical, alert, emergency",
        )
    })?;
    session.set_log_level(level);
    Ok(())
}

fn uri_of(envelope: &Envelope) -> Result<String, Fault> {
    let uri = envelope.param(Param::Uri).and_then(Raw::as_str);
    uri.map(String::from).ok_or_else(|| Fault::invalid_params("uri must be a string"))
}

async fn subscribe(
    endpoint: &Endpoint,
    generation: &Generation,
    session: &Session,
    envelope: &Envelope,
) -> Result<(), Fault> {
    let uri = uri_of(envelope)?;
    let owner = generation.stack().catalogue().resource_owner(&uri);
    let owner = owner.ok_or_else(|| Fault::resource_not_found(protocol::Era::Legacy, &uri))?;
    let watch = endpoint.watches.watch(owner, &uri);
    Watch::begun(std::slice::from_ref(&watch)).await;
    session.subscribe(&uri, Box::new(watch)).map_err(|refusal| {
        generation.note(&refusal);
        Fault::new(refusal.kind.code(), refusal.message.clone())
            .with_data(refusal.data(generation.number()))
    })
}

fn unsubscribe(session: &Session, envelope: &Envelope) -> Result<(), Fault> {
    session.unsubscribe(&uri_of(envelope)?);
    Ok(())
}

/// What the answer to a request of this session is written for.
pub(crate) fn reply_to(session: &Session, envelope: &Envelope) -> ReplyTo {
    ReplyTo {
        id: envelope.id().unwrap_or_default(),
        revision: session.revision(),
        method: envelope.method(),
        uri: Bytes::new(),
    }
}

/// The answer to a handshake.
pub(crate) fn welcome(generation: &Generation, session: &Session, envelope: &Envelope) -> Bytes {
    let result = generation.stack().catalogue().identity().initialize(session.revision());
    let outcome = Outcome::Done(Content::Ready(result));
    outcome::response(generation, &reply_to(session, envelope), Ok(outcome.into())).0
}

/// The notification for a change; `None` for one that this session does not hear of.
pub(crate) fn change(session: &Session, change: &Change) -> Option<Bytes> {
    let method = match change {
        Change::Tools => "notifications/tools/list_changed",
        Change::Prompts => "notifications/prompts/list_changed",
        Change::Resources => "notifications/resources/list_changed",
        Change::ResourceUpdated(uri) => {
            if !session.is_subscribed(uri) {
                return None;
            }
            let mut params = String::from("{\"uri\":");
            write_string(&mut params, uri);
            params.push('}');
            return Some(encode::notification("notifications/resources/updated", &params));
        }
    };
    Some(encode::notification(method, ""))
}

fn invalid(message: &'static str) -> Fault {
    Fault::new(codes::INVALID_REQUEST, message)
}

/// A second handshake.
pub(crate) fn initialized_twice() -> Fault {
    invalid("This session is initialized already.")
}

/// A batch where none is spoken.
pub(crate) fn no_batches() -> Fault {
    invalid("Batches exist in sessions of 2025-03-26 only.")
}

/// An id that is taken.
pub(crate) fn duplicate_id() -> Fault {
    invalid("This id is in use by a request that still runs.")
}

/// Answers a batch (2025-03-26); `None` when nothing in it wants an answer. Its calls run side by side, cannot ask the
/// client anything and say nothing before they answer: there is no stream of their own to say it on.
pub(crate) async fn batch(
    endpoint: &Endpoint,
    generation: &Arc<Generation>,
    session: &Arc<Session>,
    principal: Principal,
    items: Vec<Result<Envelope, EnvelopeError>>,
) -> Option<Bytes> {
    let answers =
        items.into_iter().map(|item| batched(endpoint, generation, session, principal, item));
    let answers: Vec<_> = join_all(answers).await.into_iter().flatten().collect();
    if answers.is_empty() {
        return None;
    }
    let mut out =
        Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 1);
    for (at, answer) in answers.iter().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        out.extend_from_slice(answer);
    }
    out.push(b']');
    Some(out.into())
}

async fn batched(
    endpoint: &Endpoint,
    generation: &Arc<Generation>,
    session: &Arc<Session>,
    principal: Principal,
    item: Result<Envelope, EnvelopeError>,
) -> Option<Bytes> {
    let envelope = match item {
        Ok(envelope) => envelope,
        Err(error) => {
            return Some(encode::fault(
                &error.id.unwrap_or_default(),
                &Fault::new(error.code, error.message),
            ));
        }
    };
    match envelope.shape() {
        Shape::Notification => {
            notified(session, &envelope);
            return None;
        }
        Shape::Response | Shape::ErrorResponse => {
            session.answer(&envelope);
            return None;
        }
        Shape::Request => {}
    }
    let to = reply_to(session, &envelope);
    if envelope.method() == Method::Initialize {
        return Some(encode::fault(&to.id, &invalid("initialize cannot be part of a batch.")));
    }
    if is_of_session(session, envelope.method()) {
        return Some(answer_of_session(endpoint, generation, session, &envelope).await);
    }
    let mut call = call(session, envelope, principal);
    call.client = ClientCapabilities::NONE;
    call.log_level = None;
    let to = outcome::reply_to(&call);
    let mut unheard = Unheard;
    Some(match run(generation, session, call, &mut unheard).await {
        Ended::Answered(message, _held) => message,
        Ended::Refused(refusal) => outcome::refused(generation, &to.id, &refusal),
        Ended::Cancelled => return None,
    })
}

/// Where nobody listens.
struct Unheard;

impl Outlet for Unheard {
    async fn say(&mut self, _: Bytes) {}

    fn detach(&mut self, _: u32) {}
}

/// Takes in a notification of the client.
pub(crate) fn notified(session: &Session, envelope: &Envelope) {
    match envelope.method() {
        Method::Initialized => session.set_initialized(),
        Method::Cancelled => {
            if let Some(id) = envelope.param(Param::RequestId) {
                session.cancel(id.text());
            }
        }
        // Roots are asked for when a tool needs them, and nobody waits for progress of a client.
        _ => {}
    }
}

/// The call that a legacy request asks for, counted against `principal`.
pub(crate) fn call(session: &Session, envelope: Envelope, principal: Principal) -> Call {
    let mut call = Call::new(envelope, session.revision(), session.client(), principal);
    call.log_level = session.log_level();
    call
}

/// Whether `call` is answered on this thread without waiting and has nothing to say before: then it needs neither a
/// task of its own nor a place among the session's running requests.
pub(crate) fn is_immediate(call: &Aimed) -> bool {
    match call.method() {
        Method::ToolsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::PromptsList => true,
        Method::ToolsCall if !call.wants_progress() && call.log_level.is_none() => {
            call.target.is_some_and(|target| target.runs_here)
        }
        _ => false,
    }
}

/// Where the messages of one call go before its answer.
pub(crate) trait Outlet: Send {
    /// Sends one message to the client; waits where there is no room.
    fn say(&mut self, message: Bytes) -> impl Future<Output = ()> + Send;
    /// Lets the connection go, where the client can come back for the rest.
    fn detach(&mut self, retry_ms: u32);
}

/// How a call ended.
pub(crate) enum Ended {
    /// With a response.
    Answered(Bytes, Held),
    /// With a refusal, which a transport may put on a status of its own.
    Refused(Refusal),
    /// By the client, which hears nothing more of it.
    Cancelled,
}

/// Runs a call with all its rounds of questions. Everything that it says before its answer goes to `outlet`.
pub(crate) async fn run(
    generation: &Arc<Generation>,
    session: &Arc<Session>,
    call: Call,
    outlet: &mut impl Outlet,
) -> Ended {
    let to = outcome::reply_to(&call);
    let Ok(running) = session.begin(&to.id) else {
        return Ended::Answered(encode::fault(&to.id, &duplicate_id()), Held::default());
    };
    tokio::select! {
        biased;
        () = running.cancelled() => Ended::Cancelled,
        ended = rounds(generation, session, call, &to, outlet) => ended,
    }
}

async fn rounds(
    generation: &Arc<Generation>,
    session: &Arc<Session>,
    mut call: Call,
    to: &ReplyTo,
    outlet: &mut impl Outlet,
) -> Ended {
    loop {
        let envelope = call.envelope.clone();
        let round = call.round;
        let (client, principal, log_level) = (call.client, call.principal, call.log_level);
        let result = speak(generation, call, outlet).await;
        let input = match result {
            Err(refusal) => return Ended::Refused(refusal),
            Ok(Reply { outcome: Outcome::InputRequired(input), .. }) if round < ROUNDS_MAX => input,
            Ok(reply) => {
                let (message, held) = outcome::response(generation, to, Ok(reply));
                return Ended::Answered(message, held);
            }
        };
        let asked = tokio::select! {
            asked = ask(session, &input, outlet) => asked,
            () = generation.closing() => return Ended::Refused(generation.stack().closed()),
        };
        let answers = match asked {
            Ok(answers) => answers,
            Err(outcome) => {
                let (message, held) = outcome::response(generation, to, Ok(outcome.into()));
                return Ended::Answered(message, held);
            }
        };
        call = Call::new(envelope, to.revision, client, principal);
        call.log_level = log_level;
        call.round = round + 1;
        call.answers = Some(answers);
        call.state = input.state;
    }
}

/// One round: the call, and what it says meanwhile.
async fn speak(
    generation: &Arc<Generation>,
    mut call: Call,
    outlet: &mut impl Outlet,
) -> Result<Reply, Refusal> {
    let (sender, mut events) = tokio::sync::mpsc::channel(EVENTS_MAX);
    let revision = call.revision;
    let token = call.envelope.meta(MetaKey::ProgressToken);
    let token = token.map(|token| call.envelope.share(token)).unwrap_or_default();
    call.events = Some(sender);
    let mut running = Box::pin(generation.stack().call(call));
    loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => pass_on(outlet, &event, &token, revision).await,
            result = &mut running => {
                while let Ok(event) = events.try_recv() {
                    pass_on(outlet, &event, &token, revision).await;
                }
                return result;
            }
        }
    }
}

async fn pass_on(outlet: &mut impl Outlet, event: &Event, token: &[u8], revision: Revision) {
    match event {
        Event::Detach { retry_ms } => outlet.detach(*retry_ms),
        Event::Progress { .. } | Event::Log { .. } => {
            if let Some(message) = outcome::event_message(event, token, revision) {
                outlet.say(message).await;
            }
        }
    }
}

/// Asks the client everything at once and waits for all answers. No lock is held and no permit taken meanwhile.
async fn ask(
    session: &Arc<Session>,
    input: &InputRequired,
    outlet: &mut impl Outlet,
) -> Result<Bytes, Outcome> {
    let questions = check(&input.requests, &Limits::DEFAULT)
        .map_err(|_| Outcome::Failed(Fault::internal("The tool asks for something malformed.")))?;
    let mut names = Vec::new();
    let mut waiting = Vec::new();
    for (name, question) in questions.members() {
        let method = question.get("method").and_then(Raw::as_str).unwrap_or_default();
        let params = question.get("params").map_or("{}", Raw::text);
        let Asked { message, answer } = session.ask(&method, params);
        outlet.say(message).await;
        names.push(name);
        waiting.push(answer);
    }
    let mut answers = String::from("{");
    for (name, answer) in names.iter().zip(join_all(waiting).await) {
        let answer = answer.map_err(unanswered)?;
        if answers.len() > 1 {
            answers.push(',');
        }
        write_string(&mut answers, name);
        answers.push(':');
        // The answer was checked with the message that brought it.
        answers.push_str(&String::from_utf8_lossy(&answer));
    }
    answers.push('}');
    Ok(answers.into())
}

/// What a tool's caller hears when the client did not answer: something that the model can act on.
fn unanswered(error: AskError) -> Outcome {
    let text = match error {
        AskError::Timeout => "The client did not answer the question in time.".to_owned(),
        AskError::SessionEnded => "The session ended before the question was answered.".to_owned(),
        AskError::ClientError { message, .. } => {
            format!("The client refused the question: {message}")
        }
    };
    Outcome::Done(Content::Text {
        text: text.into(),
        is_error: true,
        mime: None,
        cache: CacheHint::NONE,
    })
}
