//! A call that a plugin has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use protocol::{InputRequired, Outcome, Refusal, RefusalKind};
use tokio::time::Sleep;

use crate::outcome::AskedBefore;
use crate::plugin::Plugin;
use crate::threads::Control;

/// What [`Plugin::call`] gives back, with what was to be kept of the call.
pub enum Invocation<K> {
    /// The answer is there; nothing is asked of the client.
    Ready(Result<Outcome, Refusal>),
    /// The plugin asks the client something.
    Asks(InputRequired, K),
    /// The plugin is at work.
    Pending(PendingCall, K),
}

/// A call that a plugin is at work on. Dropping it gives the call up, and the plugin is told.
pub struct PendingCall {
    plugin: Arc<Plugin>,
    handle: u64,
    asked: AskedBefore,
    times: Times,
    // Made at the first wait: whoever completes at once needs no timer.
    sleep: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

/// When a call is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When the work is late, whoever watches it.
    pub(crate) due: Instant,
    /// The plugin's own deadline, when it comes before the call's; and how long that is.
    pub(crate) own: Option<(Instant, Duration)>,
}

impl PendingCall {
    pub(crate) fn new(plugin: Arc<Plugin>, handle: u64, asked: AskedBefore, times: Times) -> Self {
        Self { plugin, handle, asked, times, sleep: None, is_over: false }
    }

    fn take(&mut self) -> Option<Result<Outcome, Refusal>> {
        let ended = self.plugin.slots().take(self.handle)?;
        self.is_over = true;
        Some(self.plugin.judge(self.asked.asked(), ended))
    }

    fn give_up(&mut self) {
        self.is_over = true;
        if self.plugin.slots().give_up(self.handle) {
            if Instant::now() >= self.times.due {
                self.plugin.slots().mark_stuck(self.handle);
            }
            self.plugin.control().send(Control::Cancel(self.handle));
        }
    }

    fn timed_out(&mut self, limit: Duration) -> Refusal {
        self.give_up();
        self.plugin.counters().timeouts.fetch_add(1, Relaxed);
        let scope = format!("plugin:{}", self.plugin.name());
        Refusal::new(RefusalKind::TimedOut, "plugin", scope, "The tool did not finish in time.")
            .with_limit(limit.as_millis() as u64)
    }
}

impl Future for PendingCall {
    type Output = Result<Outcome, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        let this = &mut *self;
        this.plugin.slots().wake_by(this.handle, cx.waker());
        // It may have ended between the look and the wish to be woken.
        if let Some(result) = this.take() {
            return Poll::Ready(result);
        }
        let Some((deadline, limit)) = this.times.own else {
            return Poll::Pending;
        };
        let sleep =
            this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(this.timed_out(limit))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if !self.is_over {
            self.give_up();
        }
    }
}
