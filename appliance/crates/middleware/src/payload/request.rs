//! The edge half: caps the request body.

use protocol::{Admission, Head, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;

use super::{Config, NAME};
use crate::Mode;
use crate::edge::{Edge, EdgeLayer};

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
        Edge::new(self.clone(), inner)
    }
}

/// Refuses a declared length above the cap, and caps the body otherwise.
pub type PayloadRequest<S> = Edge<PayloadRequestLayer, S>;

impl EdgeLayer for PayloadRequestLayer {
    fn judge(&self, head: &Head<'_>, admission: &mut Admission) -> Result<(), Refusal> {
        let declared = head.declared_bytes.unwrap_or(0);
        if self.mode != Mode::Off && declared > self.bytes_max as u64 {
            self.mode.judge(Refusal::request_too_large(self.bytes_max), &self.refused)?;
        }
        let cap = self.cap();
        if declared > cap as u64 {
            return Err(Refusal::request_too_large(cap));
        }
        admission.request_bytes_max = admission.request_bytes_max.min(cap);
        Ok(())
    }
}
