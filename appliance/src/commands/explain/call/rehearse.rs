//! Plays a request to the real layers, without a socket, without plugins, and to nobody's harm.
//!
//! The request passes hyper, the endpoint and the stack as `serve` builds them; only the plugins are not there. Nothing
//! else is under way, so that what depends on the load is never reached.

use std::convert::Infallible;
use std::io::Cursor;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use profile::Plan;
use profile::plan::{HttpPlan, StdioPlan};
use protocol::Peer;
use runtime::Phase;
use serde_json::Value;
use stack::Seal;
use transport::Endpoint;
use transport::http::HttpEndpoint;

use super::request::{Asked, Way};
use crate::commands::serve::house;

/// What a client would hear, and what its request weighs.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// HTTP alone.
    pub(super) status: Option<u16>,
    /// The JSON-RPC message; null when there is none.
    pub(super) message: Value,
    pub(super) weight: Weight,
}

/// The parts of a head that have caps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) uri_bytes: usize,
    pub(super) headers: usize,
    pub(super) longest_name_bytes: usize,
    pub(super) longest_value_bytes: usize,
    pub(super) body_bytes: Option<u64>,
}

impl Weight {
    fn of(request: &Request<Incoming>) -> Self {
        use hyper::body::Body;
        let headers = request.headers();
        Self {
            uri_bytes: request.uri().path_and_query().map_or(0, |path| path.as_str().len()),
            headers: headers.len(),
            longest_name_bytes: headers.keys().map(|name| name.as_str().len()).max().unwrap_or(0),
            longest_value_bytes: headers.values().map(|value| value.len()).max().unwrap_or(0),
            body_bytes: request.body().size_hint().exact(),
        }
    }
}

/// Plays the request to an appliance with this plan, as if it came from `from`.
///
/// # Errors
/// When there can be no such appliance, or the request is no HTTP.
pub(super) fn play(asked: &Asked<'_>, plan: &Plan, from: IpAddr) -> Result<Heard, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let _entered = runtime.enter();
    let endpoint = endpoint(plan)?;
    runtime.block_on(async {
        match asked.way {
            Way::Http { name, plan } => {
                let endpoint = HttpEndpoint::new(endpoint, name.into());
                http(endpoint, plan, asked.bytes.clone(), from).await
            }
            Way::Stdio { plan, .. } => Ok(stdio(endpoint, plan, &asked.bytes).await),
        }
    })
}

/// What `serve` serves, without plugins.
fn endpoint(plan: &Plan) -> Result<Arc<Endpoint>, String> {
    let seal = Seal::random(plan.request_state.ttl).map_err(|error| error.to_string())?;
    let switch = house::first_generation(&Arc::new(plan.clone()), Vec::new(), seal, 1);
    let endpoint = house::endpoint(switch.map_err(|error| error.to_string())?);
    endpoint.vitals.enter(Phase::Ready);
    Ok(endpoint)
}

async fn http(
    endpoint: Arc<HttpEndpoint>,
    plan: &HttpPlan,
    request: Bytes,
    from: IpAddr,
) -> Result<Heard, String> {
    let peer = Peer { remote: SocketAddr::new(from, 0), local: plan.bind };
    let heard = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (endpoint, heard) = (Arc::clone(&endpoint), Arc::clone(&heard));
        async move {
            let weight = Weight::of(&request);
            let Ok(answer) = endpoint.handle(peer, request).await;
            let (head, body) = answer.into_parts();
            // A stream has no end; whoever is given one was let in.
            let is_stream = head.headers.get("content-type").is_some_and(|kind| kind == EVENTS);
            let body = if is_stream { None } else { body.collect().await.ok() };
            let message = body.and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
            let status = Some(head.status.as_u16());
            let message = message.unwrap_or_default();
            *lock(&heard) = Some(Heard { status, message, weight });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let io = TokioIo::new(tokio::io::join(Cursor::new(request), tokio::io::sink()));
    let mut builder = hyper::server::conn::http1::Builder::new();
    // What there is to read is all there at once, and then the end of it.
    let served = builder.half_close(true).serve_connection(io, service).await;
    let heard = lock(&heard).take();
    match (heard, served) {
        (Some(heard), _) => Ok(heard),
        (None, Err(error)) => Err(format!(
            "this is neither one JSON-RPC message nor an HTTP request that is served: {error}"
        )),
        (None, Ok(())) => Err("this is no whole HTTP request".to_owned()),
    }
}

const EVENTS: &str = "text/event-stream";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn stdio(endpoint: Arc<Endpoint>, plan: &StdioPlan, line: &Bytes) -> Heard {
    let mut output = Cursor::new(Vec::new());
    // Its output does not fail, and what it says is all that counts.
    transport::stdio::serve(endpoint, plan, &line[..], &mut output).await.ok();
    let answer = output.into_inner();
    Heard { message: serde_json::from_slice(&answer).unwrap_or_default(), ..Heard::default() }
}
