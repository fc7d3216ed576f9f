//! The body of every answer: ready-made bytes, or a stream of messages; and the permits it keeps.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};
use protocol::Held;

use crate::reserved::{SMALL_BYTES, with_held};

/// Messages that go out one after another; dropping it tells their source that nobody reads any more.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What goes out after the head of a response.
pub struct ReplyBody {
    content: Content,
    /// Given back when the last byte has left, or the reader is gone.
    held: Held,
}

enum Content {
    Ready(Bytes),
    Messages(Messages),
}

impl ReplyBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::ready(Bytes::new(), Held::default())
    }

    pub(crate) fn ready(mut bytes: Bytes, mut held: Held) -> Self {
        if held.bytes() > SMALL_BYTES {
            bytes = with_held(bytes, std::mem::take(&mut held));
        }
        Self { content: Content::Ready(bytes), held }
    }

    pub(crate) fn messages(messages: Messages, held: Held) -> Self {
        Self { content: Content::Messages(messages), held }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.content {
            Content::Ready(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Ready(bytes) => Poll::Ready(Some(std::mem::take(bytes))),
            Content::Messages(messages) => messages.as_mut().poll_next(cx),
        };
        if let Poll::Ready(None) = next {
            self.held = Held::default();
        }
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Ready(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Messages(_) => SizeHint::default(),
        }
    }
}
