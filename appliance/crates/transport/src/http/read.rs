//! Reads a request body whole: up to its cap, before its deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use profile::plan::HttpPlan;
use protocol::{Refusal, RefusalKind, Share};
use runtime::Generation;
use tokio::time::{Instant, timeout_at};

use super::gathered::Gathered;
use crate::reserved::{SMALL_BYTES, with_share};

/// Why there is no body.
pub(super) enum ReadError {
    /// Too large or too slow.
    Refused(Box<Refusal>),
    /// The client broke off, or its framing.
    Broken,
}

/// A body, and what it holds in the ledger if that is not kept by its bytes.
pub(super) type Whole = (Bytes, Option<Share>);

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

impl Pace {
    /// That of a listener.
    pub(super) const fn of(plan: &HttpPlan) -> Self {
        Self {
            deadline: plan.body_deadline,
            bytes_per_sec_min: plan.body_bytes_per_sec_min,
            window: plan.body_window,
        }
    }
}

/// What a body may have, what it has reserved, and how fast it has to come.
pub(super) struct Allowed {
    pub(super) bytes_max: usize,
    pub(super) reserved: Option<Share>,
    pub(super) pace: Pace,
}

/// The same, with who can reserve more.
struct Room<'g> {
    generation: &'g Generation,
    allowed: Allowed,
}

impl Room<'_> {
    /// The whole text with what it has reserved: a large one keeps that itself, a small one leaves it to its answer.
    fn keep(self, text: Bytes) -> Whole {
        match self.allowed.reserved {
            Some(share) if share.held() <= SMALL_BYTES => (text, Some(share)),
            reserved => (with_share(text, reserved), None),
        }
    }

    /// Makes room for a body that has grown to `bytes`.
    fn hold(&mut self, bytes: usize) -> Result<(), ReadError> {
        if bytes > self.allowed.bytes_max {
            return Err(refused(Refusal::request_too_large(self.allowed.bytes_max)));
        }
        match &mut self.allowed.reserved {
            Some(share) => self.generation.stack().grow_body(share, bytes).map_err(refused),
            None => Ok(()),
        }
    }
}

fn refused(refusal: Refusal) -> ReadError {
    ReadError::Refused(Box::new(refusal))
}

/// The body as one piece, and what is left to keep for it in the ledger. A body that arrives in one frame is not copied.
pub(super) fn whole(
    mut body: Incoming,
    generation: &Generation,
    allowed: Allowed,
) -> impl Future<Output = Result<Whole, ReadError>> + Send {
    let mut room = Room { generation, allowed };
    async move {
        // Most bodies are there when their head is: no timer for them, and no room for one.
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        match first {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() && body.is_end_stream() => {
                let data = frame.into_data().unwrap_or_default();
                room.hold(data.len())?;
                Ok(room.keep(data))
            }
            Poll::Ready(Some(first)) => Box::pin(paced(Some(first), body, room)).await,
            Poll::Ready(None) => Ok(room.keep(Bytes::new())),
            Poll::Pending => Box::pin(paced(None, body, room)).await,
        }
    }
}

/// The same for a body of which not all is there.
async fn paced(
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    body: Incoming,
    room: Room<'_>,
) -> Result<Whole, ReadError> {
    let received_bytes = AtomicUsize::new(0);
    let pace = room.allowed.pace;
    let mut reading = pin!(collect(first, body, room, &received_bytes));
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
    mut next: Option<Result<Frame<Bytes>, hyper::Error>>,
    mut body: Incoming,
    mut room: Room<'_>,
    received_bytes: &AtomicUsize,
) -> Result<Whole, ReadError> {
    // What comes after the first frame is known and within its cap, or grown into.
    let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let taken =
        next.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
    let whole = declared.map_or(0, |bytes| (taken + bytes).min(room.allowed.bytes_max));
    let mut text = Gathered::new();
    if next.is_none() {
        next = body.frame().await;
    }
    while let Some(frame) = next {
        if let Ok(data) = frame.map_err(|_| ReadError::Broken)?.into_data() {
            let so_far_bytes = text.len() + data.len();
            received_bytes.store(so_far_bytes, Relaxed);
            room.hold(so_far_bytes)?;
            text.push(data, whole);
        }
        next = body.frame().await;
    }
    Ok(room.keep(text.into_bytes()))
}

/// Below a bound of the listener.
fn too_slow(limit: u128) -> ReadError {
    let message = "The request body did not arrive in time.";
    let refusal = Refusal::new(RefusalKind::BodyTooSlow, "listen", "request", message);
    refused(refusal.with_limit(limit as u64))
}
