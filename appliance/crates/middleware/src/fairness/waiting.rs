//! A call that waits for its turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use protocol::Class;
use tokio::time::Sleep;

use super::state::{Shared, Ticket, Turn};

/// A call that waits for its turn. Dropped, it leaves its queue.
#[derive(Debug)]
pub(super) struct Waiting {
    shared: Arc<Shared>,
    class: Class,
    ticket: Ticket,
    sleep: Pin<Box<Sleep>>,
    is_over: bool,
}

/// Why it did not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It waited for as long as it may: for so long, unless its deadline came first.
    TooLate(Duration),
    /// It had to make room for a client that had less.
    Evicted,
}

impl Waiting {
    pub(super) fn new(shared: &Arc<Shared>, class: Class, ticket: Ticket) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(ticket.until));
        Self { shared: Arc::clone(shared), class, ticket, sleep, is_over: false }
    }

    /// Ready, once, with its turn or with what it lost it to. The timer is its own, so that it answers in time however
    /// seldom permits come back.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, Lost>> {
        let turn = match Pin::new(&mut self.ticket.turn).poll(cx) {
            Poll::Ready(turn) => turn.map_err(|_| self.lost()),
            Poll::Pending if self.sleep.as_mut().poll(cx).is_pending() => return Poll::Pending,
            Poll::Pending => {
                self.shared.leave(self.class, self.ticket.spot);
                // Its turn may have come in this moment.
                self.ticket.turn.try_recv().map_err(|_| Lost::TooLate(self.ticket.wait))
            }
        };
        self.is_over = true;
        Poll::Ready(turn)
    }

    /// Who gives out turns passes over those whose time is up, too.
    fn lost(&self) -> Lost {
        match tokio::time::Instant::now() < self.ticket.until {
            true => Lost::Evicted,
            false => Lost::TooLate(self.ticket.wait),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.waits.note(self.class, self.ticket.begun.elapsed());
        if !self.is_over {
            self.ticket.turn.close();
            self.shared.leave(self.class, self.ticket.spot);
        }
    }
}
