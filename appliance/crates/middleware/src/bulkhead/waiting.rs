//! A call that waits for its turn: first for a place of its tool, then for one of its plugin.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use protocol::Permit;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::state::Cell;

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// A place of the tool.
    Tool(oneshot::Receiver<()>),
    /// A place of the plugin; one of the tool is there.
    Plugin(oneshot::Receiver<()>),
    /// Nothing: the places are there, or were given up.
    Done,
}

/// A call that waits for its turn. Dropped, it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    cell: Arc<Cell>,
    stage: Stage,
    until: Instant,
    sleep: Pin<Box<Sleep>>,
    /// Its places in the queues of its tool and its plugin.
    _queued: [Permit; 2],
}

/// It did not get its turn in time.
#[derive(Debug)]
pub(super) struct TooLate;

impl Waiting {
    /// Waits for a place; `has_tool`: for one of the plugin only. `None` when the queues are full: then the tool's
    /// place, if there was one, is given back.
    pub(super) fn begin(cell: &Arc<Cell>, has_tool: bool, until: Instant) -> Option<Self> {
        let queued = cell.queue.try_take().zip(cell.compartment.queue.try_take());
        let Some((of_tool, of_plugin)) = queued else {
            if has_tool {
                cell.gate.leave();
            }
            return None;
        };
        let stage = if has_tool {
            Stage::Plugin(cell.compartment.gate.wait())
        } else {
            Stage::Tool(cell.gate.wait())
        };
        Some(Self {
            cell: Arc::clone(cell),
            stage,
            until,
            sleep: Box::pin(tokio::time::sleep_until(until.into())),
            _queued: [of_tool, of_plugin],
        })
    }

    pub(super) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// Ready when a place of the tool and one of the plugin are taken: whoever asks has to give them back.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TooLate>> {
        if self.poll_places(cx).is_ready() {
            self.stage = Stage::Done;
            return Poll::Ready(Ok(()));
        }
        // By the clock as well: another timer of the same moment may have fired first, and it would say that the call
        // may have run.
        if Instant::now() < self.until {
            ready!(self.sleep.as_mut().poll(cx));
        }
        self.leave();
        Poll::Ready(Err(TooLate))
    }

    fn poll_places(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::Tool(turn) = &mut self.stage {
            // Gates live as long as their cells: the channel ends with a message.
            ready!(Pin::new(turn).poll(cx)).ok();
            if self.cell.compartment.gate.enter().is_some() {
                return Poll::Ready(());
            }
            self.stage = Stage::Plugin(self.cell.compartment.gate.wait());
        }
        match &mut self.stage {
            Stage::Plugin(turn) => Pin::new(turn).poll(cx).map(drop),
            Stage::Tool(_) | Stage::Done => Poll::Ready(()),
        }
    }

    fn leave(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Tool(turn) => self.cell.gate.give_up(turn),
            Stage::Plugin(turn) => {
                self.cell.compartment.gate.give_up(turn);
                self.cell.gate.leave();
            }
            Stage::Done => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}
