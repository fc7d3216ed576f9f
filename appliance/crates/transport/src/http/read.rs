//! Reads a request body whole: up to its cap, before its deadline.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use protocol::{Refusal, RefusalKind};

/// Why there is no body.
pub(super) enum ReadError {
    /// Too large or too slow.
    Refused(Box<Refusal>),
    /// The client broke off, or its framing.
    Broken,
}

/// The body as one piece. A body that arrives in one frame is not copied.
pub(super) async fn whole(
    body: Incoming,
    bytes_max: usize,
    deadline: Duration,
) -> Result<Bytes, ReadError> {
    let mut reading = pin!(collect(body, bytes_max));
    // Most bodies are there when their head is: no timer for them.
    let first = std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    if let Poll::Ready(result) = first {
        return result;
    }
    match tokio::time::timeout(deadline, reading).await {
        Ok(result) => result,
        Err(_) => Err(ReadError::Refused(Box::new(too_slow(deadline)))),
    }
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, ReadError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(ReadError::Refused(Box::new(Refusal::request_too_large(bytes_max))));
        }
        if first.is_empty() && rest.is_empty() {
            if body.is_end_stream() {
                return Ok(data);
            }
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(first.len() + data.len());
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Not there by the listener's `body_ms`.
fn too_slow(deadline: Duration) -> Refusal {
    let message = "The request body did not arrive in time.";
    Refusal::new(RefusalKind::BodyTooSlow, "listen", "request", message)
        .with_limit(deadline.as_millis() as u64)
}
