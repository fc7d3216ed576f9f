//! Requests, and how many of what is let in.

use http_body_util::Empty;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::super::BindError;
use super::*;

pub(super) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}

/// An HTTP/2 client that begins with small windows.
pub(super) async fn http2(served: &Served) -> SendRequest<Empty<Bytes>> {
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn answers_many_requests_on_one_connection() {
    let served = Served::start(&patient());
    let mut client = served.connect().await;
    for text in ["one", "two"] {
        client
            .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{text}"))
            .await;
        let (status, _, body) = client.answer().await;
        assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", text));
    }
    drop(client);
    let metrics = served.stop().await;
    assert!(metrics.contains("toolrack_connections_accepted_total{listener=\"public\"} 1\n"));
    assert!(Served::counted(&metrics, "done", 1), "{metrics}");
}

#[tokio::test]
async fn answers_pipelined_requests_in_their_order() {
    let served = Served::start(&patient());
    let mut client = served.connect().await;
    let request =
        |text| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{text}");
    client.send(request("one") + &request("two") + &request("six")).await;
    for text in ["one", "two", "six"] {
        assert_eq!(client.answer().await.2, text);
    }
}

#[tokio::test]
async fn answers_a_request_that_arrives_byte_by_byte() {
    let served = Served::start(&patient());
    let mut client = served.connect().await;
    client.0.get_ref().set_nodelay(true).unwrap();
    for byte in b"PRI-MARY /echo HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]).await;
    }
    assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn speaks_http2_on_the_same_port() {
    let served = Served::start(&patient());
    let mut sender = http2(&served).await;
    let answers =
        futures_util::future::join_all((0..50).map(|_| sender.send_request(get("/echo")))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status(), 200);
    }
    drop(sender);
    assert!(Served::counted(&served.stop().await, "done", 1));
}

#[tokio::test]
async fn sends_a_long_http2_answer_whole() {
    let text = vec![b'y'; 1024 * 1024];
    let length = text.len();
    let served = Served::start(&patient());
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request =
        Request::post("http://localhost/echo").body(Full::<Bytes>::from(text.clone())).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], length.to_string());
    assert!(answer.into_body().collect().await.unwrap().to_bytes() == text);
}

