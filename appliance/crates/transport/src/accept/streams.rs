//! The streams of one HTTP/2 connection: a task each, owned by the connection, reset when their reader stalls.
//!
//! The socket's own write deadline does not see such a stall: flow control stops one stream while the connection goes
//! on.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use metrics::Counter;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

/// What the body of a stream did while its task was polled.
#[derive(Clone, Copy)]
enum Polled {
    /// Not asked for a frame.
    No,
    /// Asked, and had none: the service keeps the stream waiting.
    Waiting,
    /// Gave a frame, and was not asked again: the reader keeps the stream waiting.
    Handed,
}

thread_local! {
    // hyper builds a stream's task around the service's future and body, out of our reach; a poll of one stream never
    // leaves its thread or polls another stream, so this carries the news from the body to `Paced`.
    static POLLED: Cell<Polled> = const { Cell::new(Polled::No) };
}

/// Notes that the body of the running stream was asked for a frame.
pub(super) fn note_waiting() {
    POLLED.set(Polled::Waiting);
}

/// Notes that the body of the running stream gave one.
pub(super) fn note_handed() {
    POLLED.set(Polled::Handed);
}

/// Runs the streams of one connection. Dropping the last clone drops them.
#[derive(Clone)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    write_deadline: Duration,
    stalled: Counter,
}

impl Streams {
    pub(super) fn new(write_deadline: Duration, stalled: Counter) -> Self {
        Self { tasks: Arc::default(), write_deadline, stalled }
    }

    /// Lets go of ended streams; wakes the caller's task when more of them end.
    pub(super) fn reap(&self, cx: &mut Context<'_>) {
        let mut tasks = self.tasks.lock();
        while let Poll::Ready(Some(ended)) = tasks.poll_join_next(cx) {
            if let Err(error) = ended {
                tracing::error!(%error, "An HTTP/2 stream ended in a panic.");
            }
        }
    }

    /// Drops all streams and waits until they are gone.
    pub(super) async fn shutdown(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let paced = Paced {
            stream,
            write_deadline: self.write_deadline,
            handed_at: None,
            timer: None,
            stalled: self.stalled.clone(),
        };
        self.tasks.lock().spawn(paced);
    }
}

pin_project! {
    /// A stream that ends when its reader takes nothing for the write deadline.
    struct Paced<F> {
        #[pin]
        stream: F,
        write_deadline: Duration,
        handed_at: Option<Instant>,
        // Made at the first wait: most streams end without one.
        timer: Option<Pin<Box<Sleep>>>,
        stalled: Counter,
    }
}

impl<F: Future<Output = ()>> Future for Paced<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        POLLED.set(Polled::No);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match POLLED.get() {
            Polled::No => {}
            Polled::Waiting => *this.handed_at = None,
            Polled::Handed => *this.handed_at = Some(Instant::now()),
        }
        let Some(handed_at) = *this.handed_at else {
            return Poll::Pending;
        };
        let due = handed_at + *this.write_deadline;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.stalled.increment(1);
        tracing::debug!("An HTTP/2 stream was reset: its reader stopped reading.");
        Poll::Ready(())
    }
}
