//! When the file descriptors run out.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::program::{
    PATIENCE, Program, modern_call, modern_headers, profile, toolrack_with_descriptors,
};

/// What the program may open: more than it does for itself, which differs with the control groups that it is in.
const DESCRIPTORS: u32 = 160;
/// More connections than there are descriptors for.
const MANY: usize = 120;

/// A program that runs out of descriptors long before its layers refuse a connection.
fn serve() -> Program {
    let settings =
        ["layer.connections.connections_max=160", "layer.connections.descriptors_reserve=0"];
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Program::start_by(toolrack_with_descriptors(DESCRIPTORS), &profile(""), &settings)
}

/// A call on a connection that stays; the status line of its answer, and the connection.
fn call(program: &Program) -> (String, TcpStream) {
    let body = modern_call("echo", &json!({ "text": "x" })).to_string();
    let headers = modern_headers("tools/call", Some("echo"));
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        program.address,
        body.len()
    );
    let mut stream = TcpStream::connect(&program.address).expect("the kernel accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(request.as_bytes()).expect("room for it");
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..count]);
    (answer.lines().next().unwrap_or_default().to_owned(), stream)
}

fn closed(program: &Program, reason: &str) -> u32 {
    let metrics = program.control("/metrics").body;
    let series =
        format!("toolrack_connections_closed_total{{listener=\"public\",reason=\"{reason}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().expect("a number"))
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let program = serve();
    let mut open = Vec::new();
    for _ in 0..MANY {
        let (status, stream) = call(&program);
        assert_eq!(status, "HTTP/1.1 200 OK");
        open.push(stream);
    }
    assert!(closed(&program, "evicted") > 0);
    // Those that were used last are still there.
    let mut last = open.pop().expect("many");
    last.write_all(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .expect("open");
    let mut answer = String::new();
    last.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn newcomers_are_told_when_nobody_can_make_room() {
    let program = serve();
    let busy: Vec<_> = (0..MANY)
        .map(|_| {
            let mut stream = TcpStream::connect(&program.address).expect("the kernel accepts");
            stream.write_all(b"POST /mcp HTTP/1.1\r\n").expect("room for it");
            stream
        })
        .collect();
    let (status, _) = call(&program);
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(closed(&program, "evicted"), 0);
    drop(busy);
    // Room again, as soon as the program has noticed.
    while call(&program).0 != "HTTP/1.1 200 OK" {}
}
