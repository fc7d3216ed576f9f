//! One connection from its first byte to its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::Counter;
use middleware::http;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use super::answered::Counted;
use super::drain::Drain;
use super::flood::FloodGate;
use super::progress::{Closed, Deadlines, Progress, instant_of, now_ms};
use super::streams::Streams;
use super::watched::{Protocol, Watched};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What every connection of a listener is served with.
pub(super) struct Terms {
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) drain: Drain,
    pub(super) http: http::State,
    pub(super) streams_stalled: Counter,
}

/// Serves `socket` until it ends, and says why it did.
pub(super) async fn serve<S, B>(
    socket: TcpStream,
    service: S,
    progress: Arc<Progress>,
    terms: Arc<Terms>,
) -> Closed
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut keeper =
        pin!(Keeper::new(Arc::clone(&progress), terms.drain.clone(), terms.drain.clone().begun()));
    let mut io = Watched::new(socket, Arc::clone(&progress));
    let protocol = match keeper.as_mut().watch(io.sniff()).await {
        Ok(Ok(Some(protocol))) => protocol,
        Ok(Ok(None)) => return Closed::Done,
        Ok(Err(_)) => return Closed::Error,
        Err(closed) => return closed,
    };
    let settings = terms.http.settings();
    match protocol {
        Protocol::Http1 => {
            let service = Counted::new(service, progress, terms);
            let connection = http1_builder(&settings).serve_connection(TokioIo::new(io), service);
            drop(settings);
            keeper.drive(pin!(connection), |_| ()).await
        }
        // Boxed: an idle HTTP/1 connection does not carry the room for it.
        Protocol::Http2 => {
            progress.is_http2_for(settings.http2.requests_max);
            let service = Counted::new(service, progress, Arc::clone(&terms));
            io.guard(FloodGate::new(terms.http.clone(), Arc::clone(&settings)));
            Box::pin(serve_http2(io, service, keeper, terms, settings)).await
        }
    }
}

async fn serve_http2<S, B, D>(
    io: Watched,
    service: Counted<S>,
    keeper: Pin<&mut Keeper<D>>,
    terms: Arc<Terms>,
    settings: Arc<http::Config>,
) -> Closed
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    D: Future<Output = ()>,
{
    let streams = Streams::new(terms.deadlines.write(), terms.streams_stalled.clone());
    let connection =
        http2_builder(&streams, &settings.http2).serve_connection(TokioIo::new(io), service);
    let closed = keeper.drive(pin!(connection), |cx| streams.reap(cx)).await;
    streams.shutdown().await;
    closed
}

/// Bytes of an answer that wait for the reader of one HTTP/2 stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// HTTP/1 as this listener speaks it. Without hyper's own timer: the keeper knows when a head is late.
fn http1_builder(settings: &http::Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(settings.head_bytes_max.bytes())
        .header_read_timeout(None)
        .half_close(false)
        .pipeline_flush(false);
    builder
}

/// HTTP/2 as this listener speaks it: what one client can make it hold is small, and floods end the connection.
fn http2_builder(streams: &Streams, settings: &http::Http2) -> http2::Builder<Streams> {
    // The ranges of the keys fit.
    let size = |size: middleware::ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(size(settings.header_list_bytes_max))
        .initial_stream_window_size(size(settings.stream_window_bytes))
        .initial_connection_window_size(size(settings.connection_window_bytes))
        .max_frame_size(size(settings.frame_bytes_max))
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(settings.local_resets_max)
        .max_pending_accept_reset_streams(settings.pending_resets_max)
        .keep_alive_interval(Duration::from_millis(settings.ping_ms))
        .keep_alive_timeout(Duration::from_millis(settings.ping_answer_ms));
    builder
}

/// A connection that can be asked to end after what it has in hand.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Whether its client is told, so that no request is lost that is on its way.
    const SAYS_GOODBYE: bool;

    fn end_gracefully(self: Pin<&mut Self>);
}

impl<S, B> Graceful for http1::Connection<TokioIo<Watched>, S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    const SAYS_GOODBYE: bool = false;

    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Graceful for http2::Connection<TokioIo<Watched>, S, Streams>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    const SAYS_GOODBYE: bool = true;

    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

pin_project! {
    /// Holds a connection to its deadlines with one timer, which is set forward only when it goes off: while requests
    /// come and go in time, it costs nothing.
    struct Keeper<D> {
        progress: Arc<Progress>,
        // What the timer is set to.
        set_to_ms: u64,
        #[pin]
        timer: Sleep,
        // Whether the timer knows the task: it is told once, since a task's waker never changes.
        is_armed: bool,
        drain: Drain,
        // Ends when the drain begins.
        #[pin]
        begun: D,
        begun_state: Begun,
        // Why the connection was asked to end.
        ending: Option<Closed>,
    }
}

/// By when the connection has to get on or is too old, and the reason to end it then.
fn due(progress: &Progress) -> Option<(u64, Closed)> {
    let aged = progress.aged_ms().map(|aged_ms| (aged_ms, Closed::Age));
    [progress.due(), aged].into_iter().flatten().min_by_key(|(due_ms, _)| *due_ms)
}

/// Whether h2 itself ended the connection for a flood.
fn is_calmed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|source| source.downcast_ref::<h2::Error>());
    error.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// How far a connection knows of the drain.
