//! From a plan to a stack. Allocates; binds, spawns and reads nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use middleware::bulkhead::{Bulkhead, BulkheadLayer};
use middleware::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use middleware::concurrency::{Concurrency, ConcurrencyLayer};
use middleware::edge::Admit;
use middleware::fairness::{Fairness, FairnessLayer};
use middleware::http::{Http, HttpLayer};
use middleware::memory::{self, MemoryCall, MemoryCallLayer, MemoryRequest, MemoryRequestLayer};
use middleware::origin::{Origin, OriginLayer};
use middleware::payload::{PayloadAnswer, PayloadAnswerLayer, PayloadRequest, PayloadRequestLayer};
use middleware::pre_auth_limit::{PreAuthLimit, PreAuthLimitLayer};
use middleware::rate_limit::{RateLimit, RateLimitLayer};
use middleware::timeout::{Timeout, TimeoutLayer};
use profile::Plan;
use protocol::{Admission, Aimed, Call, Class, Entry, Head, Principal, Refusal, Reply, Share};
use telemetry::Measured;
use tower::ServiceBuilder;
use tower_service::Service;

use crate::catalogue::{BuildError, Catalogue};
use crate::closing::Closing;
use crate::dispatch::Dispatch;
use crate::kit::Kit;

type Edge = Http<Origin<PreAuthLimit<PayloadRequest<MemoryRequest<Admit>>>>>;
type Calls = MemoryCall<
    RateLimit<Fairness<Concurrency<CircuitBreaker<Timeout<Bulkhead<PayloadAnswer<Dispatch>>>>>>>,
>;

/// All layers around the dispatch, built from one plan.
pub struct Stack {
    edge: Edge,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    request_bytes_max: usize,
    memory: memory::Gate,
    kit: Kit,
    closing: Closing,
}

/// Builds the stack of `plan`.
///
/// # Errors
/// When the plugins' items do not fit together.
pub fn build(plan: &Plan, kit: &Kit) -> Result<Stack, BuildError> {
    let layers = &plan.layers;
    let catalogue = Arc::new(Catalogue::build(&plan.server, &kit.plugins)?);
    kit.follow(layers);
    let memory = memory::Gate::new(&layers.memory, kit.memory.clone());
    let roster = catalogue.roster(plan);
    let payload = PayloadRequestLayer::new(&layers.payload);
    let request_bytes_max = payload.cap();
    // The first layer meets the request first. `order::ORDER` says the same; `keeps_the_order` proves it.
    let edge = ServiceBuilder::new()
        .layer(HttpLayer::new(&layers.http))
        .layer(OriginLayer::new(&layers.origin))
        .layer(PreAuthLimitLayer::new(&layers.pre_auth_limit, kit.pre_auth_limit.clone()))
        .layer(payload)
        .layer(MemoryRequestLayer::new(memory.clone()))
        .service(Admit);
    let calls = ServiceBuilder::new()
        .layer(MemoryCallLayer::new(memory.clone()))
        .layer(RateLimitLayer::new(&layers.rate_limit, kit.rate_limit.clone()))
        .layer(FairnessLayer::new(&layers.fairness, kit.fairness.clone()))
        .layer(ConcurrencyLayer::new(&layers.concurrency, kit.concurrency.clone()))
        .layer(CircuitBreakerLayer::new(&layers.circuit_breaker, &roster, kit.circuits.clone()))
        .layer(TimeoutLayer::new(&layers.timeout))
        .layer(BulkheadLayer::new(&layers.bulkhead, &roster, &kit.bulkhead))
        .layer(PayloadAnswerLayer::new(&layers.payload))
        .service(Dispatch::new(Arc::clone(&catalogue), Arc::clone(&kit.seal)));
    let closing = Closing::new(plan.reload.drain);
    Ok(Stack { edge, calls, catalogue, request_bytes_max, memory, kit: kit.clone(), closing })
}

impl Stack {
    /// The edge stage: lets a head in, with what its body may cost; or the refusal of the first layer that says no.
    ///
    /// # Errors
    /// That refusal.
    pub fn admit(&self, head: Head<'_>) -> Result<Admission, Box<Refusal>> {
        (&self.edge).call(Entry::new(head)).into_inner()
    }

