//! From what the stack answers to what goes out: the same for every transport.

use bytes::Bytes;
use protocol::encode::{self, ReplyTo};
use protocol::json::{Limits, check};
use protocol::{Call, Event, Held, Id, Param, Refusal, Reply, Revision};
use runtime::Generation;

/// Events that a call may be ahead of its reader. Progress beyond that is dropped by the plugin host.
pub(crate) const EVENTS_MAX: usize = 32;

/// What the answer needs of `call`, which is handed on.
pub(crate) fn reply_to(call: &Call) -> ReplyTo {
    let uri = call.envelope.param(Param::Uri);
    ReplyTo {
        id: call.id(),
        revision: call.revision,
        method: call.method(),
        uri: uri.map(|uri| call.envelope.share(uri)).unwrap_or_default(),
    }
}

/// The response message, and what to hold until it has gone out.
pub(crate) fn response(
    generation: &Generation,
    to: &ReplyTo,
    result: Result<Reply, Refusal>,
) -> (Bytes, Held) {
    let mut out = Vec::new();
    let held = write_response(&mut out, generation, to, result);
    (out.into(), held)
}

/// Appends the response message; what to hold until it has gone out.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    generation: &Generation,
    to: &ReplyTo,
    result: Result<Reply, Refusal>,
) -> Held {
    match result {
        Ok(reply) => {
            let server = generation.stack().catalogue().server_info();
            encode::write_response(out, to, server, &reply.outcome);
            reply.held
        }
        Err(refusal) => {
            generation.note(&refusal);
            encode::write_refusal(out, &to.id, &refusal, generation.number());
            Held::default()
        }
    }
}

/// A refusal as the response message; remembered, since its client may ask an operator about it.
pub(crate) fn refused(generation: &Generation, id: &Id, refusal: &Refusal) -> Bytes {
    generation.note(refusal);
    encode::refusal(id, refusal, generation.number())
}

/// The notification for an event; `None` for one that this client does not hear of. `token` is JSON text, or empty.
pub(crate) fn event_message(event: &Event, token: &[u8], revision: Revision) -> Option<Bytes> {
    match event {
        Event::Progress { progress, total, message } => {
            let token = check(token, &Limits::DEFAULT).ok()?;
            Some(encode::progress(token, revision, *progress, *total, message.as_deref()))
        }
        Event::Log { level, logger, data } => Some(encode::log(*level, logger.as_deref(), data)),
        Event::Detach { .. } => None,
    }
}
