//! How serving ends.

use std::io;

use super::super::serve::Door;
use super::*;

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

#[tokio::test]
async fn pauses_when_descriptors_run_out_and_not_when_a_client_fails() {
    let listener = Listener::bind("public".into(), &patient(), &calm()).unwrap();
    let mut door = Door::new(listener.name, listener.connections, calm(), listener.tally);
    door.failed(&io::ErrorKind::ConnectionAborted.into());
    assert!(!door.is_paused);
    // EMFILE, which has no kind of its own.
    door.failed(&io::Error::from_raw_os_error(24));
    assert!(door.is_paused);
    door.count(Ok(super::super::progress::Closed::Done));
    assert!(!door.is_paused, "an ended connection frees a descriptor");
}