    /// Lets `principal` begin a session, which is no call; or the refusal of the layer that says no.
    ///
    /// # Errors
    /// When it begins too many.
    pub fn admit_session(&self, principal: Principal) -> Result<(), Refusal> {
        self.calls.inner().layer().admit_session(principal)
    }

    /// Finds what `call` is for. Once: layers and dispatch go by its numbers.
    #[must_use]
    pub fn aim(&self, call: Call) -> Aimed {
        let target = self.catalogue.target(&call);
        Aimed::at(target, call)
    }

    /// The call stage: runs a call. Dropping the future cancels it.
    pub fn call(&self, call: Call) -> Calling<'_> {
        self.run(self.aim(call))
    }

    /// The call stage, for a call that this very stack has aimed.
    pub fn run(&self, aimed: Aimed) -> Calling<'_> {
        let call = aimed.into_call();
        let measured = self.kit.meter.start(call.method(), call.revision.era(), call.begun);
        let principal = call.principal;
        let closing = &self.closing;
        Calling { future: (&self.calls).call(call), closing, principal, measured: Some(measured) }
    }

    /// Judges a request that comes to neither stage, by its class.
    ///
    /// # Errors
    /// When requests of this class are not served now.
    pub fn check_class(&self, class: Class) -> Result<(), Refusal> {
        self.memory.check(class)
    }

    /// An empty share of the ledger of bodies, for one that does not pass the edge stage; `None` when nobody counts.
    #[must_use]
    pub fn body_share(&self) -> Option<Share> {
        self.memory.share()
    }

    /// Lets `share` hold a body that has grown to `bytes`.
    ///
    /// # Errors
    /// When the ledger has no room.
    pub fn grow_body(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        self.memory.grow(share, bytes)
    }

    /// What is on offer.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The cap on requests that do not pass the edge stage: lines on stdio.
    #[must_use]
    pub const fn request_bytes_max(&self) -> usize {
        self.request_bytes_max
    }

    /// Ends the stack: whatever waits in it for a plugin is refused at once, and what waits for its turn when that comes.
    pub fn close(&self) {
        self.closing.close();
        for plugin in &self.kit.plugins {
            plugin.wake_calls();
        }
    }

    /// What a call hears that the end of the stack ends.
    #[must_use]
    pub fn closed(&self) -> Refusal {
        self.closing.refusal()
    }

    /// What the next stack takes over.
    #[must_use]
    pub const fn kit(&self) -> &Kit {
        &self.kit
    }
}

pin_project_lite::pin_project! {
    /// A call on its way: a reply, or the refusal of the first layer that says no. Written by hand because an async
    /// block would keep room for the call beside the future that has consumed it.
    pub struct Calling<'s> {
        #[pin]
        future: <&'s Calls as Service<Call>>::Future,
        closing: &'s Closing,
        principal: Principal,
        measured: Option<Measured<'s>>,
    }
}

impl Future for Calling<'_> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.future.poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending if this.closing.is_closed() => Err(this.closing.refusal()),
            Poll::Pending => return Poll::Pending,
        };
        let result = result.map_err(|refusal| refusal.for_principal(*this.principal));
        if let Some(measured) = this.measured.take() {
            measured.end(&result);
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::ORDER;

    /// The names of the layers in a nested type, outermost first.
    fn layers<S>() -> Vec<&'static str> {
        let parts = std::any::type_name::<S>().split("middleware::").skip(1);
        let names = parts.filter_map(|part| part.split("::").next());
        // What the layers of the edge stage share is none.
        names.filter(|name| *name != "edge").collect()
    }

    #[test]
    fn keeps_the_order() {
        let nested = [layers::<Edge>(), layers::<Calls>()].concat();
        // What the accept loop asks comes before any of the stack's own.
        let of_stack = ORDER.iter().filter(|(_, stage)| *stage != "accept");
        let stated: Vec<_> = of_stack.map(|(layer, _)| *layer).collect();
        assert_eq!(nested, stated);
        assert!(ORDER.is_sorted_by_key(|(_, stage)| {
            ["accept", "edge", "call", "answer"].iter().position(|known| known == stage)
        }));
    }
}