#[derive(Clone, Copy, PartialEq)]
enum Begun {
    Unasked,
    Asked,
    /// It knows that everybody leaves.
    Left,
    /// It has begun, and there was no connection yet to tell.
    Noted,
    Heard,
}

/// What is ordered of a connection.
enum Order {
    /// To end where its client expects it.
    Leave,
    /// To end.
    Stop,
}

impl<D: Future<Output = ()>> Keeper<D> {
    fn new(progress: Arc<Progress>, drain: Drain, begun: D) -> Self {
        let set_to_ms = due(&progress).map_or(u64::MAX, |(due_ms, _)| due_ms);
        Self {
            progress,
            set_to_ms,
            timer: sleep_until(instant_of(set_to_ms)),
            is_armed: false,
            drain,
            begun,
            begun_state: Begun::Unasked,
            ending: None,
        }
    }

    /// What the connection is guilty of, if its time is up; wakes the task when that may have changed.
    fn poll_overdue(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut this = self.project();
        this.progress.remember(cx);
        if this.ending.is_none()
            && let Some(reason) = this.progress.asked()
        {
            return Poll::Ready(reason);
        }
        loop {
            let due = due(this.progress);
            // What is due later than the timer goes off needs no reading of the clock.
            let is_in_time = due.is_none_or(|(due_ms, _)| *this.set_to_ms <= due_ms);
            if is_in_time && *this.is_armed && !this.timer.is_elapsed() {
                return Poll::Pending;
            }
            if is_in_time && this.timer.as_mut().poll(cx).is_pending() {
                *this.is_armed = true;
                return Poll::Pending;
            }
            let now_ms = now_ms();
            if let Some((due_ms, guilty)) = due
                && due_ms < now_ms
            {
                return Poll::Ready(guilty);
            }
            // However late it is due: memory may become short before. And while nothing is due, an answer may end on
            // another thread without a word.
            let due_ms = due.map_or(u64::MAX, |(due_ms, _)| due_ms);
            *this.set_to_ms = due_ms.min(now_ms + this.progress.recheck_ms());
            this.timer.as_mut().reset(instant_of(*this.set_to_ms));
            *this.is_armed = false;
        }
    }

    /// Ready once for each order.
    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Order> {
        let this = self.project();
        // Asking takes a lock that all connections share, so it is done once: a task's waker never changes.
        let is_worth_asking = match this.begun_state {
            Begun::Unasked => true,
            Begun::Asked | Begun::Left => this.drain.has_news(),
            Begun::Noted => {
                *this.begun_state = Begun::Heard;
                return Poll::Ready(Order::Stop);
            }
            Begun::Heard => false,
        };
        if !is_worth_asking {
            return Poll::Pending;
        }
        if this.begun.poll(cx).is_ready() {
            *this.begun_state = Begun::Heard;
            return Poll::Ready(Order::Stop);
        }
        if *this.begun_state == Begun::Left {
            return Poll::Pending;
        }
        if this.drain.has_news() {
            *this.begun_state = Begun::Left;
            return Poll::Ready(Order::Leave);
        }
        *this.begun_state = Begun::Asked;
        Poll::Pending
    }

    /// Waits for `work`, which is dropped when it is late. Once the drain has begun, little time is left to it.
    async fn watch<F: Future>(mut self: Pin<&mut Self>, work: F) -> Result<F::Output, Closed> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if self.begun_state != Begun::Noted
                && let Poll::Ready(order) = self.as_mut().poll_drain(cx)
            {
                let this = self.as_mut().project();
                *this.begun_state = match order {
                    // There is no connection yet to tell; it waits for what its client is about to say.
                    Order::Leave => Begun::Asked,
                    Order::Stop => {
                        this.progress.parting();
                        Begun::Noted
                    }
                };
            }
            self.as_mut().poll_overdue(cx).map(Err)
        })
        .await
    }

    /// Runs `connection` to its end. `attend` is called whenever it has nothing to do.
    async fn drive<C: Graceful>(
        mut self: Pin<&mut Self>,
        mut connection: Pin<&mut C>,
        attend: impl Fn(&mut Context<'_>),
    ) -> Closed {
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(self.as_mut().ended(&result));
                }
                attend(cx);
                let ending = match self.as_mut().poll_drain(cx) {
                    // Its next answer says so.
                    Poll::Ready(Order::Leave) if !C::SAYS_GOODBYE => continue,
                    Poll::Ready(Order::Leave | Order::Stop) => Closed::Done,
                    Poll::Pending => match ready!(self.as_mut().poll_overdue(cx)) {
                        reason if reason.is_graceful() => reason,
                        guilty => return Poll::Ready(self.ending.unwrap_or(guilty)),
                    },
                };
                self.as_mut().end(connection.as_mut(), ending);
            }
        })
        .await
    }

    fn end<C: Graceful>(self: Pin<&mut Self>, connection: Pin<&mut C>, ending: Closed) {
        let this = self.project();
        this.ending.get_or_insert(ending);
        this.progress.closing();
        connection.end_gracefully();
    }

    fn ended(self: Pin<&mut Self>, result: &hyper::Result<()>) -> Closed {
        match result {
            Ok(()) => self.ending.unwrap_or(Closed::Done),
            Err(error) => {
                tracing::debug!(%error, "A connection broke.");
                let is_flood = self.progress.asked() == Some(Closed::Abuse) || is_calmed(error);
                if is_flood { Closed::Abuse } else { Closed::Error }
            }
        }
    }
}
