//! The one order of the layers: cheapest refusal first.

use middleware::{
    bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory, origin, payload,
    pre_auth_limit, rate_limit, timeout,
};

/// Every layer with the stage in which it decides, outermost first. A layer with two halves stands twice.
///
/// The order is a contract: a request that two layers would refuse is answered by the earlier one.
/// `accept` decides before the first byte of a connection; `edge` from the head, before the body is read; `call` from
/// the parsed call; `answer` from the result.
pub const ORDER: &[(&str, &str)] = &[
    (connections::NAME, "accept"),
    (http::NAME, "edge"),
    (origin::NAME, "edge"),
    (pre_auth_limit::NAME, "edge"),
    (payload::NAME, "edge"),
    (memory::NAME, "edge"),
    (memory::NAME, "call"),
    (rate_limit::NAME, "call"),
    (fairness::NAME, "call"),
    (concurrency::NAME, "call"),
    (circuit_breaker::NAME, "call"),
    (timeout::NAME, "call"),
    (bulkhead::NAME, "call"),
    (payload::NAME, "answer"),
];
