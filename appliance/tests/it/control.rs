//! The control plane under fire: it answers while the data plane does not.

use std::time::Instant;

use serde_json::json;

use crate::program::{PATIENCE, Program, modern_call, modern_headers, profile};

const MORE: &str =
    "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n[process]\nworker_threads = 1\n";

#[test]
fn operators_are_answered_while_every_thread_that_serves_stands_still() {
    // Long enough that nothing of this test waits for its end.
    let block = json!({ "ms": 600_000 });
    let program = Program::start(&profile(MORE), &[]);
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example.com\r\n",
        program.address
    );
    let refused = program.request(&head, "");
    let explain = format!(
        "/admin/explain?request={}",
        refused.header("x-request-id").expect("an id of its own")
    );
    let before = program.control("/readyz").json();
    assert_eq!(before["status"], "ready");
    // Nobody waits for its answer.
    let held =
        program.begin(&modern_headers("tools/call", Some("block")), &modern_call("block", &block));
    let begun = Instant::now();
    let stands_still = loop {
        for path in ["/admin/explain", "/admin/plan", "/metrics"] {
            let path = if path == "/admin/explain" { &explain } else { path };
            assert_eq!(program.control(path).status, 200, "{path}");
        }
        let live = program.control("/livez");
        if live.status != 200 {
            break live;
        }
        assert!(begun.elapsed() < PATIENCE, "it claims to live");
    };
    assert_eq!((stands_still.status, &*stands_still.body), (503, "the data plane stands still\n"));
    let ready = program.control("/readyz");
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("not ready")));
    let age_ms = ready.json()["heartbeat_age_ms"].as_u64();
    assert!(age_ms.is_some_and(|age_ms| age_ms >= 5_000), "{age_ms:?}");
    drop(held);
}
