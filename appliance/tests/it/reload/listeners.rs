//! Listeners that come, go and change. Whoever is not concerned notices nothing.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use serde_json::json;
use tokio::net::TcpSocket;

use super::*;
use crate::program::{exchange, modern_call, modern_headers};
use crate::wire::{Connection, echo_posted, metric, posted, request, until_metric};

/// A listener beside the public one.
fn listen(name: &str, settings: &str) -> String {
    format!("[listen.{name}]\nhttp = {{ {settings} }}\n")
}

fn at(bind: &str) -> String {
    format!("bind = \"{bind}\"")
}

/// A call that says the text back, at this path.
fn echo_at(path: &str, more: &str) -> String {
    let body = modern_call("echo", &json!({ "text": "said back" })).to_string();
    let headers = modern_headers("tools/call", Some("echo"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}{more}\r\n{body}",
        body.len()
    )
}

/// The status of a call on a connection of its own.
fn status(address: &str, path: &str) -> u16 {
    let request = echo_at(path, "");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    exchange(address, &format!("{head}\r\n"), body).status
}

fn is_open(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// A port that nobody else is given on any address, as long as the socket is kept: a free one of one address may be
/// taken on another.
fn reserved_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    // The appliance does so too: two that do may have the same address while neither listens.
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into()).expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    (socket, port)
}

/// Which socket listens at this address.
fn inode(live: &Live, address: &str) -> String {
    let address: std::net::SocketAddrV4 = address.parse().expect("an address");
    let [a, b, c, d] = address.ip().octets();
    let wanted = format!("{d:02X}{c:02X}{b:02X}{a:02X}:{:04X}", address.port());
    let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", live.program.id()));
    let sockets = sockets.expect("Linux");
    let mut fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 0A: it listens.
    let found = fields.find(|fields| fields[1] == wanted && fields[3] == "0A");
    found.unwrap_or_else(|| panic!("nobody listens at {address}: {sockets}"))[9].to_owned()
}

/// Where a listener is that has just been opened.
fn opened(live: &mut Live, name: &str) -> String {
    let line = live
        .program
        .wait_for(|_, line| line["message"] == "Listening." && line["listener"] == *name);
    let url = line["url"].as_str().expect("a URL");
    url.split('/').nth(2).expect("an address").to_owned()
}

/// A client that calls without a pause, on a connection that it keeps and on new ones. Every call must be answered.
struct Hammer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Hammer {
    fn on(address: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_seen, address) = (Arc::clone(&is_over), address.to_owned());
        let thread = std::thread::spawn(move || {
            let mut kept = Connection::at(&address);
            let mut calls = 0;
            while !is_seen.load(Relaxed) {
                for _ in 0..8 {
                    kept.send(&echo_at("/mcp", ""));
                    kept.until("said back");
                }
                assert_eq!(status(&address, "/mcp"), 200);
                calls += 9;
            }
            calls
        });
        Self { is_over, thread }
    }

    /// Ends it; how often it was answered.
    #[track_caller]
    fn over(self) -> u64 {
        self.is_over.store(true, Relaxed);
        self.thread.join().expect("every call is answered")
    }
}

