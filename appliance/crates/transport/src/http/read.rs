//! Reads a request body whole: up to its cap, before its deadline.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use protocol::{Refusal, RefusalKind, Share};
use runtime::Generation;
use tokio::time::{Instant, timeout_at};

use crate::reserved::{SMALL_BYTES, with_share};

/// Why there is no body.
pub(super) enum ReadError {
    /// Too large or too slow.
    Refused(Box<Refusal>),
    /// The client broke off, or its framing.
    Broken,
}

/// How fast a body has to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// For all of it.
    pub(super) deadline: Duration,
    /// In every window; 0: no bound.
    pub(super) bytes_per_sec_min: usize,
    /// Over which the rate is measured.
    pub(super) window: Duration,
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
    pace: Pace,
) -> Result<(Bytes, Option<Share>), ReadError> {
    let received_bytes = AtomicUsize::new(0);
    let mut reading = pin!(collect(body, room, &received_bytes));
    // Most bodies are there when their head is: no timer for them.
    let first = std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    if let Poll::Ready(result) = first {
        return result;
    }
    let until = Instant::now() + pace.deadline;
    let slowest_bytes = pace.bytes_per_sec_min as u128 * pace.window.as_millis() / 1_000;
    loop {
        let before_bytes = received_bytes.load(Relaxed);
        let window_ends = Instant::now() + pace.window;
        if let Ok(result) = timeout_at(until.min(window_ends), reading.as_mut()).await {
            return result;
        }
        if until <= window_ends {
            return Err(too_slow(pace.deadline.as_millis()));
        }
        if ((received_bytes.load(Relaxed) - before_bytes) as u128) < slowest_bytes {
            return Err(too_slow(pace.bytes_per_sec_min as u128));
        }
    }
}

async fn collect(
    mut body: Incoming,
    mut room: Room<'_>,
    received_bytes: &AtomicUsize,
) -> Result<(Bytes, Option<Share>), ReadError> {
    // Known and within its cap, or grown into.
    let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue;
        };
        let so_far_bytes = first.len() + rest.len() + data.len();
        received_bytes.store(so_far_bytes, Relaxed);
        room.hold(so_far_bytes)?;
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

/// Below a bound of the listener.
fn too_slow(limit: u128) -> ReadError {
    let message = "The request body did not arrive in time.";
    let refusal = Refusal::new(RefusalKind::BodyTooSlow, "listen", "request", message);
    refused(refusal.with_limit(limit as u64))
}
