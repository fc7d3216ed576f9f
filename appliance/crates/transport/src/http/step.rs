//! What a request comes to once its body was read.
//!
//! One future serves every request, in one allocation: whatever is rare is boxed, and no step hands a whole call on
//! through futures inside of futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use protocol::encode::ReplyTo;
use protocol::{Aimed, Refusal, Reply};

use super::{Admitted, answer};
use crate::body::ReplyBody;
use crate::outcome;

/// What is left to do.
// The large one is not the rare one: boxing it would cost every fault an allocation.
#[allow(clippy::large_enum_variant)]
pub(super) enum Step {
    /// Nothing.
    Answer(Response<ReplyBody>),
    /// To run a call that is answered in one piece, and dropped with its connection.
    Call(ReplyTo, Aimed),
    /// Everything else that takes time.
    Later(Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>>),
}

impl Step {
    pub(super) fn call(admitted: &mut Admitted, call: Aimed) -> Self {
        admitted.held.add(admitted.generation.in_flight().take_anyway().0);
        Self::Call(outcome::reply_to(&call), call)
    }

    pub(super) fn later(
        future: impl Future<Output = Response<ReplyBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Does it.
    pub(super) fn begin<C>(
        self,
        admitted: &mut Admitted,
        run: impl FnOnce(Aimed) -> C,
    ) -> Work<'_, C> {
        match self {
            Self::Answer(response) => Work::Answered { response: Some(response) },
            Self::Call(to, call) => Work::Calling { calling: run(call), to, admitted },
            Self::Later(later) => Work::Later { later },
        }
    }
}

pin_project! {
    /// What was begun, and comes to an answer. Written by hand because an async block would keep room for the step
    /// beside what it has led to.
    #[project = WorkProject]
    pub(super) enum Work<'a, C> {
        Answered { response: Option<Response<ReplyBody>> },
        Calling { #[pin] calling: C, to: ReplyTo, admitted: &'a mut Admitted },
        Later { later: Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> },
    }
}

impl<C: Future<Output = Result<Reply, Refusal>>> Future for Work<'_, C> {
    type Output = Response<ReplyBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<ReplyBody>> {
        match self.project() {
            WorkProject::Answered { response } => {
                Poll::Ready(response.take().expect("a future is not polled after it is ready"))
            }
            WorkProject::Calling { calling, to, admitted } => {
                let result = ready!(calling.poll(cx));
                let Admitted { generation, headers, held, .. } = admitted;
                Poll::Ready(answer::once(generation, to, held, headers, result))
            }
            WorkProject::Later { later } => later.as_mut().poll(cx),
        }
    }
}

impl From<Response<ReplyBody>> for Step {
    fn from(response: Response<ReplyBody>) -> Self {
        Self::Answer(response)
    }
}
