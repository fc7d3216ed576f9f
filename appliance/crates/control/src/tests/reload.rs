use std::sync::Mutex;

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::reload::Reloads;
use crate::selftest::{Telling, Told};

/// Remembers what it was asked, and answers later.
#[derive(Default)]
struct Remembering(Mutex<Vec<bool>>);

impl Reloads for Remembering {
    fn ask(self: Arc<Self>, waits: bool) -> Telling {
        self.0.lock().expect("no test panics with it").push(waits);
        Box::pin(async {
            tokio::task::yield_now().await;
            Told { status: StatusCode::ACCEPTED, body: json!({ "asked": true }) }
        })
    }
}

#[test]
fn an_order_reaches_whoever_reads_the_profile() {
    let reloads = Arc::new(Remembering::default());
    let sources = Sources { reloads: Some(Arc::clone(&reloads) as _), ..sources() };
    let (control, address) = started(sources, WIDE);
    let status = |line: &str, host: &str| ask(address, line, host).status;
    assert_eq!(status("POST /admin/reload", "localhost"), 202);
    assert_eq!(status("POST /admin/reload?wait=true", "localhost"), 202);
    assert_eq!(status("POST /admin/reload?wait=1", "localhost"), 400);
    assert_eq!(status("GET /admin/reload", "localhost"), 405);
    assert_eq!(status("POST /admin/reload", "example.com"), 403, "another name");
    let of_page = "POST /admin/reload HTTP/1.1\r\nOrigin: http://localhost:9090\r\nX-Rest:";
    assert_eq!(status(of_page, "localhost"), 403, "a web page");
    assert_eq!(*reloads.0.lock().expect("no test panics with it"), [false, true]);
    assert_eq!(get(address, "/admin/reloads").body, "{\"attempts\":[]}");
    assert_eq!(get(address, "/admin/generations").body, "{\"current\":{}}");
    control.stop();
}

#[test]
fn no_order_is_taken_where_other_hosts_reach_the_listener() {
    let (control, address) = started(sources(), WIDE);
    let answer = ask(address, "POST /admin/reload", "localhost");
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("SIGHUP"), "{}", answer.body);
    control.stop();
}
