//! Clients that keep HTTP/2's rules and a core busy: each loses its connection, and nobody else notices.

use std::cell::Cell;

use middleware::Mode;
use middleware::http::{Config, Http2};

use super::*;

/// By when a flood has ended.
const PATIENCE: Duration = Duration::from_secs(2);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Method, scheme and authority by their numbers and one literal (RFC 7541, appendix A), and the path.
fn head(method: u8, path: &str) -> Vec<u8> {
    let mut head = vec![method, 0x86, 0x41, 1, b'a', 0x44, path.len() as u8];
    head.extend(path.as_bytes());
    head
}

pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(0x82, path))
}

fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head(0x83, path))
}

/// The number of a client's stream.
fn nth(at: u32) -> u32 {
    2 * at + 1
}

/// A client that has said hello.
pub(super) async fn hello(served: &Served) -> TcpStream {
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    socket
}

/// The next frame: its type and its payload.
async fn next(reader: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    reader.read_exact(&mut payload).await?;
    Ok((head[3], payload))
}

/// Reads up to a frame of this type, and returns what is in it.
pub(super) async fn until(reader: &mut TcpStream, kind: u8) -> Vec<u8> {
    loop {
        let (found, payload) = next(reader).await.unwrap();
        if found == kind {
            return payload;
        }
    }
}

/// Reads to the end of the connection; the reasons of its GOAWAYs.
async fn farewells(mut reader: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut reasons = Vec::new();
    while let Ok((kind, payload)) = next(&mut reader).await {
        if kind == GOAWAY {
            reasons.push(payload[7]);
        }
    }
    reasons
}

/// Sends `begin` and then, for as long as anybody reads, `more`: it is told to calm down and cut, in time, while the
/// calls of another client succeed.
async fn is_ended(begin: &[u8], more: impl Fn(u32) -> Vec<u8>) {
    let served = Served::start(&patient());
    let mut other = served.connect().await;
    let (reader, mut writer) = hello(&served).await.into_split();
    let reading = tokio::spawn(farewells(reader));
    writer.write_all(begin).await.unwrap();
    let flood = async {
        for at in 0_u32.. {
            let batch: Vec<u8> = (at * 16..at * 16 + 16).flat_map(&more).collect();
            if writer.write_all(&batch).await.is_err() {
                break;
            }
        }
    };
    let is_over = Cell::new(false);
    let calls = async {
        loop {
            other.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(other.answer().await.0, "HTTP/1.1 200 OK");
            if is_over.get() {
                break;
            }
        }
    };
    let flood = async {
        flood.await;
        is_over.set(true);
    };
    let both = futures_util::future::join(flood, calls);
    tokio::time::timeout(PATIENCE, both).await.expect("the flood goes on");
    let reasons = reading.await.unwrap();
    assert_eq!(reasons.last(), Some(&ENHANCE_YOUR_CALM), "{reasons:?}");
    drop(other);
    let metrics = served.stop().await;
    assert!(Served::counted(&metrics, "abuse", 1), "{metrics}");
}

#[tokio::test]
async fn rapid_reset() {
    let cancel = 8_u32.to_be_bytes();
    is_ended(&[], |at| [get(nth(at), "/wait"), frame(RST_STREAM, 0, nth(at), &cancel)].concat())
        .await;
}

#[tokio::test]
async fn rapid_reset_that_waits_for_its_stream_to_be_served() {
    let mut served = Served::start(&patient());
    let mut client = hello(&served).await;
    let limit = Http2::default().client_resets_max;
    for at in 0..=limit {
        client.write_all(&get(nth(at), "/wait")).await.unwrap();
        served.began.recv().await.unwrap();
        client.write_all(&frame(RST_STREAM, 0, nth(at), &8_u32.to_be_bytes())).await.unwrap();
    }
    let reasons = tokio::time::timeout(PATIENCE, farewells(client)).await.expect("it goes on");
    assert_eq!(reasons, [ENHANCE_YOUR_CALM]);
    assert!(served.began.try_recv().is_err(), "more were served");
    assert!(Served::counted(&served.stop().await, "abuse", 1));
}

#[tokio::test]
async fn made_you_reset() {
    // A window that overflows: the server has to reset the stream.
    let overflow = 0x7fff_ffff_u32.to_be_bytes();
    is_ended(&[], |at| {
        [get(nth(at), "/wait"), frame(WINDOW_UPDATE, 0, nth(at), &overflow)].concat()
    })
    .await;
}

#[tokio::test]
async fn continuation_flood() {
    let begin = frame(HEADERS, END_STREAM, 1, &head(0x82, "/echo"));
    // A field that is not indexed, again and again.
    is_ended(&begin, |_| frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b")).await;
}

#[tokio::test]
async fn settings_flood() {
    is_ended(&[], |_| frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test]
async fn ping_flood() {
    is_ended(&[], |_| frame(PING, 0, 0, &[7; 8])).await;
}

#[tokio::test]
async fn ping_flood_of_answers_to_nothing() {
    is_ended(&[], |_| frame(PING, 1, 0, &[7; 8])).await;
}

#[tokio::test]
async fn empty_data_flood() {
    is_ended(&post(1, "/echo"), |_| frame(DATA, 0, 1, &[])).await;
}

#[tokio::test]
async fn data_flood_of_single_bytes() {
    is_ended(&post(1, "/echo"), |_| frame(DATA, 0, 1, b"x")).await;
}

#[tokio::test]
async fn window_update_flood() {
    is_ended(&[], |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())).await;
}

#[tokio::test]
async fn priority_flood() {
    is_ended(&[], |at| frame(PRIORITY, 0, nth(at), &[0, 0, 0, 0, 16])).await;
}

#[tokio::test]
async fn flood_of_frames_that_nobody_knows() {
    is_ended(&[], |_| frame(0x42, 0, 0, &[0; 50])).await;
}

#[tokio::test]
async fn a_flood_is_only_counted_in_shadow() {
    let http = || {
        let config = Config { mode: Mode::Shadow, ..Config::default() };
        Guards { http: middleware::http::State::new(&config), ..guards() }
    };
    let served = Served::guarded(&patient(), http);
    let mut client = hello(&served).await;
    client.write_all(&frame(PING, 1, 0, &[7; 8]).repeat(3_000)).await.unwrap();
    client.write_all(&get(1, "/echo")).await.unwrap();
    // Its answer, behind whatever was said before: the connection lives.
    until(&mut client, HEADERS).await;
    drop(client);
    let metrics = served.stop().await;
    let series = "layer=\"http\",kind=\"connection_abused\",mode=\"shadow\"} 1\n";
    assert!(metrics.contains(series) && Served::counted(&metrics, "abuse", 0), "{metrics}");
}

#[tokio::test]
async fn a_client_that_takes_a_long_answer_in_small_windows_is_no_flood() {
    let text = Bytes::from(vec![b'y'; 4 * 1024 * 1024]);
    let served = Served::start(&patient());
    let socket = TcpStream::connect(served.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let mut builder = hyper::client::conn::http2::Builder::new(executor);
    // A window of 4 KiB, opened again at the half: thousands of times.
    builder.initial_stream_window_size(4 * 1024).initial_connection_window_size(64 * 1024);
    let (mut sender, connection) =
        builder.handshake(hyper_util::rt::TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://localhost/echo").body(Full::new(text.clone())).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert!(answer.into_body().collect().await.unwrap().to_bytes() == text);
}