#[test]
fn listeners_come_change_and_go_and_the_others_notice_nothing() {
    let origin = "[layer.origin]\nallowed_hosts = [\"localhost\"]\n";
    let mut live = Live::start(&[ON_REQUEST, ECHO, origin]);
    let public = live.program.address.clone();
    let (socket, hammer) = (inode(&live, &public), Hammer::on(&public));
    let apply = |live: &Live, listeners: &[String]| {
        live.applies(&[ON_REQUEST, ECHO, origin, &listeners.concat()])
    };
    // Comes.
    let attempt = apply(&live, &[listen("second", &at("127.0.0.1:0"))]);
    assert_eq!(attempt["changed"], json!(["listen.second"]));
    let second = opened(&mut live, "second");
    assert_eq!(status(&second, "/mcp"), 200);
    // Another path, at once, and on connections that are open.
    let second_socket = inode(&live, &second);
    let mut kept = Connection::at(&second);
    let elsewhere = at("127.0.0.1:0") + ", path = \"/elsewhere\"";
    apply(&live, &[listen("second", &elsewhere)]);
    kept.send(&echo_at("/mcp", ""));
    kept.until("HTTP/1.1 404");
    kept.send(&echo_at("/elsewhere", ""));
    kept.until("said back");
    assert_eq!(inode(&live, &second), second_socket, "port 0 keeps the port that it has");
    // The port that it has, by its number.
    apply(&live, &[listen("second", &at(&second))]);
    assert_eq!(inode(&live, &second), second_socket);
    // Another address.
    let (_reserved, port) = reserved_port();
    let moved = format!("127.0.0.2:{port}");
    apply(&live, &[listen("second", &at(&moved))]);
    opened(&mut live, "second");
    assert_eq!(status(&moved, "/mcp"), 200);
    crate::wire::until("the old address is closed", || !is_open(&second));
    // Another name.
    let moved_socket = inode(&live, &moved);
    apply(&live, &[listen("third", &at(&moved))]);
    opened(&mut live, "third");
    assert_eq!((inode(&live, &moved), status(&moved, "/mcp")), (moved_socket, 200));
    // The same port on every address, and back.
    apply(&live, &[listen("third", &at(&format!("0.0.0.0:{port}")))]);
    assert_eq!(status(&format!("127.0.0.3:{port}"), "/mcp"), 200);
    apply(&live, &[listen("third", &at(&moved))]);
    assert_eq!(status(&moved, "/mcp"), 200);
    crate::wire::until("nobody else reaches it", || !is_open(&format!("127.0.0.3:{port}")));
    // Goes.
    apply(&live, &[]);
    crate::wire::until("the removed one is closed", || !is_open(&moved));
    let of_public = "toolrack_bound_limit{bound=\"connections\",scope=\"public\"}";
    let of_third = of_public.replace("public", "third");
    assert!(metric(&live.program, of_public).is_some());
    crate::wire::until("it is counted no more", || metric(&live.program, &of_third).is_none());
    assert!(hammer.over() > 0);
    assert_eq!(inode(&live, &public), socket, "never opened again");
}

#[test]
fn two_listeners_swap_their_addresses_and_no_connection_is_refused() {
    let second = listen("second", &at("127.0.0.1:0"));
    let third = listen("third", &at("127.0.0.1:0"));
    let mut live = Live::start(&[ON_REQUEST, ECHO]);
    live.applies(&[ON_REQUEST, ECHO, &second, &third]);
    let [second, third] = ["second", "third"].map(|name| opened(&mut live, name));
    let sockets = [&second, &third].map(|address| inode(&live, address));
    for (of_second, of_third) in [(&third, &second), (&second, &third)] {
        let more = [listen("second", &at(of_second)), listen("third", &at(of_third))];
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for address in [&second, &third] {
                let is_over = &is_over;
                // Only new connections: those that are open go with their listener.
                scope.spawn(move || {
                    while !is_over.load(Relaxed) {
                        assert_eq!(status(address, "/mcp"), 200);
                    }
                });
            }
            let attempt = live.reload_with(&[ON_REQUEST, ECHO, &more.concat()]);
            is_over.store(true, Relaxed);
            assert_eq!(attempt["result"], "applied", "{attempt}");
        });
        assert_eq!([&second, &third].map(|address| inode(&live, address)), sockets);
        // Who is where, by a path of its own.
        let elsewhere = listen("second", &(at(of_second) + ", path = \"/second\""));
        live.applies(&[ON_REQUEST, ECHO, &elsewhere, &more[1]]);
        assert_eq!((status(of_second, "/second"), status(of_third, "/mcp")), (200, 200));
        live.applies(&[ON_REQUEST, ECHO, &more.concat()]);
    }
}

#[test]
fn an_address_in_use_is_refused_and_nothing_changes() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_000)]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let bind = at(&taken.local_addr().expect("an address").to_string());
    // The others are not opened either.
    let tables = [listen("free", &at("127.0.0.1:0")), listen("second", &bind)].concat();
    let attempt = live.reload_with(&[ON_REQUEST, ECHO, &deadline(6_000), &tables]);
    assert_eq!(attempt["result"], "refused", "{attempt}");
    let problem = attempt["problems"][0].as_str().expect("a problem");
    assert!(problem.starts_with("listen.second.http.bind: ") && problem.contains("is in use"));
    let serves = (live.generation(), live.serves("layer.timeout.deadline_ms"));
    assert_eq!(serves, (1, "5000".to_owned()));
    drop(taken);
    live.applies(&[ON_REQUEST, ECHO, &deadline(6_000), &tables]);
}

