//! What each path answers that only shows something.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use protocol::{MemoryLevel, RefusalId};
use runtime::Phase;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::sources::Sources;

/// Metrics older than this are rendered anew: scrapers that come more often share them.
const METRICS_AGE_MAX: Duration = Duration::from_secs(1);
/// Most bytes of metrics. A hundred times what a busy appliance shows: more means that the labels
/// of some metric do not come from a closed set.
const METRICS_BYTES_MAX: usize = 8 << 20;
/// Profiles that are read or tried at once; who comes then waits. Each is as large as a profile may be.
const TEXTS_MAX: usize = 8;

/// Answers requests. Stays on the control thread.
pub(crate) struct Answers {
    pub(crate) sources: Sources,
    /// Places for profiles that are read or tried.
    pub(crate) texts: Semaphore,
    /// From which age of its last beat on the data plane counts as dead.
    dead_after: Duration,
    /// Whether `Host` must name this machine: a browser that was tricked sends another name.
    checks_host: bool,
    rendered: RefCell<Option<(Instant, Bytes)>>,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const INDEX: &str = "\
/livez                     whether the process lives
/readyz                    whether it can serve
/metrics                   Prometheus metrics
/admin/plan                the effective plan, with the origin of each value
/admin/profile             the same as TOML, which can be posted again with changes
/admin/explain?request=ID  why a recent request was refused
/admin/reloads             the last attempts to change the profile
/admin/generations         what serves, and what was replaced and still has calls
/admin/history             the generations that can be rolled back to
By POST: /admin/profile, and what `toolrack` orders with reload, rollback, upgrade and selftest.
";

const NO_ID: &str = "\
Ask for one id, of 16 hexadecimal digits: /admin/explain?request=0123456789abcdef
A refusal has it as X-Request-Id and as data.request_id.
";
const FORGOTTEN: &str = "\
No recent refusal has this id: it is another process's, or newer ones of its kind took its place
(control.refusals_kept says how many are remembered).
";

impl Answers {
    pub(crate) fn new(sources: Sources, dead_after: Duration, checks_host: bool) -> Self {
        let texts = Semaphore::new(TEXTS_MAX);
        Self { sources, texts, dead_after, checks_host, rendered: RefCell::default() }
    }

    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET.\n");
            let allowed = HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        match request.uri().path() {
            "/livez" => self.livez(),
            "/readyz" => self.readyz(),
            "/metrics" => with_type(StatusCode::OK, PROMETHEUS, self.metrics()),
            "/admin/plan" => with_type(StatusCode::OK, JSON, (self.sources.plan)()),
            "/admin/reloads" => with_type(StatusCode::OK, JSON, (self.sources.attempts)()),
            "/admin/generations" => with_type(StatusCode::OK, JSON, (self.sources.generations)()),
            "/admin/history" => with_type(StatusCode::OK, JSON, (self.sources.history)()),
            "/admin/explain" => self.explain(request.uri().query().unwrap_or_default()),
            "/" => text(StatusCode::OK, INDEX),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    /// The answer to a request that names another host, where names are checked.
    pub(crate) fn refused_host<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let message = "This host name is not served here; use localhost.\n";
        let is_refused = self.checks_host && !names_this_machine(request);
        is_refused.then(|| text(StatusCode::FORBIDDEN, message))
    }

    fn is_beating(&self) -> bool {
        self.sources.vitals.heartbeat_age() <= self.dead_after
    }

    /// A process whose data plane stands still does not live, however well this thread is.
    fn livez(&self) -> Response<Full<Bytes>> {
        if self.is_beating() {
            text(StatusCode::OK, "ok\n")
        } else {
            let message = "the data plane stands still\n";
            text(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let vitals = &self.sources.vitals;
        let phase = vitals.phase();
        let plugins = (self.sources.plugins)();
        let are_ready = plugins.iter().all(|plugin| plugin.is_ready);
        let memory = self.sources.memory.level();
        let profile = (self.sources.profile)();
        // New connections are turned away then: load balancers had better look elsewhere.
        let has_memory = memory != MemoryLevel::Critical;
        let is_ready = phase == Phase::Ready && self.is_beating() && are_ready && has_memory;
        let plugins: Vec<_> = plugins
            .iter()
            .map(|plugin| json!({ "name": &*plugin.name, "state": plugin.state }))
            .collect();
        let body = json!({
            "status": if is_ready { "ready" } else { "not ready" },
            "phase": phase.as_str(),
            "generation": vitals.generation(),
            "heartbeat_age_ms": vitals.heartbeat_age().as_millis() as u64,
            "uptime_ms": vitals.uptime().as_millis() as u64,
            "profile": profile.source.as_str(),
            "profile_problems": profile.problems,
            "memory": memory.as_str(),
            "plugins": plugins,
        });
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        with_type(status, JSON, body.to_string().into())
    }

    fn explain(&self, query: &str) -> Response<Full<Bytes>> {
        let mut ids = query.split('&').filter_map(|pair| pair.strip_prefix("request="));
        let (Some(Ok(id)), None) = (ids.next().map(str::parse::<RefusalId>), ids.next()) else {
            return text(StatusCode::BAD_REQUEST, NO_ID);
        };
        match (self.sources.refusal)(id) {
            Some(known) => with_type(StatusCode::OK, JSON, known),
            None => text(StatusCode::NOT_FOUND, FORGOTTEN),
        }
    }

    fn metrics(&self) -> Bytes {
        if let Some((at, text)) = &*self.rendered.borrow()
            && at.elapsed() < METRICS_AGE_MAX
        {
            return text.clone();
        }
        let text = Bytes::from(capped((self.sources.metrics)(), METRICS_BYTES_MAX));
        *self.rendered.borrow_mut() = Some((Instant::now(), text.clone()));
        text
    }
}

/// Cuts metrics at the end of a line, and says so.
fn capped(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        tracing::warn!(bytes = text.len(), bytes_max, "Metrics were cut.");
        let lines = &text.as_bytes()[..bytes_max];
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        text.push_str("# Cut: there are too many metrics.\n");
    }
    text
}

/// `localhost` or a loopback address, at any port.
fn names_this_machine<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost")
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    with_type(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_cut_at_the_end_of_a_line() {
        let text = || "first 1\nsecond 2\n".to_owned();
        assert_eq!(capped(text(), 17), text());
        for bytes_max in 8..17 {
            let cut = capped(text(), bytes_max);
            assert_eq!(cut, "first 1\n# Cut: there are too many metrics.\n");
        }
        let nothing = capped(text(), 7);
        assert_eq!(nothing, "# Cut: there are too many metrics.\n");
    }

    #[test]
    fn only_loopback_names_are_this_machine() {
        let named = |hosts: &[&str]| {
            let builder =
                hosts.iter().fold(Request::builder(), |builder, host| builder.header(HOST, *host));
            names_this_machine(&builder.body(()).expect("a request"))
        };
        for host in ["localhost", "LocalHost:9090", "127.0.0.1:1", "127.8.0.5", "[::1]:9090"] {
            assert!(named(&[host]), "{host}");
        }
        for hosts in [
            &["example.com"][..],
            &["localhost.example.com"],
            &["127.0.0.1.example.com"],
            &["10.0.0.1"],
            &["[::2]"],
            &[""],
            &["local host"],
            &["localhost", "localhost"],
            &[],
        ] {
            assert!(!named(hosts), "{hosts:?}");
        }
    }
}
