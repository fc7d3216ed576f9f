//! The paths by which an operator has the profile read again, or one back that served before.
//!
//! | request | meaning | status |
//! |---|---|---|
//! | `POST /admin/reload` | read the profile again, soon | 202 |
//! | `POST /admin/reload?wait=true` | the same, and say what became of it | 200 when the profile is what serves, else 409 |
//! | `POST /admin/rollback` | have the generation back that served before | 200 when it serves, 404 when there is none, else 409 |
//! | `POST /admin/rollback?to=N` | the same of generation N | the same |
//!
//! A request with `Origin` is refused, as for self-tests; and so is every request where other hosts reach the listener.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::answers::Answers;
use crate::caller::check_caller;
use crate::orders::{Reloads, Telling, Told};

/// Where the profile is asked to be read again.
pub(crate) const RELOAD: &str = "/admin/reload";
/// Where what served before is asked for.
pub(crate) const ROLLBACK: &str = "/admin/rollback";

impl Answers {
    /// The answer to an order to read the profile again.
    pub(crate) async fn reload<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let asked = self.takes_orders(request);
        let asked = asked.and_then(|reloads| read_reload(reloads, request.uri().query()));
        answered(asked).await
    }

    /// The answer to an order to have back what served before.
    pub(crate) async fn roll_back<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut orders = self.takes_orders(request);
        // Last, since it asks the kernel.
        if orders.is_ok() {
            orders = check_caller(request).await.and(orders);
        }
        answered(orders.and_then(|reloads| read_rollback(reloads, request.uri().query()))).await
    }

    /// Who takes the order; or why nobody does.
    fn takes_orders<B>(&self, request: &Request<B>) -> Result<&Arc<dyn Reloads>, Told> {
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
        self.sources.reloads.as_ref().map_or_else(
            || {
                refused(
                    StatusCode::FORBIDDEN,
                    "Other hosts reach this listener, so it takes no orders; send SIGHUP, or let the profile be watched.",
                )
            },
            Ok,
        )
    }
}

fn read_reload(reloads: &Arc<dyn Reloads>, query: Option<&str>) -> Result<Telling, Told> {
    let waits = match query {
        None => false,
        Some("wait=true") => true,
        Some(_) => return refused(StatusCode::BAD_REQUEST, "Write ?wait=true, or nothing."),
    };
    Ok(Arc::clone(reloads).ask(waits))
}

fn read_rollback(reloads: &Arc<dyn Reloads>, query: Option<&str>) -> Result<Telling, Told> {
    let to = query.map(|query| query.strip_prefix("to=").and_then(|to| to.parse().ok()));
    let to = match to {
        None => None,
        Some(Some(to)) => Some(to),
        Some(None) => {
            return refused(
                StatusCode::BAD_REQUEST,
                "Write ?to=N with the number of a generation, or nothing.",
            );
        }
    };
    Ok(Arc::clone(reloads).roll_back(to))
}

async fn answered(asked: Result<Telling, Told>) -> Response<Full<Bytes>> {
    match asked {
        Ok(telling) => telling.await.into_response(),
        Err(refused) => refused.into_response(),
    }
}

fn refused<T>(status: StatusCode, sentence: &str) -> Result<T, Told> {
    Err(Told::refused(status, sentence))
}
