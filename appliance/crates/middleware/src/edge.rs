//! The future that every edge layer answers with: decided at once, or the next layer's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use protocol::{Admission, Refusal};

pin_project_lite::pin_project! {
    /// A refusal, or what the inner service says.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum EdgeFuture<F> {
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
        /// Handed on, with a stricter cap on the body if there is one.
        Inner { #[pin] future: F, request_bytes_max: usize },
    }
}

impl<F> EdgeFuture<F> {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal: Some(Box::new(refusal)) }
    }

    pub(crate) fn inner(future: F) -> Self {
        Self::Inner { future, request_bytes_max: usize::MAX }
    }

    pub(crate) fn capped(future: F, request_bytes_max: usize) -> Self {
        Self::Inner { future, request_bytes_max }
    }
}

impl<F: Future<Output = Result<Admission, Refusal>>> Future for EdgeFuture<F> {
    type Output = Result<Admission, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
            Project::Inner { future, request_bytes_max } => {
                future.poll(cx).map_ok(|mut admission| {
                    admission.request_bytes_max =
                        admission.request_bytes_max.min(*request_bytes_max);
                    admission
                })
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::future::{Ready, ready};

    use protocol::Head;
    use tower_service::Service;

    use super::*;

    /// The innermost edge service: admits everything.
    pub(crate) struct Admit;

    impl Service<Head> for &Admit {
        type Response = Admission;
        type Error = Refusal;
        type Future = Ready<Result<Admission, Refusal>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, head: Head) -> Self::Future {
            ready(Ok(Admission::unlimited(head)))
        }
    }
}
