//! Requests of this server to the client: each waits for the client's answer, which arrives as a message of its own.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use foldhash::fast::RandomState;
use pin_project_lite::pin_project;
use protocol::json::Raw;
use protocol::{Envelope, encode};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::Session;

type Answered = Result<Bytes, AskError>;

/// Questions that wait for an answer, by their number.
#[derive(Default)]
pub(super) struct Questions(HashMap<u32, oneshot::Sender<Answered>, RandomState>);

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The client did not answer in time.
    #[error("the client did not answer in time")]
    Timeout,
    /// The client answered with an error.
    #[error("the client answered with error {code}: {message}")]
    ClientError {
        /// JSON-RPC code.
        code: i64,
        /// The client's words.
        message: String,
    },
    /// The session ended first.
    #[error("the session ended before the client answered")]
    SessionEnded,
}

/// A question that was put: the message that carries it, and the answer to come.
pub struct Asked {
    /// The request for the client. The caller sends it on the stream of the call that it serves.
    pub message: Bytes,
    /// The answer. Its time runs from now.
    pub answer: Answer,
}

impl Session {
    /// Prepares the request `method` to the client; `params` is the text of one object, or empty.
    pub fn ask(self: &Arc<Self>, method: &str, params: &str) -> Asked {
        let number = self.questions.fetch_add(1, Relaxed).wrapping_add(1);
        let (sender, receiver) = oneshot::channel();
        if let Some(busy) = self.state.lock().busy() {
            busy.questions.0.insert(number, sender);
        }
        let answer = Answer {
            receiver,
            deadline: sleep(self.shared.answer_deadline()),
            _question: Question { session: Arc::clone(self), number },
        };
        Asked { message: encode::request(u64::from(number), method, params), answer }
    }

    /// Takes in a response of the client. `false` when nobody waits for it: too late, twice, or never asked.
    pub fn answer(&self, envelope: &Envelope) -> bool {
        let Some(answered) = answered(envelope) else {
            return false;
        };
        let number = envelope.id().and_then(|id| id.text().parse().ok());
        let sender = number
            .and_then(|number: u32| self.state.lock().busy_already()?.questions.0.remove(&number));
        sender.is_some_and(|sender| sender.send(answered).is_ok())
    }
}

/// What a response says; `None` when it is none.
fn answered(envelope: &Envelope) -> Option<Answered> {
    if let Some(result) = envelope.result() {
        return Some(Ok(envelope.share(result)));
    }
    let error = envelope.error()?;
    let message = error.get("message").and_then(Raw::as_str).unwrap_or_default();
    let code = error.get("code").and_then(Raw::as_i64).unwrap_or_default();
    Some(Err(AskError::ClientError { code, message: message.into_owned() }))
}

pin_project! {
    /// The client's answer to come: the bytes of its result. Dropping it takes the question back.
    #[must_use = "a question that nobody waits for is taken back"]
    pub struct Answer {
        #[pin]
        receiver: oneshot::Receiver<Answered>,
        #[pin]
        deadline: Sleep,
        _question: Question,
    }
}

impl Future for Answer {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let this = self.project();
        if let Poll::Ready(received) = this.receiver.poll(cx) {
            return Poll::Ready(received.unwrap_or(Err(AskError::SessionEnded)));
        }
        this.deadline.poll(cx).map(|()| Err(AskError::Timeout))
    }
}

struct Question {
    session: Arc<Session>,
    number: u32,
}

impl Drop for Question {
    fn drop(&mut self) {
        let sender = self
            .session
            .state
            .lock()
            .busy_already()
            .and_then(|busy| busy.questions.0.remove(&self.number));
        drop(sender);
    }
}
