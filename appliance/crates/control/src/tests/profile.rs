//! The profile that serves, and those that are posted.

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::orders::{Posting, Profiles};

type Posted = Remembering<(String, Posting)>;

impl Profiles for Posted {
    fn post(self: Arc<Self>, text: String, posting: Posting) -> Telling {
        let body = json!({ "identity": "0b".repeat(32) });
        self.remember((text, posting), Told { status: StatusCode::OK, body })
    }
}

/// Posts a body under these lines of a head.
fn post(address: SocketAddr, line: &str, body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let length = body.len();
    let head = format!(
        "POST /admin/profile{line}\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sends");
    // In parts, as a large body comes.
    for part in body.chunks(60_000) {
        stream.write_all(part).expect("sends");
    }
    read_answer(stream)
}

/// What the profile of the fixture is called.
fn current() -> String {
    format!("\"{}\"", "0a".repeat(32))
}

fn taking() -> (Arc<Posted>, Control, SocketAddr) {
    let profiles = Posted::new();
    let sources = Sources { profiles: Some(Arc::clone(&profiles) as _), ..sources() };
    let (control, address) = started(sources, WIDE);
    (profiles, control, address)
}

#[test]
fn the_profile_that_serves_is_shown_with_its_identity() {
    let (control, address) = started(sources(), WIDE);
    let shown = get(address, "/admin/profile");
    assert_eq!((shown.status, &*shown.body), (200, "format = 1\n"));
    assert!(shown.head.contains(&format!("etag: {}", current())), "{}", shown.head);
    assert!(shown.head.contains("content-type: application/toml"), "{}", shown.head);
    control.stop();
}

#[test]
fn a_text_reaches_whoever_takes_profiles_with_what_is_wanted_of_it() {
    let (profiles, control, address) = taking();
    let taken = post(address, &format!(" HTTP/1.1\r\nIf-Match: {}", current()), b"one");
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert!(taken.head.contains(&format!("etag: \"{}\"", "0b".repeat(32))), "{}", taken.head);
    assert_eq!(post(address, "?dry_run=true HTTP/1.1", b"two").status, 200);
    let seen = "0a".repeat(32).parse().expect("an identity");
    let expected = [
        ("one".to_owned(), Posting::Take { seen }),
        ("two".to_owned(), Posting::Try { folder: None }),
    ];
    assert_eq!(profiles.ordered(), expected);
    control.stop();
}

#[test]
fn what_is_no_such_order_is_refused_and_its_answer_arrives_behind_a_large_body() {
    let (profiles, control, address) = taking();
    let large = vec![b'#'; 1 << 20];
    let status = |line: &str, body: &[u8]| post(address, line, body).status;
    assert_eq!(status(" HTTP/1.1", &large), 428);
    let stale = format!(" HTTP/1.1\r\nIf-Match: \"{}\"", "0b".repeat(32));
    let answer = post(address, &stale, &large);
    assert_eq!(answer.status, 412);
    assert!(answer.body.contains(&"0a".repeat(32)), "{}", answer.body);
    assert!(answer.head.contains(&format!("etag: {}", current())), "{}", answer.head);
    assert_eq!(status("?dry_run=1 HTTP/1.1", &large), 400);
    assert_eq!(status("?dry_run=true HTTP/1.1", b"\xff"), 400);
    assert_eq!(status("?dry_run=true HTTP/1.1\r\nOrigin: http://localhost:9090", b""), 403);
    assert_eq!(ask(address, "DELETE /admin/profile", "localhost").status, 405);
    assert_eq!(ask(address, "GET /admin/profile", "example.com").status, 403);
    assert!(profiles.ordered().is_empty());
    control.stop();
}

#[test]
fn a_text_may_be_as_large_as_a_profile_and_no_larger() {
    let (profiles, control, address) = taking();
    let mut text = vec![b'#'; 1 << 20];
    assert_eq!(post(address, "?dry_run=true HTTP/1.1", &text).status, 200);
    text.push(b'#');
    let refused = post(address, "?dry_run=true HTTP/1.1", &text);
    assert_eq!(refused.status, 413);
    assert!(refused.body.contains("1048576 bytes"), "{}", refused.body);
    assert_eq!(profiles.ordered().len(), 1);
    control.stop();
}

#[test]
fn no_profile_is_taken_where_nobody_may_post_one() {
    let (control, address) = started(sources(), WIDE);
    let answer = post(address, "?dry_run=true HTTP/1.1", b"");
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("control.allow_profile"), "{}", answer.body);
    control.stop();
}

#[test]
fn a_body_that_stops_coming_ends_its_connection() {
    let head = Duration::from_millis(50);
    let profiles = Posted::new();
    let sources = Sources { profiles: Some(Arc::clone(&profiles) as _), ..sources() };
    let deadlines = Deadlines { head, idle: NEVER };
    let (control, address) = started(sources, Limits { deadlines, ..WIDE });
    let mut stream = connect(address);
    let request = b"POST /admin/profile?dry_run=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    stream.write_all(request).expect("sends");
    stream.write_all(b"one").expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("ends");
    assert!(answer.is_empty() && profiles.ordered().is_empty());
    control.stop();
}
