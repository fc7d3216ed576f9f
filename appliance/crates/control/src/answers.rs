//! What each path answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use runtime::{Phase, Vitals};
use serde_json::json;

/// Metrics older than this are rendered anew: scrapers that come more often share them.
const METRICS_AGE_MAX: Duration = Duration::from_secs(1);

/// A plugin's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReport {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// `ready`, `unresponsive` or `stopped`.
    pub state: &'static str,
    /// Whether it can serve.
    pub is_ready: bool,
}

/// Where answers come from. Each is called on the control thread and must not wait.
#[derive(Clone)]
pub struct Sources {
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// Every plugin.
    pub plugins: Arc<dyn Fn() -> Vec<PluginReport> + Send + Sync>,
    /// Every metric, in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The effective plan with the origin of each value, as JSON.
    pub plan: Arc<dyn Fn() -> Bytes + Send + Sync>,
}

/// Answers requests.
pub(crate) struct Answers {
    sources: Sources,
    rendered: Mutex<Option<(Instant, Bytes)>>,
    /// Whether `Host` must name this machine: a browser that was tricked sends another name.
    checks_host: bool,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const INDEX: &str = "/livez       whether the process lives\n/readyz      whether it can serve\n/metrics     Prometheus metrics\n/admin/plan  the effective plan, with the origin of each value\n";

impl Answers {
    pub(crate) fn new(sources: Sources, checks_host: bool) -> Arc<Self> {
        Arc::new(Self {
            sources,
            rendered: Mutex::new(None),
            checks_host,
        })
    }

    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if self.checks_host && !names_this_machine(request) {
            return text(
                StatusCode::FORBIDDEN,
                "This host name is not served here.\n",
            );
        }
        if request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET.\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        match request.uri().path() {
            "/livez" => self.livez(),
            "/readyz" => self.readyz(),
            "/metrics" => with_type(StatusCode::OK, PROMETHEUS, self.metrics()),
            "/admin/plan" => with_type(StatusCode::OK, JSON, (self.sources.plan)()),
            "/" => text(StatusCode::OK, INDEX),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    /// A process whose data plane stands still does not live, however well this thread is.
    fn livez(&self) -> Response<Full<Bytes>> {
        if self.sources.vitals.heartbeat_age() > Vitals::DEAD_AFTER {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the data plane stands still\n",
            )
        } else {
            text(StatusCode::OK, "ok\n")
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let vitals = &self.sources.vitals;
        let age = vitals.heartbeat_age();
        let plugins = (self.sources.plugins)();
        let is_ready = vitals.phase() == Phase::Ready
            && age <= Vitals::DEAD_AFTER
            && plugins.iter().all(|plugin| plugin.is_ready);
        let plugins: Vec<_> = plugins
            .iter()
            .map(|plugin| json!({ "name": &*plugin.name, "state": plugin.state }))
            .collect();
        let body = json!({
            "status": if is_ready { "ready" } else { "not ready" },
            "phase": vitals.phase().as_str(),
            "generation": vitals.generation(),
            "heartbeat_age_ms": age.as_millis() as u64,
            "uptime_ms": vitals.uptime().as_millis() as u64,
            "plugins": plugins,
        });
        let status = if is_ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        with_type(status, JSON, body.to_string().into())
    }

    fn metrics(&self) -> Bytes {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, text)) = &*rendered
            && at.elapsed() < METRICS_AGE_MAX
        {
            return text.clone();
        }
        let text = Bytes::from((self.sources.metrics)());
        *rendered = Some((Instant::now(), text.clone()));
        text
    }
}

/// Loopback names only, any port.
fn names_this_machine<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let authority: Option<http::uri::Authority> = host.parse().ok();
    authority.is_some_and(|authority| {
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|name| authority.host().eq_ignore_ascii_case(name))
    })
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    with_type(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
