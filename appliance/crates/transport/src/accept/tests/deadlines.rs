//! Clients that do not get on.

use std::sync::Arc;

use super::super::progress::{Closed, Deadlines, Progress};
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client that sends `sent` and then nothing is closed for `reason`.
async fn closes(plan: HttpPlan, sent: &[u8], reason: &str) {
    let served = Served::start(&plan);
    let mut client = served.connect().await;
    client.send(sent).await;
    client.end().await;
    let metrics = served.stop().await;
    assert!(Served::counted(&metrics, reason, 1), "{metrics}");
}

#[tokio::test]
async fn closes_a_silent_connection() {
    closes(HttpPlan { first_byte_deadline: SOON, ..patient() }, b"", "first_byte").await;
}

#[tokio::test]
async fn closes_a_connection_that_never_completes_the_preface() {
    closes(HttpPlan { first_byte_deadline: SOON, ..patient() }, b"PRI * HT", "first_byte").await;
}

#[tokio::test]
async fn closes_a_connection_that_never_completes_its_head() {
    let plan = HttpPlan { head_deadline: SOON, ..patient() };
    closes(plan, b"POST /mcp HTTP/1.1\r\nHost: loc", "head").await;
}

#[tokio::test]
async fn closes_an_http2_connection_that_never_asks_for_anything() {
    let mut sent = PREFACE.to_vec();
    // An empty SETTINGS frame: the client has done everything but ask.
    sent.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    closes(HttpPlan { head_deadline: SOON, ..patient() }, &sent, "head").await;
}

#[tokio::test]
async fn closes_a_kept_alive_connection_that_asks_no_more() {
    let served = Served::start(&HttpPlan { idle_deadline: SOON, ..patient() });
    let mut client = served.connect().await;
    client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
    assert_eq!(client.end().await, b"");
    drop(client);
    assert!(Served::counted(&served.stop().await, "idle", 1));
}

#[tokio::test]
async fn closes_an_idle_connection_sooner_when_memory_becomes_short() {
    let memory = calm();
    let idle_deadline = Duration::from_secs(8);
    let served = Served::start_within(&HttpPlan { idle_deadline, ..patient() }, &memory);
    let mut client = served.connect().await;
    client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.answer().await;
    let idle_since = Instant::now();
    memory.set(MemoryLevel::Hard, 0);
    client.end().await;
    assert!(idle_since.elapsed() < idle_deadline / 2, "{:?}", idle_since.elapsed());
    drop(client);
    assert!(Served::counted(&served.stop().await, "idle", 1));
}

#[tokio::test]
async fn the_time_of_an_idle_connection_follows_the_memory() {
    let memory = calm();
    let plan = |idle_ms| HttpPlan { idle_deadline: Duration::from_millis(idle_ms), ..patient() };
    let idle_ms = |plan: &HttpPlan| {
        let progress = Progress::new(&Deadlines::new(plan, &memory), None);
        progress.sniffed();
        drop(progress.began());
        let since_ms = progress.idle_since_ms().expect("it is idle");
        progress.due().map_or(0, |(due_ms, _)| due_ms - since_ms)
    };
    // Each connection spends up to a tenth of its time on not leaving with the others.
    let is_about = |got: u64, wanted: u64| got >= wanted - wanted / 10 && got <= wanted;
    let parts =
        [(1_000, 75_000, 1_500), (500, 37_500, 1_500), (100, 7_500, 1_500), (0, 2_000, 1_500)];
    for (permille, long, short) in parts {
        memory.set(MemoryLevel::High, permille);
        let (got_long, got_short) = (idle_ms(&plan(75_000)), idle_ms(&plan(1_500)));
        assert!(is_about(got_long, long), "{permille}: {got_long}");
        assert!(is_about(got_short, short), "{permille}: never longer than its own, {got_short}");
    }
}

#[tokio::test]
async fn closes_a_connection_that_begins_another_head_and_does_not_complete_it() {
    let served = Served::start(&HttpPlan { head_deadline: SOON, ..patient() });
    let mut client = served.connect().await;
    client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.answer().await;
    client.send("GET /ec").await;
    client.end().await;
    assert!(Served::counted(&served.stop().await, "head", 1));
}

#[tokio::test]
async fn closes_a_connection_that_does_not_read() {
    let mut served = Served::start(&HttpPlan { write_deadline: SOON, ..patient() });
    let mut client = served.connect().await;
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    served.body_dropped.recv().await.unwrap();
    assert!(Served::counted(&served.stop().await, "write_stall", 1));
}

#[tokio::test]
async fn resets_only_the_http2_stream_that_is_not_read() {
    let mut served = Served::start(&HttpPlan { write_deadline: SOON, ..patient() });
    let mut sender = requests::http2(&served).await;
    let unread = sender.send_request(requests::get("/endless")).await.unwrap();
    served.body_dropped.recv().await.unwrap();
    let other = sender.send_request(requests::get("/echo")).await.unwrap();
    assert_eq!(other.status(), 200);
    let cut = unread.into_body().collect().await;
    assert!(cut.is_err(), "the stream was not reset");
    drop((sender, other));
    let metrics = served.stop().await;
    assert!(
        metrics.contains("toolrack_streams_stalled_total{listener=\"public\"} 1\n"),
        "{metrics}"
    );
    assert!(Served::counted(&metrics, "done", 1), "{metrics}");
}

#[tokio::test]
async fn waits_for_a_service_as_long_as_it_takes() {
    let plan = HttpPlan { idle_deadline: SOON, head_deadline: SOON, ..patient() };
    let mut served = Served::start(&plan);
    let mut waiting = served.connect().await;
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    served.began.recv().await.unwrap();
    // By the time that another connection came and was closed for idleness, the first had long been due.
    let mut other = served.connect().await;
    other.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    other.answer().await;
    other.end().await;
    served.signals.gate.add_permits(1);
    assert_eq!(waiting.answer().await.2, "waited");
}

#[tokio::test]
async fn a_head_is_due_at_the_same_time_however_many_bytes_dribble_in() {
    let progress = Progress::new(&Deadlines::new(&patient(), &calm()), None);
    progress.sniffed();
    let due = progress.due();
    assert!(matches!(due, Some((_, Closed::Head))));
    progress.received();
    assert_eq!(progress.due(), due);
}

#[tokio::test]
async fn nothing_is_due_while_a_request_is_in_flight_but_what_is_to_be_read() {
    let progress = Progress::new(&Deadlines::new(&patient(), &calm()), None);
    progress.sniffed();
    let request = progress.began();
    assert_eq!(progress.due(), None);
    progress.stalled();
    assert!(matches!(progress.due(), Some((_, Closed::WriteStall))));
    drop(request);
    assert!(matches!(progress.due(), Some((_, Closed::WriteStall))));
    progress.sent();
    assert!(matches!(progress.due(), Some((_, Closed::Idle))));
    assert_eq!(Arc::strong_count(&progress), 1);
}
