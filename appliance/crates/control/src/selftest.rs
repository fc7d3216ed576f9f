//! The paths by which a self-test asks for its lane.
//!
//! | request | meaning | status |
//! |---|---|---|
//! | `POST /admin/selftest` | begin a test | 201 with its id, 409 while another runs |
//! | `PUT /admin/selftest/ID/lane?KEY=VALUE` | open a fresh lane in place of the last one | 200 with where it is |
//! | `PUT /admin/selftest/ID/memory?percent=N` | let the lane believe that so much memory is used | 200 |
//! | `GET /admin/selftest/ID` | what the lane has counted; shows that the client is still there | 200 |
//! | `DELETE /admin/selftest/ID` | end the test and its lane | 200 |
//!
//! A request with `Origin` is refused: a browser sends it with everything that is no plain link, so a web page cannot
//! begin a test behind its user's back. Whoever runs tests bounds them, and waits off this thread.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::answers::Answers;
use crate::orders::{Ask, Told};

/// Where tests are asked for.
const PATH: &str = "/admin/selftest";
/// Most wishes that one lane may be opened with: there are fewer keys that a lane can change.
const WISHES_MAX: usize = 64;

/// Whether a path is one of a self-test.
pub(crate) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Answers {
    /// The answer to a request of these paths.
    pub(crate) async fn selftest<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let Some(tests) = &self.sources.selftest else {
            let sentence = "Self-tests are off here; set control.selftest = true on a loopback address or unix:/path.";
            return Told::refused(StatusCode::FORBIDDEN, sentence).into_response();
        };
        let told = match read(request) {
            Ok(ask) => Arc::clone(tests).ask(ask).await,
            Err(refused) => refused,
        };
        told.into_response()
    }
}

/// What a request asks for.
fn read<B>(request: &Request<B>) -> Result<Ask, Told> {
    if request.headers().contains_key(ORIGIN) {
        let sentence = "No web page may run a self-test; use `toolrack selftest`.";
        return Err(Told::refused(StatusCode::FORBIDDEN, sentence));
    }
    let rest = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    let parts: Vec<_> = rest.split('/').skip(1).collect();
    let wishes = || request.uri().query().map(wishes).unwrap_or_default();
    let method = request.method();
    match *parts {
        [] if method == Method::POST => Ok(Ask::Begin),
        [test] if method == Method::GET => Ok(Ask::Look { test: test.to_owned() }),
        [test] if method == Method::DELETE => Ok(Ask::End { test: test.to_owned() }),
        [test, "lane"] if method == Method::PUT => {
            Ok(Ask::Open { test: test.to_owned(), wishes: wishes() })
        }
        [test, "memory"] if method == Method::PUT => {
            let percent = wishes().into_iter().find(|(key, _)| key == "percent");
            let percent = percent.and_then(|(_, value)| value.parse().ok());
            let percent = percent.filter(|percent| *percent <= 100).ok_or_else(|| {
                Told::refused(StatusCode::BAD_REQUEST, "Write ?percent=N with N from 0 to 100.")
            })?;
            Ok(Ask::Press { test: test.to_owned(), percent })
        }
        [] | [_] | [_, "lane" | "memory"] => {
            Err(Told::refused(StatusCode::METHOD_NOT_ALLOWED, "Not with this method."))
        }
        _ => Err(Told::refused(StatusCode::NOT_FOUND, "There is no such path of a self-test.")),
    }
}

/// The pairs of a query. Values are numbers and names of plugins, which need no escapes.
fn wishes(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.take(WISHES_MAX).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, uri: &str) -> Result<Ask, u16> {
        let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
        read(&request).map_err(|told| told.status.as_u16())
    }

    #[test]
    fn every_path_asks_for_one_thing() {
        let test = || "t1".to_owned();
        assert_eq!(asked(Method::POST, "/admin/selftest"), Ok(Ask::Begin));
        assert_eq!(asked(Method::GET, "/admin/selftest/t1"), Ok(Ask::Look { test: test() }));
        assert_eq!(asked(Method::DELETE, "/admin/selftest/t1"), Ok(Ask::End { test: test() }));
        let wishes = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())];
        assert_eq!(
            asked(Method::PUT, "/admin/selftest/t1/lane?a=1&b=x=y&c"),
            Ok(Ask::Open { test: test(), wishes })
        );
        assert_eq!(
            asked(Method::PUT, "/admin/selftest/t1/memory?percent=96"),
            Ok(Ask::Press { test: test(), percent: 96 })
        );
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        assert_eq!(asked(Method::GET, "/admin/selftest"), Err(405));
        assert_eq!(asked(Method::POST, "/admin/selftest/t1"), Err(405));
        assert_eq!(asked(Method::GET, "/admin/selftest/t1/lane"), Err(405));
        assert_eq!(asked(Method::PUT, "/admin/selftest/t1/other"), Err(404));
        for percent in ["", "?percent=101", "?percent=-1", "?percent=x"] {
            let uri = format!("/admin/selftest/t1/memory{percent}");
            assert_eq!(asked(Method::PUT, &uri), Err(400), "{percent}");
        }
    }

    #[test]
    fn a_web_page_begins_no_test() {
        let request = Request::post("/admin/selftest").header(ORIGIN, "http://localhost:9090");
        let refused = read(&request.body(()).expect("a request")).expect_err("a browser");
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
}
