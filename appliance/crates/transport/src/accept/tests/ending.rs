//! How serving ends.

use std::io;

use super::super::door::Door;
use super::super::progress::{Closed, Deadlines, Progress, now_ms};
use super::*;
use tokio::net::TcpListener;

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn lets_a_request_in_flight_end_and_everybody_else_go_at_once() {
    let mut served = Served::start(&patient());
    let mut silent = served.connect().await;
    let mut idle = served.connect().await;
    idle.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    idle.answer().await;
    served.began.recv().await.unwrap();
    let mut busy = served.connect().await;
    busy.send(WAIT).await;
    served.began.recv().await.unwrap();

    served.drain.begin(Instant::now() + NEVER);
    assert_eq!(idle.end().await, b"");
    assert_eq!(silent.end().await, b"");
    drop((idle, silent));
    assert!(TcpStream::connect(served.address).await.is_err(), "still accepts");

    served.signals.gate.add_permits(1);
    let (status, headers, body) = busy.answer().await;
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "waited"));
    assert!(headers.contains("connection: close"), "{headers}");
    drop(busy);
    let metrics = served.stop().await;
    assert!(Served::counted(&metrics, "done", 3), "{metrics}");
}

#[tokio::test]
async fn lets_an_http2_stream_in_flight_end() {
    let mut served = Served::start(&patient());
    let mut sender = requests::http2(&served).await;
    let waiting = sender.send_request(requests::get("/wait"));
    let waiting = tokio::spawn(waiting);
    served.began.recv().await.unwrap();
    served.drain.begin(Instant::now() + NEVER);
    served.signals.gate.add_permits(1);
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "waited");
    assert!(Served::counted(&served.stop().await, "done", 1));
}

#[tokio::test]
async fn whoever_leaves_says_so_with_the_next_answer_and_cuts_no_request_that_is_on_its_way() {
    let served = Served::start(&patient());
    let mut idle = served.connect().await;
    idle.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_, headers, _) = idle.answer().await;
    assert!(!headers.contains("connection: close"), "{headers}");
    let mut silent = served.connect().await;
    let mut sender = requests::http2(&served).await;
    for _ in 0..2 {
        sender.send_request(requests::get("/echo")).await.unwrap();
    }

    served.drain.leave();
    while !sender.is_closed() {
        // Told by GOAWAY.
        tokio::task::yield_now().await;
    }
    for client in [&mut idle, &mut silent] {
        client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (status, headers, _) = client.answer().await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(headers.contains("connection: close"), "{headers}");
        assert_eq!(client.end().await, b"");
    }
    drop((idle, silent));
    assert_eq!(served.serving.await.unwrap(), 0, "ends with the last, without a deadline");
}

#[tokio::test]
async fn nobody_is_let_in_while_the_door_is_held_and_nobody_is_lost() {
    let mut served = Served::start(&patient());
    let mut inside = served.connect().await;
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    inside.answer().await;
    served.began.recv().await.unwrap();
    served.drain.hold(true);
    // As many polls as there are tasks have gone by when this is answered.
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_, headers, _) = inside.answer().await;
    assert!(!headers.contains("connection: close"), "{headers}");
    served.began.recv().await.unwrap();
    let mut waiting = served.connect().await;
    waiting.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    inside.answer().await;
    served.began.recv().await.unwrap();
    assert!(served.began.try_recv().is_err(), "the one who waits is not heard");
    served.drain.hold(false);
    let (status, headers, _) = waiting.answer().await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(!headers.contains("connection: close"), "{headers}");
    drop((inside, waiting));
    served.stop().await;
}

#[tokio::test]
async fn cuts_what_is_still_busy_at_the_deadline() {
    let mut served = Served::start(&patient());
    let mut busy = served.connect().await;
    busy.send(WAIT).await;
    served.began.recv().await.unwrap();
    let mut sender = requests::http2(&served).await;
    let waiting = tokio::spawn(sender.send_request(requests::get("/wait")));
    served.began.recv().await.unwrap();

    served.drain.begin(Instant::now() + SOON);
    assert_eq!(served.serving.await.unwrap(), 2);
    assert_eq!(busy.end().await, b"");
    assert!(waiting.await.unwrap().is_err());
    assert!(Served::counted(&served.metrics.render(), "cut", 2));
    assert_eq!(served.connections.used(), 0);
}

