//! Questions to the client: requests of ours, answered by responses of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::json::Raw;
use protocol::{Envelope, encode};
use tokio::sync::oneshot;

use super::Session;
use super::live::Waiting;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The client did not answer in time.
    Timeout,
    /// The client answered with an error.
    ClientError {
        /// JSON-RPC code.
        code: i64,
        /// What it said.
        message: String,
    },
    /// The session ended.
    SessionEnded,
}

/// A question that was numbered and not yet answered.
pub struct Asked {
    /// The request to send.
    pub message: Bytes,
    answer: Answer,
}

struct Answer {
    session: Arc<Session>,
    number: u64,
    receiver: oneshot::Receiver<Result<Bytes, AskError>>,
    deadline: Duration,
}

impl Asked {
    pub(super) fn new(
        session: Arc<Session>,
        number: u64,
        method: &str,
        params: &str,
        receiver: oneshot::Receiver<Result<Bytes, AskError>>,
        deadline: Duration,
    ) -> Self {
        let message = encode::request(number, method, params);
        Self { message, answer: Answer { session, number, receiver, deadline } }
    }

    /// Waits for the answer: the result object, as the client wrote it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn answer(self) -> Result<Bytes, AskError> {
        let mut answer = self.answer;
        match tokio::time::timeout(answer.deadline, &mut answer.receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(AskError::SessionEnded),
            Err(_) => Err(AskError::Timeout),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.session.forget_question(self.number);
    }
}

/// Hands a response to whoever waits for it.
pub(super) fn resolve(waiting: Waiting, response: &Envelope) {
    let result = match response.result() {
        Some(result) => Ok(response.share(result)),
        None => {
            let member = |key| response.error().and_then(|error| error.get(key));
            let code = member("code").and_then(Raw::as_i64).unwrap_or_default();
            let message = member("message").and_then(Raw::as_str).unwrap_or_default().into_owned();
            Err(AskError::ClientError { code, message })
        }
    };
    // Nobody waits any more when the call was cancelled meanwhile.
    waiting.send(result).ok();
}
