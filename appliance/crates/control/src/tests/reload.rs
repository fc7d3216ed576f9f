//! Orders to read the profile again, and to have one back.

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::orders::Reloads;

#[derive(Debug, PartialEq)]
enum Asked {
    Reload { waits: bool },
    Rollback(Option<u64>),
}

impl Remembering<Asked> {
    fn accept(&self, asked: Asked) -> Telling {
        self.remember(asked, Told { status: StatusCode::ACCEPTED, body: json!({ "asked": true }) })
    }
}

impl Reloads for Remembering<Asked> {
    fn ask(self: Arc<Self>, waits: bool) -> Telling {
        self.accept(Asked::Reload { waits })
    }

    fn roll_back(self: Arc<Self>, to: Option<u64>) -> Telling {
        self.accept(Asked::Rollback(to))
    }
}

#[test]
fn an_order_reaches_whoever_reads_the_profile() {
    let reloads = Remembering::new();
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
    let asked = [Asked::Reload { waits: false }, Asked::Reload { waits: true }];
    assert_eq!(reloads.ordered(), asked);
    assert_eq!(get(address, "/admin/reloads").body, "{\"attempts\":[]}");
    assert_eq!(get(address, "/admin/generations").body, "{\"current\":{}}");
    control.stop();
}

#[test]
fn an_order_to_go_back_reaches_them_with_its_number() {
    let reloads = Remembering::new();
    let sources = Sources { reloads: Some(Arc::clone(&reloads) as _), ..sources() };
    let (control, address) = started(sources, WIDE);
    let status = |line: &str, host: &str| ask(address, line, host).status;
    assert_eq!(status("POST /admin/rollback", "localhost"), 202);
    assert_eq!(status("POST /admin/rollback?to=41", "localhost"), 202);
    for wrong in ["to=", "to=-1", "to=1&to=2", "to=99999999999999999999", "from=1", ""] {
        let line = format!("POST /admin/rollback?{wrong}");
        assert_eq!(status(&line, "localhost"), 400, "{wrong}");
    }
    assert_eq!(status("GET /admin/rollback", "localhost"), 405);
    assert_eq!(status("POST /admin/rollback", "example.com"), 403, "another name");
    let of_page = "POST /admin/rollback HTTP/1.1\r\nOrigin: http://localhost:9090\r\nX-Rest:";
    assert_eq!(status(of_page, "localhost"), 403, "a web page");
    let asked = [Asked::Rollback(None), Asked::Rollback(Some(41))];
    assert_eq!(reloads.ordered(), asked);
    assert_eq!(get(address, "/admin/history").body, "{\"generations\":[]}");
    control.stop();
}

#[test]
fn a_process_that_serves_without_its_files_says_so_and_is_ready() {
    let last_good = || ProfileReport { source: Source::LastGood, problems: 2 };
    let sources = Sources { profile: Arc::new(last_good), ..sources() };
    let (control, address) = started(sources, WIDE);
    let ready = get(address, "/readyz");
    let body: serde_json::Value = serde_json::from_str(&ready.body).expect("JSON");
    assert_eq!(ready.status, 200);
    assert_eq!((&body["profile"], &body["profile_problems"]), (&json!("last_good"), &json!(2)));
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
