//! Reads a request body whole: up to its cap, before its deadline.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use protocol::{Refusal, RefusalKind, Share};
use runtime::Generation;

use crate::reserved::{SMALL_BYTES, with_share};

/// Why there is no body.
pub(super) enum ReadError {
    /// Too large or too slow.
    Refused(Box<Refusal>),
    /// The client broke off, or its framing.
    Broken,
}

/// What a body may have, and what it has reserved.
pub(super) struct Room<'g> {
    pub(super) generation: &'g Generation,
    pub(super) bytes_max: usize,
    pub(super) reserved: Option<Share>,
}

impl Room<'_> {
    /// The whole text with what it has reserved: a large one keeps that itself, a small one leaves it to its answer.
    fn keep(self, text: Bytes) -> (Bytes, Option<Share>) {
        match self.reserved {
            Some(share) if share.held() <= SMALL_BYTES => (text, Some(share)),
            reserved => (with_share(text, reserved), None),
        }
    }

    /// Makes room for a body that has grown to `bytes`.
    fn hold(&mut self, bytes: usize) -> Result<(), ReadError> {
        if bytes > self.bytes_max {
            return Err(refused(Refusal::request_too_large(self.bytes_max)));
        }
        match &mut self.reserved {
            Some(share) => self.generation.stack().grow_body(share, bytes).map_err(refused),
            None => Ok(()),
        }
    }
}

fn refused(refusal: Refusal) -> ReadError {
    ReadError::Refused(Box::new(refusal))
}

/// The body as one piece, and what is left to keep for it in the ledger. A body that arrives in one frame is not copied.
pub(super) async fn whole(
    body: Incoming,
    room: Room<'_>,
    deadline: Duration,
) -> Result<(Bytes, Option<Share>), ReadError> {
    let mut reading = pin!(collect(body, room));
    // Most bodies are there when their head is: no timer for them.
    let first = std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    if let Poll::Ready(result) = first {
        return result;
    }
    match tokio::time::timeout(deadline, reading).await {
        Ok(result) => result,
        Err(_) => Err(refused(too_slow(deadline))),
    }
}

async fn collect(
    mut body: Incoming,
    mut room: Room<'_>,
) -> Result<(Bytes, Option<Share>), ReadError> {
    // Known and within its cap, or grown into.
    let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue;
        };
        room.hold(first.len() + rest.len() + data.len())?;
        if first.is_empty() && rest.is_empty() {
            if body.is_end_stream() {
                return Ok(room.keep(data));
            }
            first = data;
            continue;
        }
        if rest.is_empty() {
            let read = first.len() + data.len();
            rest.reserve(declared.map_or(read, |bytes| bytes.clamp(read, room.bytes_max)));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    let text = if rest.is_empty() { first } else { rest.freeze() };
    Ok(room.keep(text))
}

/// Not there by the listener's `body_ms`.
fn too_slow(deadline: Duration) -> Refusal {
    let message = "The request body did not arrive in time.";
    Refusal::new(RefusalKind::BodyTooSlow, "listen", "request", message)
        .with_limit(deadline.as_millis() as u64)
}
