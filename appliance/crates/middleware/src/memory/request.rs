//! The edge half: refuses by the head, and reserves the body before its first byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, Method as HttpMethod};
use protocol::{Admission, Class, Head, Method, Refusal, Share};
use tower_layer::Layer;
use tower_service::Service;

use super::gate::{Gate, STEP_BYTES};
use crate::Mode;

/// Where a client of 2026-07-28 says its method in the head. One that says another than its body does is refused later;
/// one that says none is judged by its body.
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");

/// Makes [`MemoryRequest`] services.
#[derive(Clone, Debug)]
pub struct MemoryRequestLayer(Gate);

impl MemoryRequestLayer {
    /// A layer that asks `gate`.
    #[must_use]
    pub const fn new(gate: Gate) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for MemoryRequestLayer {
    type Service = MemoryRequest<S>;

    fn layer(&self, inner: S) -> MemoryRequest<S> {
        MemoryRequest { gate: self.0.clone(), inner }
    }
}

/// Refuses what the level does not allow, and reserves room for the bodies of the rest.
#[derive(Clone, Debug)]
pub struct MemoryRequest<S> {
    gate: Gate,
    inner: S,
}

impl<S> MemoryRequest<S> {
    fn admit(&self, head: &Head) -> Result<Option<Share>, Refusal> {
        let gate = &self.gate;
        if !gate.is_calm()
            && let Some(class) = class_of(head, gate.mode())
        {
            gate.check(class)?;
        }
        let Some(mut share) = gate.share() else {
            return Ok(None);
        };
        // What does not declare its size has at least a first step.
        let declared =
            head.declared_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        gate.reserve(&mut share, declared.unwrap_or(STEP_BYTES))?;
        Ok(Some(share))
    }
}

/// The class, as far as the head tells and nobody judges it later.
fn class_of(head: &Head, mode: Mode) -> Option<Class> {
    if head.parts.method == HttpMethod::GET {
        return Some(Class::Stream);
    }
    if head.parts.method != HttpMethod::POST {
        return None;
    }
    let method = Method::parse(head.parts.headers.get(METHOD_HEADER)?.to_str().ok()?);
    let class = Class::of(method);
    // A call that is not refused here comes to the other half, and is not to be counted twice.
    let comes_again = class != Class::Stream && !method.is_of_tasks();
    (mode == Mode::Enforce || !comes_again).then_some(class)
}

impl<'s, S> Service<Head> for &'s MemoryRequest<S>
where
    &'s S: Service<Head, Response = Admission, Error = Refusal>,
{
    type Response = Admission;
    type Error = Refusal;
    type Future = ReserveFuture<<&'s S as Service<Head>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, head: Head) -> Self::Future {
        match self.admit(&head) {
            Ok(reserved) => ReserveFuture::Inner { future: (&self.inner).call(head), reserved },
            Err(refusal) => ReserveFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The inner admission with what was reserved, or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ReserveFuture<F> {
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
        /// Handed on.
        Inner { #[pin] future: F, reserved: Option<Share> },
    }
}

impl<F: Future<Output = Result<Admission, Refusal>>> Future for ReserveFuture<F> {
    type Output = Result<Admission, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
            Project::Inner { future, reserved } => {
                let mut admission = ready!(future.poll(cx))?;
                admission.reserved = reserved.take();
                Poll::Ready(Ok(admission))
            }
        }
    }
}
