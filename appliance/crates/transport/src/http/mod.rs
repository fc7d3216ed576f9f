//! The Streamable HTTP endpoint: both eras on one path.

mod answer;
mod gathered;
mod headers;
mod legacy;
mod listen;
mod modern;
mod proxies;
mod read;
mod step;
mod streams;

pub(crate) use headers::Mirrors;
#[cfg(fuzzing)]
pub(crate) use modern::mirrors;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method as HttpMethod, Request, Response, StatusCode, header};
use hyper::body::{Body, Incoming};
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{
    Admission, Envelope, Era, Fault, Field, Fields, Head, Held, Id, Peer, Principal, Refusal,
    RefusalKind, Shape, codes,
};
use runtime::Generation;
use tokio::sync::watch;

use crate::body::ReplyBody;
use crate::classify;
use crate::endpoint::Endpoint;
use proxies::Proxies;
use read::Pace;
use step::Step;

/// One HTTP listener's way into the house. Its settings are those of the generation that a request meets.
pub struct HttpEndpoint {
    endpoint: Arc<Endpoint>,
    listener: Arc<str>,
    /// Turns true when the listener ends: long-lived streams say goodbye.
    ending: watch::Sender<bool>,
}

/// An answer to come. Boxed: hyper keeps room for it in every connection, idle ones too.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>;

/// What is known of a request once its head was let in.
struct Admitted {
    generation: Arc<Generation>,
    principal: Principal,
    headers: HeaderMap,
    held: Held,
    heartbeat: Duration,
}

impl Admitted {
    /// All of it, for what goes on elsewhere.
    fn take(&mut self) -> Self {
        Self {
            generation: Arc::clone(&self.generation),
            principal: self.principal,
            headers: std::mem::take(&mut self.headers),
            held: std::mem::take(&mut self.held),
            heartbeat: self.heartbeat,
        }
    }
}

impl HttpEndpoint {
    /// The endpoint of the listener `name`.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, name: Arc<str>) -> Arc<Self> {
        Arc::new(Self { endpoint, listener: name, ending: watch::Sender::new(false) })
    }

    /// Has long-lived streams say goodbye.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Answers one request; what its head decides is decided at once. Dropping the future, or the body of its answer,
    /// cancels a modern call.
    pub fn handle(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Answering {
        let (parts, body) = request.into_parts();
        match self.enter(peer, parts, &body) {
            // Written where it stays: made before there is a box, all the room of it would be copied into one.
            Ok((admitted, allowed)) => {
                let place = Box::new_uninit();
                let running = Box::write(place, self.run(admitted, allowed, body));
                Box::into_pin(running)
            }
            Err(response) => Box::pin(ready(Ok(*response))),
        }
    }

    /// Judges what needs no body; with what the body may have, or the answer.
    fn enter(
        self: &Arc<Self>,
        peer: Peer,
        parts: Parts,
        body: &Incoming,
    ) -> Result<(Admitted, read::Allowed), Box<Response<ReplyBody>>> {
        let generation = self.endpoint.switch.load();
        let Some(plan) = generation.plan().http(&self.listener) else {
            return Err(Box::new(answer::refusal(&Id::default(), &gone(peer), &generation)));
        };
        let principal = Proxies(&plan.trusted_proxies).principal(peer.remote.ip(), &parts.headers);
        let declared_bytes = body.size_hint().exact();
        let listener = &self.listener;
        let fields = Fields::of(&parts.headers);
        let head =
            Head { parts: &parts, fields: &fields, peer, principal, listener, declared_bytes };
        // Origin and size come first: whoever fails them learns nothing else.
        let admission = generation
            .stack()
            .admit(head)
            .map_err(|refusal| Box::new(answer::refusal(&Id::default(), &refusal, &generation)))?;
        if parts.uri.path() != plan.path {
            return Err(Box::new(answer::hint(StatusCode::NOT_FOUND, NOT_HERE)));
        }
        if let Err(refusal) = self.endpoint.check_phase() {
            let refusal = refusal.for_principal(principal);
            return Err(Box::new(answer::refusal(&Id::default(), &refusal, &generation)));
        }
        let Admission { request_bytes_max: bytes_max, reserved, held } = admission;
        let (pace, heartbeat) = (Pace::of(plan), plan.heartbeat);
        if parts.method == HttpMethod::POST {
            check_media(&fields, &parts.headers)?;
        }
        let headers = parts.headers;
        let admitted = Admitted { generation, principal, headers, held, heartbeat };
        match parts.method {
            HttpMethod::POST => {}
            HttpMethod::GET => return Err(Box::new(Arc::clone(self).get(admitted))),
            HttpMethod::DELETE => return Err(Box::new(self.delete(&admitted))),
            _ => return Err(Box::new(answer::method_not_allowed())),
        }
        Ok((admitted, read::Allowed { bytes_max, reserved, pace }))
    }

    /// Reads the body and does what it says.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would keep what it is given twice")]
    fn run(
        self: Arc<Self>,
        mut admitted: Admitted,
        allowed: read::Allowed,
        body: Incoming,
    ) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> + Send {
        async move {
            let generation = Arc::clone(&admitted.generation);
            let text = match read::whole(body, &generation, allowed).await {
                Ok((text, share)) => {
                    if let Some(share) = share {
                        admitted.held.add_bytes(share);
                    }
                    text
                }
                Err(read::ReadError::Refused(refusal)) => {
                    return Ok(answer::refusal(&Id::default(), &refusal, &generation));
                }
                Err(read::ReadError::Broken) => return Ok(answer::status(StatusCode::BAD_REQUEST)),
            };
            let step = self.post(&mut admitted, text);
            let work = pin!(step.begin(&mut admitted, |call| generation.stack().run(call)));
            Ok(work.await)
        }
    }

    /// What `admitted` carries stays where it is, unless something takes all of it: most calls leave it alone.
    fn post(self: &Arc<Self>, admitted: &mut Admitted, text: Bytes) -> Step {
        let message = match Envelope::parse(text, &Limits::DEFAULT) {
            Ok(message) => message,
            Err(error) => {
                let fault = Fault::new(error.code, error.message);
                return answer::fault(&error.id.unwrap_or_default(), &fault).into();
            }
        };
        match message {
            Message::Batch(items) => {
                Step::later(Arc::clone(self).legacy_batch(admitted.take(), items))
            }
            Message::One(envelope) => {
                let mirrors = Mirrors::of(&admitted.headers);
                match classify::era_of_http(mirrors.version, &envelope) {
                    Era::Modern => {
                        let declared =
                            modern::judge(&self.endpoint.tasks, admitted, &mirrors, &envelope);
                        self.modern(admitted, declared, envelope)
                    }
                    Era::Legacy => self.legacy(admitted, envelope),
                }
            }
        }
    }
}

