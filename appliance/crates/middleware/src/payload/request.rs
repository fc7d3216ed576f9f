//! The edge half: caps the request body.

use std::task::{Context, Poll};

use protocol::{Admission, Head, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use super::{Config, NAME};
use crate::Mode;
use crate::edge::EdgeFuture;

/// Makes [`PayloadRequest`] services.
#[derive(Clone, Debug)]
pub struct PayloadRequestLayer {
    mode: Mode,
    bytes_max: usize,
    refused: RefusalCounter,
}

impl PayloadRequestLayer {
    /// A layer that follows `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            mode: config.mode,
            bytes_max: config.request_bytes_max.bytes(),
            refused: RefusalCounter::new(NAME, RefusalKind::PayloadTooLarge),
        }
    }

    /// The cap that holds for a body whatever it declares.
    #[must_use]
    pub fn cap(&self) -> usize {
        match self.mode {
            Mode::Enforce => self.bytes_max,
            Mode::Shadow | Mode::Off => Config::HARD_REQUEST_BYTES_MAX.bytes(),
        }
    }
}

impl<S> Layer<S> for PayloadRequestLayer {
    type Service = PayloadRequest<S>;

    fn layer(&self, inner: S) -> PayloadRequest<S> {
        PayloadRequest { layer: self.clone(), inner }
    }
}

/// Refuses a declared length above the cap, and caps the body otherwise.
#[derive(Clone, Debug)]
pub struct PayloadRequest<S> {
    layer: PayloadRequestLayer,
    inner: S,
}

impl<'s, S> Service<Head> for &'s PayloadRequest<S>
where
    &'s S: Service<Head, Response = Admission, Error = Refusal>,
{
    type Response = Admission;
    type Error = Refusal;
    type Future = EdgeFuture<<&'s S as Service<Head>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, head: Head) -> Self::Future {
        let layer = &self.layer;
        let declared = head.declared_bytes.unwrap_or(0);
        if layer.mode != Mode::Off
            && declared > layer.bytes_max as u64
            && let Err(refusal) =
                layer.mode.judge(Refusal::request_too_large(layer.bytes_max), &layer.refused)
        {
            return EdgeFuture::refused(refusal);
        }
        let cap = layer.cap();
        if declared > cap as u64 {
            return EdgeFuture::refused(Refusal::request_too_large(cap));
        }
        EdgeFuture::capped((&self.inner).call(head), cap)
    }
}
