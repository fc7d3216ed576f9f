//! What clients notice: nothing, but for what changed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::json;

use super::*;
use crate::program::{modern_headers, modern_params};
use crate::wire::{Connection, echo_posted, metric, posted, refusal, request};

const REVISION: &str = "2025-11-25";
const TIME: &str = "[plugin.time]\nlibrary = \"libtime.so\"\n";

/// The event stream of a session.
fn stream(live: &Live, session: &str) -> Connection {
    let host = &live.program.address;
    let head =
        format!("GET /mcp HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{session}\r\n");
    let mut stream = Connection::with(&live.program, &head);
    stream.until("text/event-stream");
    stream
}

#[test]
fn a_session_lives_on_and_hears_once_of_lists_that_changed() {
    let live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let session = live.program.session(REVISION, json!({}));
    let mut stream = stream(&live, &session);
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, TIME]);
    // Nothing that a client sees.
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, TIME, &deadline(5_000)]);
    let call = json!({ "name": "test_trigger_prompt_change", "arguments": {} });
    assert_eq!(live.program.post(&session, &request("tools/call", &call)).status, 200);
    let heard = stream.until("notifications/prompts/list_changed");
    assert_eq!(heard.matches("notifications/tools/list_changed").count(), 1, "{heard}");
    assert!(!heard.contains("notifications/resources/list_changed"), "{heard}");
    assert_eq!(live.program.post(&session, &request("ping", &json!({}))).status, 200);
    let now = json!({ "name": "now", "arguments": {} });
    assert_eq!(live.program.post(&session, &request("tools/call", &now)).status, 200);
}

/// A program whose plugin `files` has a file to watch.
struct Watching {
    live: Live,
    library: PathBuf,
    root: PathBuf,
    /// The plugin's table.
    files: String,
}

fn watching() -> Watching {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libfiles.so");
    copy("libfilesystem.so", &library);
    let root = folder.path().join("root");
    fs::create_dir(&root).expect("made");
    fs::write(root.join("watched.txt"), "old").expect("written");
    let files =
        format!("[plugin.files]\nlibrary = \"./libfiles.so\"\nconfig = {{ root = {root:?} }}\n");
    fs::write(folder.path().join("live.toml"), text(&[ON_REQUEST, CONFORMANCE, &files]))
        .expect("written");
    Watching { live: Live::start_in(folder), library, root, files }
}

#[test]
fn a_subscription_follows_its_resource_to_the_library_that_took_over() {
    let Watching { live, library, root, .. } = watching();
    let session = live.program.session(REVISION, json!({}));
    let mut stream = stream(&live, &session);
    let subscribe = request("resources/subscribe", &json!({ "uri": "file:///watched.txt" }));
    assert_eq!(live.program.post(&session, &subscribe).json()["result"], json!({}));
    replace(&library);
    assert_eq!(live.reload()["plugins_loaded"], json!(["files"]));
    // Nobody knows what happened to it while it changed hands.
    stream.until("notifications/resources/updated");
    let is_told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_told.load(Relaxed) {
                fs::write(root.join("watched.txt"), "new").expect("written");
            }
        });
        stream.until("notifications/resources/updated");
        is_told.store(true, Relaxed);
    });
    assert_eq!(metric(&live.program, "toolrack_watched_resources"), Some(1.0));
}

/// A subscription that wants to hear of the file, and of `more`; it is acknowledged.
fn listening(live: &Live, more: &str) -> Connection {
    let wanted = format!("{{ \"resourceSubscriptions\": [\"file:///watched.txt\"] {more} }}");
    let wanted: Value = serde_json::from_str(&wanted).expect("JSON");
    let params = modern_params(json!({ "notifications": wanted }), &json!({}));
    let headers = modern_headers("subscriptions/listen", None);
    let listen = request("subscriptions/listen", &params);
    let mut stream = Connection::with(&live.program, &posted(&live.program, &headers, &listen));
    stream.until("watched.txt");
    stream
}

