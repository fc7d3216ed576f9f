//! The path by which an operator has the profile read again.
//!
//! | request | meaning | status |
//! |---|---|---|
//! | `POST /admin/reload` | read the profile again, soon | 202 |
//! | `POST /admin/reload?wait=true` | the same, and say what became of it | 200 when the profile is what serves, else 409 |
//!
//! A request with `Origin` is refused, as for self-tests; and so is every request where other hosts reach the listener.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::answers::Answers;
use crate::selftest::{Telling, Told, response};

/// Where it is asked for.
const PATH: &str = "/admin/reload";

/// Whoever reads the profile again. Asked on the control thread, which must not wait: what takes time goes into the
/// answer.
pub trait Reloads: Send + Sync {
    /// Reads it again, soon; the answer tells what became of it when `waits`, and otherwise that it will.
    fn ask(self: Arc<Self>, waits: bool) -> Telling;
}

impl Answers {
    /// The answer to a request of this path; `None` for one of another.
    pub(crate) async fn reload<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        if request.uri().path() != PATH {
            return None;
        }
        if let Some(refused) = self.refused_host(request) {
            return Some(refused);
        }
        Some(match self.read_reload(request) {
            Ok(telling) => response(&telling.await),
            Err(refused) => response(&refused),
        })
    }

    fn read_reload<B>(&self, request: &Request<B>) -> Result<Telling, Told> {
        let refused = |status, sentence: &str| Err(Told::refused(status, sentence));
        if request.headers().contains_key(ORIGIN) {
            return refused(
                StatusCode::FORBIDDEN,
                "No web page may change the profile; use `toolrack reload`.",
            );
        }
        if request.method() != Method::POST {
            return refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "Only POST; /admin/reloads shows what became of it.",
            );
        }
        let waits = match request.uri().query() {
            None => false,
            Some("wait=true") => true,
            Some(_) => return refused(StatusCode::BAD_REQUEST, "Write ?wait=true, or nothing."),
        };
        match self.reloads() {
            Some(reloads) => Ok(Arc::clone(reloads).ask(waits)),
            None => refused(
                StatusCode::FORBIDDEN,
                "Other hosts reach this listener, so it takes no orders; send SIGHUP, or let the profile be watched.",
            ),
        }
    }
}