#[tokio::test]
async fn refuses_more_headers_than_a_layer_may_allow() {
    let served = Served::start(&patient());
    for (headers, answered) in [(100, "200 OK"), (101, "431 Request Header Fields Too Large")] {
        let mut client = served.connect().await;
        let fields: String = (1..headers).map(|at| format!("x-{at}: 1\r\n")).collect();
        client.send(format!("GET /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(client.answer().await.0, format!("HTTP/1.1 {answered}"));
    }
}

#[tokio::test]
async fn refuses_a_head_that_never_ends_without_losing_the_answer() {
    let served = Served::start(&patient());
    let mut client = served.connect().await;
    let long = "a".repeat(100 * 1024);
    client.send(format!("GET /echo HTTP/1.1\r\nHost: a\r\nx-long: {long}")).await;
    assert_eq!(client.answer().await.0, "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(client.end().await, b"");
    drop(client);
    assert!(Served::counted(&served.stop().await, "error", 1));
}

#[tokio::test]
async fn turns_connections_above_the_cap_away_and_says_when_to_come_back() {
    let served = Served::start(&HttpPlan { connections_max: 1, ..patient() });
    let mut inside = served.connect().await;
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    inside.answer().await;

    let mut outside = served.connect().await;
    outside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (status, headers, body) = outside.answer().await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(
        headers.contains("retry-after: ") && headers.contains("connection: close"),
        "{headers}"
    );
    assert!(body.contains("-32017"), "{body}");
    assert_eq!(outside.end().await, b"");

    drop(inside);
    while served.connections.used() > 0 {
        tokio::task::yield_now().await;
    }
    let mut next = served.connect().await;
    next.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(next.answer().await.0, "HTTP/1.1 200 OK");
    drop(next);
    let metrics = served.stop().await;
    assert!(
        metrics.contains("toolrack_connections_refused_total{listener=\"public\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn turns_new_connections_away_while_memory_is_critical_and_serves_those_it_has() {
    let memory = calm();
    let served = Served::start_within(&patient(), &memory);
    let mut inside = served.connect().await;
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    inside.answer().await;

    memory.set(MemoryLevel::Critical, 0);
    let mut outside = served.connect().await;
    outside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (status, headers, body) = outside.answer().await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    let may_come_back = (10..=12).any(|secs| headers.contains(&format!("retry-after: {secs}\r\n")));
    assert!(may_come_back, "{headers}");
    assert!(body.contains("\"layer\":\"memory\",\"scope\":\"listener\""), "{body}");
    assert!(body.contains("\"refusal\":\"memory_exhausted\""), "{body}");
    inside.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(inside.answer().await.0, "HTTP/1.1 200 OK");

    memory.set(MemoryLevel::Hard, 0);
    let mut next = served.connect().await;
    next.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(next.answer().await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let served = Served::start(&patient());
    let mut other = served.connect().await;
    other.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    other.answer().await;
    let mut client = served.connect().await;
    client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.end().await, b"");
    other.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(other.answer().await.0, "HTTP/1.1 200 OK");
    drop(other);
    assert!(Served::counted(&served.stop().await, "error", 1));
}

#[tokio::test]
async fn says_which_key_to_change_when_the_port_is_taken() {
    let first = open("public", &patient(), guards()).unwrap();
    let plan = HttpPlan { bind: first.socket.local_addr(), ..patient() };
    let Err(error) = open("second", &plan, guards()) else { panic!("bound twice") };
    assert!(matches!(error, BindError::AddressInUse { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "listen.second.http.bind: {} is in use",
            first.socket.local_addr()
        ))
    );
}

#[tokio::test]
async fn says_which_key_to_change_when_the_address_is_not_ours() {
    // TEST-NET-1 (RFC 5737): never an address of an interface.
    let plan = HttpPlan { bind: SocketAddr::from(([192, 0, 2, 1], 0)), ..patient() };
    let Err(error) = open("public", &plan, guards()) else { panic!("bound") };
    assert!(matches!(error, BindError::AddressNotAvailable { .. }), "{error}");
}

/// A client that connects there, and whether this socket is the one that takes it.
async fn reaches(socket: &Socket, port: u16) -> bool {
    let client = TcpStream::connect(("127.0.0.1", port));
    tokio::select! {
        biased;
        accepted = socket.inner.accept() => accepted.is_ok(),
        connected = async { client.await.unwrap(); std::future::pending::<()>().await } => {
            unreachable!("{connected:?}")
        }
    }
}

#[tokio::test]
async fn a_port_moves_to_another_address_without_being_closed_between() {
    let name = "public".into();
    let [one, all] = [[127, 0, 0, 1], [0, 0, 0, 0]];
    let narrow = Socket::open(&name, SocketAddr::from((one, 0))).unwrap();
    let port = narrow.local_addr().port();
    let stranger = Socket::open_beside(&name, SocketAddr::from((all, port)), &[]);
    assert!(matches!(stranger, Err(BindError::AddressInUse { .. })));
    let leaving = [narrow];
    let wide = Socket::open_beside(&name, SocketAddr::from((all, port)), &leaving).unwrap();
    drop(leaving);
    assert!(reaches(&wide, port).await);
    let leaving = [wide];
    let narrow = Socket::open_beside(&name, SocketAddr::from((one, port)), &leaving).unwrap();
    drop(leaving);
    assert!(reaches(&narrow, port).await);
    let again = Socket::open(&name, SocketAddr::from((all, port)));
    assert!(matches!(again, Err(BindError::AddressInUse { .. })), "it is still shared");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn accepted_connections_find_out_that_their_peer_is_dead() {
    let listener = open("public", &patient(), guards()).unwrap();
    let _client = TcpStream::connect(listener.socket.local_addr()).await.unwrap();
    let (accepted, _) = listener.socket.inner.accept().await.unwrap();
    let socket = socket2::SockRef::from(&accepted);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
}

/// A client that leaves its answers alone is none for whom the kernel keeps them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_takes_little_for_a_client_that_does_not_read() {
    let listener = open("public", &patient(), guards()).unwrap();
    let client = TcpStream::connect(listener.socket.local_addr()).await.unwrap();
    socket2::SockRef::from(&client).set_recv_buffer_size(1).unwrap();
    let (accepted, _) = listener.socket.inner.accept().await.unwrap();
    // As much as the kernel may keep by default, whether or not it would find out by itself.
    socket2::SockRef::from(&accepted).set_send_buffer_size(4 << 20).unwrap();
    let most = crate::accept::socket::UNSENT_BYTES_MAX as usize;
    let answer = vec![0; 4 << 20];
    let mut taken = 0;
    loop {
        accepted.writable().await.unwrap();
        match accepted.try_write(&answer[taken..]) {
            Ok(bytes) => taken += bytes,
            Err(_) => break,
        }
    }
    assert!(taken < 2 * most, "{taken}");
}
