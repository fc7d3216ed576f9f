//! The edge half: refuses by the head, and reserves the body before its first byte.

use http::{HeaderName, Method as HttpMethod};
use protocol::{Admission, Class, Head, Method, Refusal};
use tower_layer::Layer;

use super::gate::{Gate, STEP_BYTES};
use crate::Mode;
use crate::edge::{Edge, EdgeLayer};

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
        Edge::new(self.clone(), inner)
    }
}

/// Refuses what the level does not allow, and reserves room for the bodies of the rest.
pub type MemoryRequest<S> = Edge<MemoryRequestLayer, S>;

impl EdgeLayer for MemoryRequestLayer {
    fn judge(&self, head: &Head<'_>, admission: &mut Admission) -> Result<(), Refusal> {
        let Self(gate) = self;
        if !gate.is_calm()
            && let Some(class) = class_of(head, gate.mode())
        {
            gate.check(class)?;
        }
        let Some(mut share) = gate.share() else {
            return Ok(());
        };
        // What does not declare its size has at least a first step.
        let declared =
            head.declared_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        gate.reserve(&mut share, declared.unwrap_or(STEP_BYTES))?;
        admission.reserved = Some(share);
        Ok(())
    }
}

/// The class, as far as the head tells and nobody judges it later.
fn class_of(head: &Head<'_>, mode: Mode) -> Option<Class> {
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
