//! `layer.http.http2`: what an HTTP/2 connection may ask for.

use crate::frames::{
    ACK, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get,
};
use crate::program::Program;
use crate::wire::{Connection, serve};

/// A program with this key at this value.
fn with(key: &str, value: u32) -> Program {
    serve(&[&format!("layer.http.http2.{key}={value}")])
}

/// The key is what the program says as a setting of its own (RFC 9113, 6.5.2).
fn is_said_as(key: &str, setting: u16, values: [u32; 2]) {
    for value in values {
        let program = with(key, value);
        let mut client = Frames::open(&program);
        let said = client.until(|frame| frame.kind == SETTINGS).payload;
        let mut pairs = said.chunks(6).map(|pair| pair.split_at(2));
        let found = pairs.find(|(name, _)| *name == setting.to_be_bytes());
        assert_eq!(found.map(|(_, value)| value), Some(&value.to_be_bytes()[..]));
    }
}

pub(crate) fn so_many_streams_may_be_open() {
    is_said_as("streams_max", 3, [7, 70]);
}

pub(crate) fn a_client_may_send_so_much_ahead_on_one_stream() {
    is_said_as("stream_window_bytes", 4, [20_000, 200_000]);
}

pub(crate) fn a_frame_may_have_so_many_bytes() {
    is_said_as("frame_bytes_max", 5, [20_000, 200_000]);
}

pub(crate) fn a_head_may_unpack_to_so_many_bytes() {
    is_said_as("header_list_bytes_max", 6, [2_000, 20_000]);
}

pub(crate) fn a_client_may_send_so_much_ahead_on_all_streams() {
    for value in [100_000, 1_000_000] {
        let program = with("connection_window_bytes", value);
        let mut client = Frames::open(&program);
        // Above what a connection begins with (RFC 9113, 6.9.2).
        let more = client.until(|frame| frame.kind == WINDOW_UPDATE).number(0);
        assert_eq!(more, value - 65_535);
    }
}

fn is_ping(frame: &crate::frames::Frame) -> bool {
    frame.kind == PING && frame.flags != ACK
}

pub(crate) fn a_silent_client_is_pinged() {
    let (hasty, patient) = (with("ping_ms", 50), with("ping_ms", 3_600_000));
    let mut unasked = Frames::open(&patient);
    Frames::open(&hasty).until(is_ping);
    assert!(!unasked.alive().iter().any(is_ping));
}

pub(crate) fn a_client_has_so_long_to_answer_a_ping() {
    let start = |ms: u32| {
        serve(&["layer.http.http2.ping_ms=50", &format!("layer.http.http2.ping_answer_ms={ms}")])
    };
    let (hasty, patient) = (start(50), start(3_600_000));
    let mut kept = Frames::open(&patient);
    kept.until(is_ping);
    let mut cut = Frames::open(&hasty);
    while cut.next().is_some() {}
    kept.alive();
}

pub(crate) fn a_connection_ends_after_so_many_requests() {
    for (requests_max, is_over) in [(1, true), (2, false)] {
        let program = with("requests_max", requests_max);
        let mut client = Frames::open(&program);
        client.send(&get(1));
        let mut said = vec![client.until(|frame| frame.kind == HEADERS || frame.kind == GOAWAY)];
        said.extend(client.alive());
        let told = said.iter().any(|frame| frame.kind == GOAWAY && frame.number(4) == 0);
        assert_eq!(told, is_over);
    }
}

/// Sends `frames` at once: at the key's low value the client is told to calm down, at its default it is not.
fn calms(key: &str, low: u32, frames: &[u8]) {
    let (strict, usual) = (with(key, low), serve(&[]));
    let mut client = Frames::open(&strict);
    client.send(frames);
    let enhance_your_calm = 11;
    assert_eq!(client.farewell(), Some(enhance_your_calm));
    let mut client = Frames::open(&usual);
    client.send(frames);
    client.alive();
}

fn each(frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..15).flat_map(|at| frames(2 * at + 1)).collect()
}

fn reset(stream: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    [get(stream), frame(RST_STREAM, 0, stream, &cancel)].concat()
}

pub(crate) fn a_client_may_reset_so_many_streams() {
    calms("client_resets_max", 10, &each(reset));
}

pub(crate) fn so_many_streams_may_be_reset_unseen() {
    calms("pending_resets_max", 10, &each(reset));
}

pub(crate) fn a_client_may_have_so_many_streams_reset() {
    let overflow = 0x7fff_ffff_u32.to_be_bytes();
    let provoke = |stream| [get(stream), frame(WINDOW_UPDATE, 0, stream, &overflow)].concat();
    calms("local_resets_max", 10, &each(provoke));
}

pub(crate) fn a_client_may_send_so_many_frames_for_nothing() {
    calms("control_frames_max", 10, &each(|_| frame(PING, 0, 0, &[7; 8])));
}

pub(crate) fn frames_for_nothing_are_counted_for_so_long() {
    for (window_ms, is_ended) in [(100, false), (3_600_000, true)] {
        let program = serve(&[
            "layer.http.http2.control_frames_max=10",
            &format!("layer.http.http2.flood_window_ms={window_ms}"),
            "listen.public.http.first_byte_ms=200",
        ]);
        let mut client = Frames::open(&program);
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(7);
        client.send(&pings);
        client.alive();
        // Nobody is waited for longer than the shorter window.
        Connection::open(&program).rest();
        client.send(&pings);
        if is_ended {
            assert_eq!(client.farewell(), Some(11));
        } else {
            client.alive();
        }
    }
}
