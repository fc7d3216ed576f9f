//! Between hyper and the service: counts requests in flight up to the last frame of their answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::connection::Terms;
use super::progress::{InFlight, Progress};
use super::streams;

/// Most bytes given to one HTTP/2 stream at once: a long answer keeps its body, and with it its permits, until its
/// reader has taken all but the last piece.
const PIECE_BYTES: usize = 16 * 1024;

/// The service of one connection.
pub(super) struct Counted<S> {
    service: S,
    progress: Arc<Progress>,
    terms: Arc<Terms>,
}

impl<S> Counted<S> {
    pub(super) const fn new(service: S, progress: Arc<Progress>, terms: Arc<Terms>) -> Self {
        Self { service, progress, terms }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<Answered<B>>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.progress.began();
        // hyper takes a chunked body for one, whatever length was declared beside; a server before this one may not
        // have (RFC 9112, 6.1).
        let is_last = !in_flight.is_http2()
            && (request.body().size_hint().exact().is_none() || self.terms.drain.has_news());
        Answering { answer: self.service.call(request), in_flight: Some(in_flight), is_last }
    }
}

pin_project! {
    /// The answer to come.
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        in_flight: Option<InFlight>,
        // Whether the connection closes after it.
        is_last: bool,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Answered<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut answer) = ready!(this.answer.poll(cx));
        if *this.is_last {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(answer.map(|body| Answered { body, rest: Bytes::new(), in_flight })))
    }
}

pin_project! {
    /// The body of an answer. Dropped by hyper as soon as its last frame is taken.
    pub(super) struct Answered<B> {
        #[pin]
        body: B,
        // What of the last frame was too much for one piece.
        rest: Bytes,
        in_flight: Option<InFlight>,
    }
}

impl<B> Answered<B> {
    fn is_cut_in_pieces(in_flight: Option<&InFlight>) -> bool {
        in_flight.is_some_and(InFlight::is_http2)
    }
}

impl<B: Body<Data = Bytes>> Body for Answered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let is_cut = Self::is_cut_in_pieces(this.in_flight.as_ref());
        if is_cut {
            streams::note_waiting();
        }
        let mut frame = if this.rest.is_empty() {
            ready!(this.body.poll_frame(cx))
        } else {
            Some(Ok(Frame::data(std::mem::take(this.rest))))
        };
        if is_cut && let Some(Ok(frame)) = &mut frame {
            streams::note_handed();
            if let Some(bytes) = frame.data_mut()
                && bytes.len() > PIECE_BYTES
            {
                *this.rest = bytes.split_off(PIECE_BYTES);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
