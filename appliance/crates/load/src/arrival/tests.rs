//! Stamps of real connections, and what is made of them.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;

/// Longest that the kernel may take to begin with its stamps.
const PATIENCE: Duration = Duration::from_secs(10);
/// How late a reader comes to its answer.
const LATE: Duration = Duration::from_millis(100);
const MS: Duration = Duration::from_millis(1);

/// A connection of which the kernel has begun to stamp what comes in, and its other end. It begins in its own time
/// when the first socket asks.
pub(crate) fn stamped() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    server.set_nodelay(true).unwrap();
    let (client, _) = listener.accept().unwrap();
    request_stamps(&client);
    let begun = Instant::now();
    loop {
        server.write_all(b"x").unwrap();
        if read(&client, &mut [0; 8]).unwrap().stamp.is_some() {
            return (client, server);
        }
        assert!(begun.elapsed() < PATIENCE, "the kernel stamps nothing");
    }
}

#[test]
fn bytes_count_from_when_the_kernel_had_the_last_of_them() {
    let (client, mut server) = stamped();
    server.write_all(b"first").unwrap();
    let second_at = Instant::now();
    server.write_all(b"last").unwrap();
    let written_at = Instant::now();
    while written_at.elapsed() < LATE {
        std::hint::spin_loop();
    }
    let part = read(&client, &mut [0; 64]).unwrap();
    let arrived_at = Clocks::read().arrival(part.stamp, second_at, Instant::now());
    assert_eq!(part.bytes, 9);
    assert!(arrived_at < written_at + LATE / 2, "{:?}", arrived_at - written_at);
}

#[test]
fn read_is_one_of_the_system() {
    let (client, mut server) = stamped();
    client.set_nonblocking(true).unwrap();
    let error = read(&client, &mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    server.write_all(b"hello").unwrap();
    let mut space = [0; 4];
    assert_eq!(read(&client, &mut space).unwrap().bytes, 4);
    assert_eq!(&space, b"hell");
    drop(server);
    client.set_nonblocking(false).unwrap();
    assert_eq!(read(&client, &mut space).unwrap().bytes, 1);
    assert_eq!(read(&client, &mut space).unwrap(), Part { bytes: 0, stamp: None });
}

#[test]
fn stamp_is_told_by_the_clock_of_latencies() {
    let sent_at = Instant::now();
    let clocks = Clocks { wall: Duration::from_secs(1_000), steady: sent_at + 50 * MS };
    let arrival_ms = |wall: Duration| {
        (clocks.arrival(Some(wall), sent_at, sent_at + 100 * MS) - sent_at).as_millis()
    };
    assert_eq!(arrival_ms(clocks.wall - 30 * MS), 20);
    assert_eq!(arrival_ms(clocks.wall), 50);
    assert_eq!(arrival_ms(clocks.wall + 30 * MS), 80);
}

#[test]
fn answer_whose_stamp_is_absent_or_cannot_be_true_comes_now() {
    let sent_at = Instant::now();
    let clocks = Clocks { wall: Duration::from_secs(1_000), steady: sent_at + 50 * MS };
    let now = sent_at + 100 * MS;
    let set = [
        None,
        Some(clocks.wall - 51 * MS),
        Some(clocks.wall + 51 * MS),
        Some(Duration::ZERO),
        Some(Duration::MAX),
    ];
    for stamp in set {
        assert_eq!(clocks.arrival(stamp, sent_at, now), now, "{stamp:?}");
    }
}
