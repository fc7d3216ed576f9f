//! Who is let in, for how long, and who has to leave first.

use middleware::Mode;
use middleware::connections::Config;

use super::super::progress::{Closed, Deadlines, Progress};
use super::*;

const GET: &str = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";

/// A listener of this layer.
fn serve(config: &Config) -> Served {
    let guarded = || Guards { connections: State::new(config), ..guards() };
    Served::guarded(&patient(), guarded)
}

/// A listener whose connections soon are old.
fn ageing() -> Served {
    serve(&Config { age_max_ms: 200, ..Config::default() })
}

#[tokio::test]
async fn tells_an_address_that_has_its_share_and_lets_it_in_again() {
    let served = serve(&Config { per_address_max: 1, ..Config::default() });
    let mut inside = served.connect().await;
    inside.send(GET).await;
    inside.answer().await;
    let mut outside = served.connect().await;
    outside.send(GET).await;
    let (status, headers, body) = outside.answer().await;
    assert_eq!(status, "HTTP/1.1 429 Too Many Requests");
    assert!(headers.contains("retry-after: "), "{headers}");
    assert!(body.contains("\"refusal\":\"address_exhausted\""), "{body}");
    assert_eq!(outside.end().await, b"");
    // Another address of the same host is another client.
    let elsewhere = tokio::net::TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut elsewhere = Client(BufReader::new(elsewhere.connect(served.address).await.unwrap()));
    elsewhere.send(GET).await;
    assert_eq!(elsewhere.answer().await.0, "HTTP/1.1 200 OK");
    drop((inside, elsewhere));
    while served.connections.used() > 0 {
        tokio::task::yield_now().await;
    }
    let mut next = served.connect().await;
    next.send(GET).await;
    assert_eq!(next.answer().await.0, "HTTP/1.1 200 OK");
    drop(next);
    let metrics = served.stop().await;
    let series = "toolrack_refusals_total{layer=\"connections\",kind=\"address_exhausted\",mode=\"enforce\"} 1\n";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn lets_everybody_in_in_shadow_and_counts_who_would_not_be() {
    let served = serve(&Config { mode: Mode::Shadow, per_address_max: 1, ..Config::default() });
    let mut clients = [served.connect().await, served.connect().await];
    for client in &mut clients {
        client.send(GET).await;
        assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
    }
    drop(clients);
    let metrics = served.stop().await;
    let series = "kind=\"address_exhausted\",mode=\"shadow\"} 1\n";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn refuses_a_crowd_without_leaving_anyone_without_an_answer() {
    let served = serve(&Config { connections_max: 1, ..Config::default() });
    let mut inside = served.connect().await;
    inside.send(GET).await;
    inside.answer().await;
    // More than are given time to read.
    let mut crowd = Vec::new();
    for _ in 0..90 {
        crowd.push(served.connect().await);
    }
    for outside in &mut crowd {
        assert_eq!(outside.answer().await.0, "HTTP/1.1 503 Service Unavailable");
    }
}

#[tokio::test]
async fn ends_an_idle_connection_of_age() {
    let served = ageing();
    let mut client = served.connect().await;
    client.send(GET).await;
    assert!(!client.answer().await.1.contains("connection: close"));
    assert_eq!(client.end().await, b"");
    drop(client);
    assert!(Served::counted(&served.stop().await, "age", 1));
}

#[tokio::test]
async fn answers_what_is_in_flight_before_a_connection_of_age_ends() {
    let mut served = ageing();
    let mut client = served.connect().await;
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    served.began.recv().await.unwrap();
    // By the time that two others have ended of age, one after the other, this one is of age.
    for _ in 0..2 {
        let mut later = served.connect().await;
        later.send(GET).await;
        later.answer().await;
        later.end().await;
    }
    served.signals.gate.add_permits(1);
    let (status, headers, body) = client.answer().await;
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "waited"));
    assert!(headers.contains("connection: close"), "{headers}");
    assert_eq!(client.end().await, b"");
    drop(client);
    assert!(Served::counted(&served.stop().await, "age", 3));
}

#[tokio::test]
async fn tells_an_http2_client_of_age_to_go_away_and_answers_it() {
    let mut served = ageing();
    let mut client = floods::hello(&served).await;
    client.write_all(&floods::get(1, "/wait")).await.unwrap();
    served.began.recv().await.unwrap();
    assert_eq!(floods::until(&mut client, floods::GOAWAY).await[4..], [0; 4], "no error");
    served.signals.gate.add_permits(1);
    assert_eq!(floods::until(&mut client, floods::DATA).await, b"waited");
    drop(client);
    assert!(Served::counted(&served.stop().await, "age", 1));
}

#[tokio::test]
async fn ends_an_http2_connection_that_asked_often_enough_after_its_last_answer() {
    let http2 = middleware::http::Http2 { requests_max: 3, ..Default::default() };
    let config = middleware::http::Config { http2, ..Default::default() };
    let http = || middleware::http::State::new(&config);
    let served = Served::guarded(&patient(), || Guards { http: http(), ..guards() });
    let mut sender = requests::http2(&served).await;
    for _ in 0..3 {
        assert_eq!(sender.send_request(requests::get("/echo")).await.unwrap().status(), 200);
    }
    while sender.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(Served::counted(&served.stop().await, "spent", 1));
}

#[tokio::test]
async fn only_an_idle_connection_may_be_asked_to_make_room() {
    let progress = Progress::new(&Deadlines::new(&patient(), &calm()), None);
    assert_eq!(progress.idle_since_ms(), None);
    progress.sniffed();
    assert_eq!(progress.idle_since_ms(), None, "its head is due");
    let request = progress.began();
    assert_eq!(progress.idle_since_ms(), None);
    drop(request);
    assert!(progress.idle_since_ms().is_some());
    progress.ask(Closed::Evicted);
    progress.ask(Closed::Age);
    assert_eq!((progress.idle_since_ms(), progress.asked()), (None, Some(Closed::Evicted)));
}
