//! What a connection may cost.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::LocalSet;

use super::*;
use crate::answers::Answers;
use crate::caller::Caller;
use crate::connection::serve;

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads one answer of `/livez` and leaves the connection open.
fn read_ok(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\nok\n") {
        stream.read_exact(&mut byte).expect("answers");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_connection_above_the_cap_is_closed_and_the_others_stay() {
    let (control, address) = started(sources(), WIDE);
    let mut open: Vec<_> = (0..64).map(|_| connect(address)).collect();
    for stream in &mut open {
        stream.write_all(REQUEST).expect("sends");
        read_ok(stream);
    }
    let mut above = connect(address);
    let mut nothing = Vec::new();
    // Closed without an answer; the system may call it a reset.
    above.read_to_end(&mut nothing).ok();
    assert!(nothing.is_empty());
    for stream in &mut open {
        stream.write_all(REQUEST).expect("sends");
        read_ok(stream);
    }
    control.stop();
}

#[test]
fn a_place_is_free_again_when_its_connection_ends() {
    let (control, address) = started(sources(), Limits { connections: 1, ..WIDE });
    for _ in 0..3 {
        // The answer asks for the end of the connection, so its end has been seen.
        assert_eq!(until_answered(address), 200);
    }
    control.stop();
}

/// Asks until there is room: the far end frees its place a moment after this end has seen the end.
fn until_answered(address: SocketAddr) -> u16 {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        let mut stream = connect(address);
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        if stream.write_all(request).is_ok() && stream.read_to_end(&mut answer).is_ok() {
            let status = answer.get(9..12).and_then(|text| std::str::from_utf8(text).ok());
            if let Some(status) = status.and_then(|text| text.parse().ok()) {
                return status;
            }
        }
    }
    panic!("there was never room");
}

#[test]
fn a_head_that_is_too_slow_ends_its_connection() {
    let head = Duration::from_millis(50);
    let deadlines = Deadlines { head, idle: NEVER };
    let (control, address) = started(sources(), Limits { deadlines, ..WIDE });
    for sent in [&b""[..], b"G", b"GET /livez HTTP/1.1\r\nHost: local"] {
        let mut stream = connect(address);
        stream.write_all(sent).expect("sends");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("ends");
        assert!(answer.is_empty());
    }
    // And so does a second head on a connection that was served before.
    let mut stream = connect(address);
    stream.write_all(REQUEST).expect("sends");
    read_ok(&mut stream);
    stream.write_all(b"GET /li").expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("ends");
    assert!(answer.is_empty());
    control.stop();
}

/// Serves one connection in this runtime, whose clock the test turns.
async fn with_one(test: impl AsyncFnOnce(DuplexStream)) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let answers = Rc::new(Answers::new(sources(), NEVER, true));
    let tasks = LocalSet::new();
    tasks.spawn_local(serve(far, Caller::OfFile, answers, Deadlines::DEFAULT));
    tasks.run_until(test(near)).await;
}

async fn exchange(stream: &mut DuplexStream) {
    stream.write_all(REQUEST).await.expect("sends");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).await.expect("answers");
    assert!(answer[..length].ends_with(b"\r\n\r\nok\n"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_the_deadline_of_heads_and_ends_at_its_own() {
    with_one(async |mut stream| {
        for _ in 0..3 {
            exchange(&mut stream).await;
            tokio::time::advance(Duration::from_secs(59)).await;
        }
        exchange(&mut stream).await;
        let idle = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0]).await.expect("ends"), 0);
        assert_eq!(idle.elapsed().as_secs(), 60);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_does_not_keep_a_connection() {
    with_one(async |mut stream| {
        let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n";
        stream.write_all(head).await.expect("sends");
        let begun = tokio::time::Instant::now();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(begun.elapsed() < Duration::from_secs(70), "still open");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_refused() {
    with_one(async |mut stream| {
        let request = format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000));
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answers");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    })
    .await;
}
