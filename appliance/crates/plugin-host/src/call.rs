//! A call that a plugin has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;

use protocol::{Outcome, Refusal, RefusalKind};
use tokio::time::Sleep;

use crate::outcome::Asked;
use crate::plugin::Plugin;
use crate::threads::Control;

/// What [`Plugin::call`] gives back.
pub enum Invocation {
    /// The answer is there.
    Ready(Result<Outcome, Refusal>),
    /// The plugin is at work.
    Pending(PendingCall),
}

/// A call that a plugin is at work on. Dropping it gives the call up, and the plugin is told.
pub struct PendingCall {
    plugin: Arc<Plugin>,
    handle: u64,
    asked: Asked,
    /// The plugin's own deadline, when it comes before the call's.
    deadline: Option<Instant>,
    // Made at the first wait: whoever completes at once needs no timer.
    sleep: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl PendingCall {
    pub(crate) fn new(
        plugin: Arc<Plugin>,
        handle: u64,
        asked: Asked,
        deadline: Option<Instant>,
    ) -> Self {
        Self { plugin, handle, asked, deadline, sleep: None, is_over: false }
    }

    fn take(&mut self) -> Option<Result<Outcome, Refusal>> {
        let ended = self.plugin.slots().take(self.handle)?;
        self.is_over = true;
        Some(self.plugin.judge(&self.asked, ended))
    }

    fn give_up(&mut self) {
        self.is_over = true;
        if self.plugin.slots().give_up(self.handle) {
            self.plugin.control().send(Control::Cancel(self.handle));
        }
    }

    fn timed_out(&mut self) -> Refusal {
        self.give_up();
        self.plugin.counters().timeouts.fetch_add(1, Relaxed);
        let limit = self.plugin.limits().deadline.as_millis() as u64;
        let scope = format!("plugin:{}", self.plugin.name());
        Refusal::new(RefusalKind::TimedOut, "plugin", scope, "The tool did not finish in time.")
            .with_limit(limit)
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
        let Some(deadline) = this.deadline else {
            return Poll::Pending;
        };
        let sleep =
            this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(this.timed_out())),
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