#[test]
fn a_subscription_ends_with_its_result_when_nobody_offers_any_of_it_any_more() {
    let Watching { live, files, .. } = watching();
    let mut ends = listening(&live, "");
    let mut stays = listening(&live, ", \"resourcesListChanged\": true");
    live.applies(&[ON_REQUEST, CONFORMANCE]);
    // In order, and not a word of a resource that cannot be read.
    let end = ends.until("\r\n0\r\n\r\n");
    let result = "\"result\":{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":1}}";
    assert!(end.contains(result) && !end.contains("resources/updated"), "{end}");
    let told = stays.until("notifications/resources/updated");
    assert!(told.contains("notifications/resources/list_changed"), "{told}");
    // Whoever goes on to listen hears of it again.
    live.applies(&[ON_REQUEST, CONFORMANCE, &files]);
    let told = stays.until("notifications/resources/updated");
    assert!(told.contains("notifications/resources/list_changed"), "{told}");
    listening(&live, "");
}

#[test]
fn a_session_hears_that_its_resource_is_gone_and_when_it_is_back() {
    let Watching { live, files, .. } = watching();
    let session = live.program.session(REVISION, json!({}));
    let mut stream = stream(&live, &session);
    let uri = json!({ "uri": "file:///watched.txt" });
    let ask = |method| live.program.post(&session, &request(method, &uri)).json();
    assert_eq!(ask("resources/subscribe")["result"], json!({}));
    live.applies(&[ON_REQUEST, CONFORMANCE]);
    let told = stream.until("notifications/resources/updated");
    assert!(told.contains("notifications/resources/list_changed"), "{told}");
    for method in ["resources/read", "resources/subscribe"] {
        assert_eq!(ask(method)["error"]["code"], json!(-32002), "{method}");
    }
    // Its revisions know no word for the end of a subscription: it sleeps until somebody offers the resource again.
    live.applies(&[ON_REQUEST, CONFORMANCE, &files]);
    stream.until("notifications/resources/updated");
    assert_eq!(ask("resources/unsubscribe")["result"], json!({}));
    assert_eq!(metric(&live.program, "toolrack_watched_resources"), Some(0.0));
}

#[test]
fn a_limit_holds_from_the_next_call_on_of_the_same_connection() {
    let payload = |bytes| format!("[layer.payload]\nrequest_bytes_max = {bytes}\n");
    let live = Live::start(&[ON_REQUEST, ECHO, &payload(65_536)]);
    let mut connection = Connection::open(&live.program);
    let long = "x".repeat(4_000);
    connection.send(&echo_posted(&live.program, &long));
    connection.until("resultType");
    live.applies(&[ON_REQUEST, ECHO, &payload(1_024)]);
    connection.send(&echo_posted(&live.program, &long));
    connection.until("HTTP/1.1 413");
}

#[test]
fn what_a_client_has_used_up_stays_used_up() {
    let limit = "[layer.rate_limit]\nsessions_per_min = 1\nburst_sessions = 1\n";
    let live = Live::start(&[ON_REQUEST, ECHO, limit]);
    let params = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let begin = || live.program.post("", &request("initialize", &params));
    assert_eq!(begin().status, 200);
    assert_eq!(refusal(&begin()).0, 429);
    live.applies(&[ON_REQUEST, ECHO, limit, &deadline(5_000)]);
    assert_eq!(refusal(&begin()).0, 429, "a reload fills no bucket");
    // More of it is there at once.
    live.applies(&[ON_REQUEST, ECHO]);
    assert_eq!(begin().status, 200);
}

#[test]
fn a_bound_on_sessions_follows_without_ending_any() {
    let bound = |most| format!("[session]\nsessions_max = {most}\n");
    let live = Live::start(&[ON_REQUEST, ECHO, &bound(2)]);
    let sessions = [(); 2].map(|()| live.program.session(REVISION, json!({})));
    live.applies(&[ON_REQUEST, ECHO, &bound(1)]);
    let params = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let refused = live.program.post("", &request("initialize", &params));
    assert_eq!(refusal(&refused), (429, "sessions_exhausted".to_owned()));
    for session in &sessions {
        assert_eq!(live.program.post(session, &request("ping", &json!({}))).status, 200);
    }
}