#[test]
fn a_call_ends_on_a_listener_that_has_gone() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let second = listen("second", &at("127.0.0.1:0"));
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, &second]);
    let address = opened(&mut live, "second");
    let session = live.program.session("2025-11-25", json!({ "elicitation": {} }));
    let arguments = json!({ "name": "test_elicitation", "arguments": { "message": "who?" } });
    let call = request("tools/call", &arguments);
    let mut calling = Connection::at(&address);
    calling.send(&posted(&live.program, &session, &call));
    let asked = calling.until("elicitation/create");
    let mut idle = Connection::at(&address);
    idle.send(&echo_at("/mcp", ""));
    idle.until("said back");
    let mut listening = Connection::at(&address);
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{session}\r\n"
    );
    listening.send(&head);
    listening.until("text/event-stream");
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE]);
    // Streams that would last for ever end in order, and so do connections without a call.
    assert!(listening.rest().ends_with("0\r\n\r\n"));
    assert_eq!(idle.rest(), "");
    crate::wire::until("the removed one is closed", || !is_open(&address));
    let data = asked.lines().filter_map(|line| line.strip_prefix("data: {")).next_back();
    let question: Value =
        serde_json::from_str(&format!("{{{}", data.expect("a question"))).expect("JSON");
    let content = json!({ "action": "accept", "content": { "username": "u", "email": "e" } });
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": content });
    assert_eq!(live.program.post(&session, &answer).status, 202);
    calling.until("action=accept");
    calling.rest();
}

#[test]
fn a_call_that_outlasts_the_drain_of_its_listener_is_cut() {
    let drain = "[shutdown]\ndrain_ms = 50\n";
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE, drain]);
    let second = listen("second", &at("127.0.0.1:0"));
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, drain, &second]);
    let address = opened(&mut live, "second");
    let (headers, call) = crate::wire::speaking_call("test_cancellation");
    let mut waiting = Connection::at(&address);
    waiting.send(&posted(&live.program, &headers, &call));
    waiting.until("Waiting to be cancelled.");
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, drain]);
    waiting.rest();
    until_metric(
        &live.program,
        "toolrack_connections_closed_total{listener=\"second\",reason=\"cut\"} 1",
    );
    assert_eq!(crate::wire::echo(&live.program, "untouched").status, 200);
}

#[test]
fn a_lower_bound_on_connections_cuts_nobody_and_lets_nobody_in() {
    let bound =
        |most: u32| listen("second", &format!("{}, connections_max = {most}", at("127.0.0.1:0")));
    let mut live = Live::start(&[ON_REQUEST, ECHO]);
    live.applies(&[ON_REQUEST, ECHO, &bound(256)]);
    let address = opened(&mut live, "second");
    let call = |connection: &mut Connection| {
        connection.send(&echo_at("/mcp", ""));
        connection.until("said back");
    };
    let mut inside: Vec<_> = (0..32).map(|_| Connection::at(&address)).collect();
    inside.iter_mut().for_each(call);
    live.applies(&[ON_REQUEST, ECHO, &bound(8)]);
    inside.iter_mut().for_each(call);
    assert!(Connection::at(&address).rest().starts_with("HTTP/1.1 503"));
    live.applies(&[ON_REQUEST, ECHO, &bound(256)]);
    call(&mut Connection::at(&address));
    inside.iter_mut().for_each(call);
}

#[test]
fn a_shorter_deadline_holds_for_those_who_are_inside() {
    let idle = |ms: u32| listen("second", &format!("{}, idle_ms = {ms}", at("127.0.0.1:0")));
    let mut live = Live::start(&[ON_REQUEST, ECHO]);
    // They look again after an eighth of what they had.
    live.applies(&[ON_REQUEST, ECHO, &idle(4_000)]);
    let address = opened(&mut live, "second");
    let mut idle_one = Connection::at(&address);
    idle_one.send(&echo_at("/mcp", ""));
    idle_one.until("said back");
    let begun = Instant::now();
    live.applies(&[ON_REQUEST, ECHO, &idle(100)]);
    idle_one.rest();
    assert!(begun.elapsed().as_millis() < 3_600, "{:?}", begun.elapsed());
}

#[test]
fn standard_input_comes_and_goes_with_a_start_only() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    let both = [listen("second", &at("127.0.0.1:0")), "[listen.desk]\nstdio = {}\n".to_owned()];
    let attempt = live.reload_with(&[ON_REQUEST, ECHO, &both.concat()]);
    assert_eq!(attempt["result"], "restart_required", "{attempt}");
    let problems = attempt["problems"].as_array().expect("a list");
    let problem = problems[0].as_str().expect("a problem");
    assert!(problems.len() == 1 && problem.starts_with("listen.desk: "), "{attempt}");
}

#[test]
fn a_listener_that_came_in_ends_with_the_process() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, &listen("second", &at("127.0.0.1:0"))]);
    let address = opened(&mut live, "second");
    let mut kept = Connection::at(&address);
    kept.send(&echo_posted(&live.program, "x"));
    kept.until("resultType");
    live.program.signal("TERM");
    assert_eq!(kept.rest(), "");
    assert_eq!(live.program.wait(), Some(0));
}
