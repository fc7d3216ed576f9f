//! Heads of answers.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use protocol::encode::ReplyTo;
use protocol::{Era, Fault, Held, Id, Outcome, Quota, Refusal, RefusalKind, Reply, encode};
use runtime::Generation;

use crate::body::{Messages, ReplyBody};
use crate::outcome;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

fn response(status: StatusCode, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// An answer for whoever reads along: one line that says what would have been right.
pub(super) fn hint(status: StatusCode, line: &'static str) -> Response<ReplyBody> {
    let body = ReplyBody::ready(Bytes::from_static(line.as_bytes()), Held::default());
    let mut response = response(status, body);
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// An answer without a body.
pub(super) fn status(status: StatusCode) -> Response<ReplyBody> {
    response(status, ReplyBody::empty())
}

/// 405 with what is allowed.
pub(super) fn method_not_allowed() -> Response<ReplyBody> {
    let line = "MCP messages come by POST; GET and DELETE need an Mcp-Session-Id.\n";
    let mut response = hint(StatusCode::METHOD_NOT_ALLOWED, line);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    response
}

/// One JSON message.
pub(super) fn json(status: StatusCode, message: Bytes, held: Held) -> Response<ReplyBody> {
    let mut response = response(status, ReplyBody::ready(message, held));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A fault on its own HTTP status.
pub(super) fn fault(id: &Id, fault: &Fault) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(fault.http_status).unwrap_or(StatusCode::BAD_REQUEST);
    json(status, encode::fault(id, fault), Held::default())
}

/// A refusal, with the id to ask an operator about, and `Retry-After` where a retry can help.
pub(super) fn refusal(id: &Id, refusal: &Refusal, generation: &Generation) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(refusal.kind.http_status()).unwrap_or(StatusCode::OK);
    let message = outcome::refused(generation, id, refusal);
    let mut response = json(status, message, Held::default());
    if let Ok(request_id) = HeaderValue::from_bytes(&refusal.id().digits()) {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    if let Some(secs) = refusal.retry_after_secs() {
        response.headers_mut().insert(RETRY_AFTER, secs.into());
        if let Some(quota) = &refusal.quota {
            insert_quota(response.headers_mut(), quota, secs);
        }
    }
    // Whoever misread where a body ends misreads what follows it as well.
    if matches!(refusal.kind, RefusalKind::Draining | RefusalKind::HeadMalformed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Says which quota is used up and when some of it is back (draft-ietf-httpapi-ratelimit-headers-09): `q` calls in a
/// window of `w` seconds, of which `r` are left for the next `t` seconds.
fn insert_quota(headers: &mut HeaderMap, quota: &Quota, retry_after_secs: u64) {
    let Quota { class, burst, .. } = quota;
    let window = quota.window();
    let window_secs = window.as_secs() + u64::from(window.subsec_millis() > 0);
    let [mut window, mut rest] = [itoa::Buffer::new(); 2];
    let window = window.format(window_secs);
    let policy = ["\"", class, "\";q=", rest.format(burst.get()), ";w=", window].concat();
    let left = ["\"", class, "\";r=0;t=", rest.format(retry_after_secs)].concat();
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        if let Ok(value) = value.try_into() {
            headers.insert(name, value);
        }
    }
}

/// The answer of a call that is answered in one piece, in the room of the request's `headers`. A fault has an HTTP
/// status of its own only for modern clients.
pub(super) fn once(
    generation: &Generation,
    to: &ReplyTo,
    held: &mut Held,
    headers: &mut HeaderMap,
    result: Result<Reply, Refusal>,
) -> Response<ReplyBody> {
    match result {
        Ok(reply) => {
            let mut held = std::mem::take(held);
            held.absorb(reply.held);
            let status = match &reply.outcome {
                Outcome::Failed(fault) if to.revision.era() == Era::Modern => {
                    StatusCode::from_u16(fault.http_status).unwrap_or(StatusCode::OK)
                }
                _ => StatusCode::OK,
            };
            let server = generation.stack().catalogue().server_info();
            let message = encode::response(to, server, &reply.outcome);
            let mut response = response(status, ReplyBody::ready(message, held));
            *response.headers_mut() = emptied(headers);
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Err(refused) => refusal(&to.id, &refused, generation),
    }
}

/// Fields for which a connection keeps room between two requests: what clients send without a proxy before them.
const FIELDS_KEPT: usize = 16;

/// The room of a request's fields, for those of its answer: hyper takes it back for the next request, so that a
/// connection allocates it once.
fn emptied(headers: &mut HeaderMap) -> HeaderMap {
    let mut headers = std::mem::take(headers);
    if headers.capacity() > FIELDS_KEPT {
        return HeaderMap::new();
    }
    headers.clear();
    headers
}

/// A stream of events.
pub(super) fn events(messages: Messages, held: Held) -> Response<ReplyBody> {
    let mut response = response(StatusCode::OK, ReplyBody::messages(messages, held));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENTS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer would hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
