//! Orders of a self-test.

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::orders::{Ask, SelfTests};

impl SelfTests for Remembering<Ask> {
    fn ask(self: Arc<Self>, ask: Ask) -> Telling {
        self.remember(ask, Told { status: StatusCode::CREATED, body: json!({ "test": "t1" }) })
    }
}

#[test]
fn a_test_is_begun_by_whoever_runs_them() {
    let tests = Remembering::new();
    let sources = Sources { selftest: Some(Arc::clone(&tests) as _), ..sources() };
    let (control, address) = started(sources, WIDE);
    let answer = ask(address, "POST /admin/selftest", "localhost");
    assert_eq!((answer.status, &*answer.body), (201, "{\"test\":\"t1\"}"));
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert_eq!(ask(address, "POST /admin/selftest", "example.com").status, 403);
    assert_eq!(ask(address, "POST /admin/selftests", "localhost").status, 405, "another path");
    assert_eq!(tests.ordered(), [Ask::Begin]);
    control.stop();
}

#[test]
fn nobody_begins_a_test_where_there_are_none() {
    let (control, address) = started(sources(), WIDE);
    let answer = ask(address, "POST /admin/selftest", "localhost");
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("control.selftest"), "{}", answer.body);
    control.stop();
}
