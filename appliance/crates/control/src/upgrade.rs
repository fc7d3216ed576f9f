//! The path by which an operator has the process hand over to another version of the program.
//!
//! | request | meaning | status |
//! |---|---|---|
//! | `POST /admin/upgrade` | hand over to the program that is now where this one was started from | 200 when that one serves, else 409 |
//! | `...?program=PATH` | to this program instead; the path is percent-encoded | the same |
//! | `...?wait_ms=N` | and give it so long until it is ready, from 1 to 600000 | the same |
//! | `...?forget_tasks=true` | even though tasks end with this process | the same |
//!
//! A request with `Origin` is refused, as for reloads; and so is every request where other hosts reach the listener.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use crate::answers::Answers;
use crate::caller::check_caller;
use crate::orders::{Told, UpgradeWish};

/// Where it is asked for.
pub(crate) const PATH: &str = "/admin/upgrade";
/// How long the other program may take when nothing is said, and at most.
const WAIT_MS: u64 = 60_000;
const WAIT_MS_MAX: u64 = 600_000;

impl Answers {
    /// The answer to an order to hand over.
    pub(crate) async fn upgrade<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let wish = match read(request) {
            Ok(wish) => check_caller(request).await.map(|()| wish),
            Err(refused) => Err(refused),
        };
        let told = match (wish, &self.sources.upgrades) {
            (Err(refused), _) => refused,
            (Ok(wish), Some(upgrades)) => Arc::clone(upgrades).ask(wish).await,
            (Ok(_), None) => Told::refused(
                StatusCode::FORBIDDEN,
                "Other hosts reach this listener, so it takes no orders; give the control listener a loopback address \
                 or unix:/path.",
            ),
        };
        told.into_response()
    }
}

fn read<B>(request: &Request<B>) -> Result<UpgradeWish, Told> {
    let refused = |status, sentence: &str| Err(Told::refused(status, sentence));
    if request.headers().contains_key(ORIGIN) {
        return refused(
            StatusCode::FORBIDDEN,
            "No web page may change the program; use `toolrack upgrade`.",
        );
    }
    if request.method() != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "Only POST.");
    }
    let mut wish =
        UpgradeWish { program: None, wait: Duration::from_millis(WAIT_MS), forgets_tasks: false };
    for pair in request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "program" if !value.is_empty() => {
                let path: Vec<u8> = percent_decode_str(value).collect();
                wish.program = Some(PathBuf::from(OsStr::from_bytes(&path)));
            }
            "wait_ms" => match value.parse() {
                Ok(wait_ms @ 1..=WAIT_MS_MAX) => wish.wait = Duration::from_millis(wait_ms),
                _ => return refused(StatusCode::BAD_REQUEST, "wait_ms goes from 1 to 600000."),
            },
            "forget_tasks" if value == "true" => wish.forgets_tasks = true,
            _ => {
                return refused(
                    StatusCode::BAD_REQUEST,
                    "Write ?program=PATH, ?wait_ms=N, ?forget_tasks=true, or nothing.",
                );
            }
        }
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, query: &str) -> Result<UpgradeWish, u16> {
        let request = Request::builder().method(method).uri(format!("{PATH}{query}")).body(());
        read(&request.expect("a request")).map_err(|told| told.status.as_u16())
    }

    #[test]
    fn every_wish_is_read_and_nothing_else() {
        let plain =
            UpgradeWish { program: None, wait: Duration::from_secs(60), forgets_tasks: false };
        assert_eq!(asked(Method::POST, ""), Ok(plain.clone()));
        let wish = UpgradeWish {
            program: Some("/opt/a b/toolrack".into()),
            wait: Duration::from_millis(5),
            forgets_tasks: true,
        };
        let query = "?program=/opt/a%20b/toolrack&wait_ms=5&forget_tasks=true";
        assert_eq!(asked(Method::POST, query), Ok(wish));
        assert_eq!(asked(Method::GET, ""), Err(405));
        for query in ["?program=", "?wait_ms=0", "?wait_ms=600001", "?forget_tasks=no", "?other"] {
            assert_eq!(asked(Method::POST, query), Err(400), "{query}");
        }
    }

    #[test]
    fn a_web_page_changes_no_program() {
        let request = Request::post(PATH).header(ORIGIN, "http://localhost:9090").body(());
        let refused = read(&request.expect("a request")).expect_err("a browser");
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
}