#[tokio::test]
async fn an_earlier_deadline_counts_and_a_later_one_does_not() {
    let mut served = Served::start(&patient());
    let mut busy = served.connect().await;
    busy.send(WAIT).await;
    served.began.recv().await.unwrap();
    for deadline in [NEVER, SOON, NEVER] {
        served.drain.begin(Instant::now() + deadline);
    }
    assert_eq!(served.serving.await.unwrap(), 1);
}

#[tokio::test]
async fn whoever_has_just_connected_may_still_ask() {
    let served = Served::start(&patient());
    let mut fresh = served.connect().await;
    while served.connections.used() == 0 {
        tokio::task::yield_now().await;
    }
    served.drain.begin(Instant::now() + NEVER);
    assert!(TcpStream::connect(served.address).await.is_err(), "still accepts");
    fresh.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(fresh.answer().await.0, "HTTP/1.1 200 OK");
    assert_eq!(fresh.end().await, b"");
    served.stop().await;
}

/// A client whose request waits at the socket of a listener when its drain begins.
async fn waiting_at_the_socket(begin: impl FnOnce(&DrainHandle)) -> Vec<u8> {
    let listener = open("public", &patient(), guards()).unwrap();
    let mut client = TcpStream::connect(listener.socket.local_addr()).await.unwrap();
    client.write_all(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (handle, draining) = drain();
    begin(&handle);
    let (signals, _) = signals();
    assert_eq!(listener.serve(move |_: Peer| Scripted(Arc::clone(&signals)), draining).await, 0);
    Client(BufReader::new(client)).end().await
}

#[tokio::test]
async fn a_listener_that_ends_alone_answers_those_who_had_connected() {
    let deadline = Instant::now() + NEVER;
    let heard = waiting_at_the_socket(|drain| drain.begin_alone(deadline)).await;
    assert!(heard.starts_with(b"HTTP/1.1 200 OK"), "{heard:?}");
    let heard = waiting_at_the_socket(|drain| drain.begin(deadline)).await;
    assert_eq!(heard, b"", "they are left to whoever else has the socket");
}

#[tokio::test]
async fn of_two_orders_the_first_says_whose_those_are_who_wait_at_the_socket() {
    let deadline = Instant::now() + NEVER;
    let heard = waiting_at_the_socket(|drain| {
        drain.begin_alone(deadline);
        drain.leave();
        drain.begin(deadline);
    })
    .await;
    assert!(heard.starts_with(b"HTTP/1.1 200 OK"), "nobody else has the socket: {heard:?}");
    let heard = waiting_at_the_socket(|drain| {
        drain.leave();
        drain.begin_alone(deadline);
    })
    .await;
    assert_eq!(heard, b"", "they are left to whoever shares the socket");
}

#[tokio::test]
async fn whoever_was_accepted_when_its_process_leaves_may_still_ask() {
    let served = Served::start(&patient());
    let mut fresh = served.connect().await;
    while served.connections.used() == 0 {
        tokio::task::yield_now().await;
    }
    served.drain.leave();
    fresh.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(fresh.answer().await.0, "HTTP/1.1 200 OK");
    assert_eq!(fresh.end().await, b"", "it was told that this was the last answer");
    served.stop().await;
}

#[tokio::test]
async fn an_abort_waits_for_nobody_even_in_a_drain() {
    let mut served = Served::start(&patient());
    let mut busy = served.connect().await;
    busy.send(WAIT).await;
    served.began.recv().await.unwrap();
    served.drain.begin(Instant::now() + NEVER);
    served.drain.abort();
    assert_eq!(served.serving.await.unwrap(), 1);
    assert_eq!(busy.end().await, b"");
}

#[tokio::test]
async fn a_lost_handle_counts_as_an_abort() {
    let mut served = Served::start(&patient());
    let mut busy = served.connect().await;
    busy.send(WAIT).await;
    served.began.recv().await.unwrap();
    drop(served.drain);
    assert_eq!(served.serving.await.unwrap(), 1);
}

/// The door of a listener with nobody inside.
fn door() -> (Door, Arc<TcpListener>) {
    let listener = open("public", &patient(), guards()).unwrap();
    let guards = listener.guards;
    (
        Door::new(listener.name, listener.state.connections, guards, listener.tally),
        listener.socket.inner,
    )
}

/// EMFILE, which has no kind of its own.
fn exhausted() -> io::Error {
    io::Error::from_raw_os_error(24)
}

#[tokio::test]
async fn pauses_when_descriptors_run_out_and_not_when_a_client_fails() {
    let (mut door, socket) = door();
    door.failed(&io::ErrorKind::ConnectionAborted.into(), &socket);
    assert!(!door.is_paused);
    door.failed(&exhausted(), &socket);
    assert!(!door.is_paused, "nobody waits to be refused, and whoever comes next can be");
    door.failed(&io::ErrorKind::OutOfMemory.into(), &socket);
    assert!(door.is_paused);
    let ended = door.tasks.spawn(async { Closed::Done });
    door.count(Ok((ended.id(), Closed::Done)));
    assert!(!door.is_paused, "an ended connection frees a descriptor");
}

#[tokio::test]
async fn refuses_a_newcomer_when_descriptors_run_out_and_nobody_is_idle() {
    let (mut door, socket) = door();
    let address = socket.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let newcomer = TcpStream::connect(address).await.unwrap();
    // From here on the socket is known to be ready.
    socket.accept().await.unwrap();
    door.failed(&exhausted(), &socket);
    assert!(!door.is_paused, "the next one can be told as well");
    let (status, ..) = Client(BufReader::new(newcomer)).answer().await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
}

#[tokio::test]
async fn hurries_whoever_was_at_a_head_for_the_longest() {
    let (mut door, _) = door();
    let deadlines = Deadlines::new(&patient(), &calm());
    let mut inside = |begin: fn(&Arc<Progress>)| {
        let progress = Progress::new(&deadlines, None);
        begin(&progress);
        door.let_in(Arc::clone(&progress), std::future::pending());
        progress
    };
    let busy = inside(|progress| {
        progress.sniffed();
        std::mem::forget(progress.began());
    });
    let slow = inside(|progress| progress.sniffed());
    let begun_ms = now_ms();
    while now_ms() == begun_ms {
        std::thread::yield_now();
    }
    let later = inside(|_| {});
    door.hurry();
    let asked = [&busy, &slow, &later].map(|progress| progress.asked());
    assert_eq!(asked, [None, Some(Closed::Head), None]);
    door.hurry();
    assert_eq!(later.asked(), Some(Closed::Head));
    door.hurry();
    assert_eq!(busy.asked(), None, "a request in flight was disturbed");
}

#[tokio::test]
async fn asks_those_that_were_idle_the_longest_to_leave_when_descriptors_run_out() {
    let (mut door, socket) = door();
    let deadlines = Deadlines::new(&patient(), &calm());
    let inside: Vec<_> = (0..20)
        .map(|at| {
            let progress = Progress::new(&deadlines, None);
            progress.sniffed();
            let request = progress.began();
            if at % 2 == 0 {
                drop(request);
            } else {
                std::mem::forget(request);
            }
            door.let_in(Arc::clone(&progress), std::future::pending());
            progress
        })
        .collect();
    door.failed(&exhausted(), &socket);
    let asked = |at: usize| inside[at].asked() == Some(Closed::Evicted);
    assert!((1..20).step_by(2).all(|at| !asked(at)), "a request in flight was disturbed");
    assert_eq!((0..20).filter(|at| asked(*at)).count(), 8);
    assert!(door.is_paused, "until one of them has left");
}