/// What a request hears that came through a listener which the profile no longer has.
fn gone(peer: Peer) -> Refusal {
    let message = "This address is no longer served; connect to another one.";
    Refusal::new(RefusalKind::Draining, "lifecycle", "process", message)
        .with_retry_after(Duration::from_secs(1))
        .for_principal(Principal::at(peer.remote.ip()))
}

const NOT_HERE: &str = "Nothing is served at this path; MCP usually is at /mcp.\n";
const NOT_JSON: &str = "Send one JSON-RPC message with `Content-Type: application/json` and without `Content-Encoding`.\n";
const NOT_READABLE: &str =
    "An answer may be either: send `Accept: application/json, text/event-stream`.\n";
/// What almost every client sends.
const USUAL_ACCEPT: &str = "application/json, text/event-stream";

/// A body that is not JSON, or a client that could not read our answer.
fn check_media(fields: &Fields<'_>, headers: &HeaderMap) -> Result<(), Box<Response<ReplyBody>>> {
    let is_json = |value: &http::HeaderValue| {
        let essence = || value.to_str().ok()?.split(';').next();
        let is_spelled_otherwise =
            || essence().is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"));
        value == "application/json" || is_spelled_otherwise()
    };
    if !matches!(fields.content_type, Field::One(value) if is_json(value))
        || !fields.content_encoding.is_absent()
    {
        return Err(Box::new(answer::hint(StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_JSON)));
    }
    let is_usual = matches!(fields.accept, Field::One(value) if value == USUAL_ACCEPT);
    if is_usual || accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
        Ok(())
    } else {
        Err(Box::new(answer::hint(StatusCode::NOT_ACCEPTABLE, NOT_READABLE)))
    }
}

/// Whether `Accept` lists `media`, a wildcard over it, or is absent (RFC 9110, 12.5.1; weights are not read: a server
/// with one representation has nothing to weigh).
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let family = media.split_once('/').map_or("", |(family, _)| family);
    let is_match = |item: &str| {
        let item = item.split(';').next().unwrap_or_default().trim();
        item.eq_ignore_ascii_case(media)
            || item == "*/*"
            || item.strip_suffix("/*").is_some_and(|of| of.eq_ignore_ascii_case(family))
    };
    values.filter_map(|value| value.to_str().ok()).any(|value| value.split(',').any(is_match))
}

/// What a modern client may not send.
fn not_a_request(envelope: &Envelope) -> Option<Fault> {
    match envelope.shape() {
        Shape::Request | Shape::Notification => None,
        Shape::Response | Shape::ErrorResponse => Some(Fault::new(
            codes::INVALID_REQUEST,
            "A response is of no use here: this revision has no requests by the server.",
        )),
    }
}
