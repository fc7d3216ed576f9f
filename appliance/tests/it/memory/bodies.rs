//! The ledger of bodies.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::{head, is_after, start, until_reserved, upload};
use crate::program::{Answer, Piped, Program, modern_call, profile};

const LEDGER: &[&str] = &["ledger_bytes_max=1MiB"];

/// Sends the beginning of a request, whose end the server waits for.
fn begin(program: &Program, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&program.address).expect("it listens");
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

/// An upload of so many KiB; what became of it.
fn uploaded(program: &Program, kib: usize) -> Answer {
    let body = upload(kib).to_string();
    program.request(&format!("{}Content-Length: {}\r\n", head(program), body.len()), &body)
}

fn is_refused_with_503(answer: &Answer) {
    let error = &answer.json()["error"];
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(is_after(answer.header("retry-after"), 2), "{answer:?}");
    assert_eq!(
        (&error["code"], &error["data"]["refusal"]),
        (&json!(-32017), &json!("memory_exhausted"))
    );
    assert_eq!(error["data"]["layer"], "memory");
}

#[test]
fn a_body_that_is_on_its_way_keeps_the_next_one_out_until_it_is_gone() {
    let program = start(LEDGER);
    let declared = 800 << 10;
    let first = begin(&program, &format!("{}Content-Length: {declared}\r\n\r\n{{", head(&program)));
    until_reserved(&program, declared);
    is_refused_with_503(&uploaded(&program, 200));
    assert_eq!(program.call("echo", &json!({ "text": "light" })).status, 200, "small ones get in");
    drop(first);
    until_reserved(&program, 0);
    assert_eq!(uploaded(&program, 200).status, 200);
    until_reserved(&program, 0);
}

#[test]
fn a_body_that_does_not_say_its_size_takes_what_it_has_grown_to() {
    let program = start(LEDGER);
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n", head(&program));
    let chunk = |kib: usize| format!("{:x}\r\n{}\r\n", kib << 10, " ".repeat(kib << 10));
    let mut first = begin(&program, &chunked);
    until_reserved(&program, 64 << 10);
    first.write_all(chunk(790).as_bytes()).expect("it reads");
    until_reserved(&program, 832 << 10);
    is_refused_with_503(&uploaded(&program, 200));
    // Another one is let in, and finds no room on its way.
    let mut second = begin(&program, &chunked);
    second.write_all(chunk(100).as_bytes()).expect("it reads");
    let mut answer = String::new();
    second.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("memory_exhausted"), "{answer}");
    until_reserved(&program, 832 << 10);
    let call = modern_call("echo", &json!({ "text": "whole" })).to_string();
    first
        .write_all(format!("{:x}\r\n{call}\r\n0\r\n\r\n", call.len()).as_bytes())
        .expect("it reads");
    let mut answer = [0; 12];
    first.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    until_reserved(&program, 0);
}

#[test]
fn what_could_never_fit_is_too_large() {
    let program = start(LEDGER);
    let answer = uploaded(&program, 1_000);
    let data = &answer.json()["error"]["data"];
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    assert_eq!((&data["layer"], &data["limit"]), (&json!("memory"), &json!(896 << 10)));
}

#[test]
fn the_cap_on_bodies_decides_before_the_ledger() {
    let program = start(LEDGER);
    let answer = uploaded(&program, 4 << 10);
    assert_eq!((answer.status, &answer.json()["error"]["data"]["layer"]), (413, &json!("payload")));
}

#[test]
fn in_shadow_and_off_every_body_gets_in() {
    for mode in ["mode=shadow", "mode=off"] {
        let program = start(&[LEDGER[0], mode]);
        let _first =
            begin(&program, &format!("{}Content-Length: {}\r\n\r\n", head(&program), 800 << 10));
        assert_eq!(uploaded(&program, 1_000).status, 200, "{mode}");
    }
}

#[test]
fn an_answer_counts_until_it_was_read() {
    let settings =
        ["layer.payload.request_bytes_max=16MiB", "plugin.echo.limits.response_bytes_max=16MiB"];
    let program = Program::start(&profile(""), &["--set", settings[0], "--set", settings[1]]);
    // More than the buffers of a socket take on both sides.
    let body = upload(12 << 10).to_string();
    let close = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut unread = begin(&program, &(head(&program) + &close));
    until_reserved(&program, 12 << 20);
    let mut answer = Vec::new();
    unread.read_to_end(&mut answer).expect("the whole answer");
    assert!(answer.len() > 12 << 20);
    until_reserved(&program, 0);
}

#[test]
fn a_line_that_finds_no_room_is_answered_under_its_id() {
    let more = "[layer.memory]\nledger_bytes_max = \"1MiB\"\n";
    let settings = ["layer.payload.request_bytes_max=4MiB"];
    let mut piped = Piped::start_set(more, &settings);
    let answer = piped.ask(&upload(1_000));
    let expected = (&json!(7), &json!(-32600), &json!("memory"));
    let error = &answer["error"];
    assert_eq!((&answer["id"], &error["code"], &error["data"]["layer"]), expected);
    let answer = piped.ask(&modern_call("echo", &json!({ "text": "light" })));
    assert_eq!(answer["result"]["content"][0]["text"], "light");
}

/// A body that declares its size, sends its beginning and waits.
struct Slow {
    text: Bytes,
    declared: u64,
}

impl Slow {
    fn whole(message: &Value) -> Self {
        let text = Bytes::from(message.to_string());
        Self { declared: text.len() as u64, text }
    }
}

impl Body for Slow {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let text = std::mem::take(&mut self.text);
        self.declared -= text.len() as u64;
        match (text.is_empty(), self.declared) {
            (true, 0) => Poll::Ready(None),
            (true, _) => Poll::Pending,
            (false, _) => Poll::Ready(Some(Ok(Frame::data(text)))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.declared)
    }
}

async fn ask(
    mut sender: SendRequest<Slow>,
    address: String,
    body: Slow,
) -> Result<Response<Bytes>, hyper::Error> {
    let request = Request::post(format!("http://{address}/mcp"))
        .header("content-type", "application/json")
        .header("content-length", body.declared)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
        .body(body)
        .expect("a request");
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

// The test looks at metrics while its streams go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_of_http2_share_the_ledger() {
    let program = start(LEDGER);
    let socket = tokio::net::TcpStream::connect(&program.address).await.expect("it listens");
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let asked = |body| tokio::spawn(ask(sender.clone(), program.address.clone(), body));
    let declared = 800 << 10;
    let first = asked(Slow { text: Bytes::from_static(b"{"), declared });
    until_reserved(&program, declared);
    let refused = asked(Slow::whole(&upload(200))).await.expect("no panic").expect("an answer");
    let retry_after = refused.headers().get("retry-after").and_then(|value| value.to_str().ok());
    assert_eq!(refused.status().as_u16(), 503);
    assert!(is_after(retry_after, 2), "{retry_after:?}");
    // The client resets the stream.
    first.abort();
    until_reserved(&program, 0);
    let admitted = asked(Slow::whole(&upload(200))).await.expect("no panic").expect("an answer");
    assert_eq!(admitted.status().as_u16(), 200);
}
