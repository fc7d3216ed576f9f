//! Heads and bodies of HTTP/1 that two servers could read differently.

use super::*;

/// Sends `text`; the status of the first answer, and how many requests reached the service.
async fn outcome(text: &str) -> (String, usize) {
    let mut served = Served::start(&patient());
    let mut client = served.connect().await;
    client.send(text).await;
    let (status, ..) = client.answer().await;
    client.end().await;
    let mut begun = 0;
    while served.began.try_recv().is_ok() {
        begun += 1;
    }
    (status["HTTP/1.1 ".len()..][..3].to_owned(), begun)
}

#[tokio::test]
async fn a_request_behind_one_with_two_lengths_is_never_served() {
    let smuggled = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for lengths in [length(5) + chunked, chunked.to_owned() + &length(5 + smuggled.len())] {
        let text = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
        assert_eq!(outcome(&text).await, ("200".to_owned(), 1), "{lengths}");
    }
}

#[tokio::test]
async fn refuses_heads_without_one_meaning() {
    for head in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: \r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length : 3\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Nul: a\0b\r\n",
        " X-Leading: a\r\n",
        "X No Colon\r\n",
    ] {
        let text = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\nabc");
        assert_eq!(outcome(&text).await, ("400".to_owned(), 0), "{head:?}");
    }
}

#[tokio::test]
async fn refuses_versions_it_does_not_speak_and_chunks_of_one_that_has_none() {
    for text in [
        "GET /echo HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /echo\r\n\r\n",
        "GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_eq!(outcome(text).await, ("400".to_owned(), 0), "{text:?}");
    }
}

/// What the service reads of a chunked body, and whether the connection ends after it.
async fn echoed(chunks: &str) -> String {
    let served = Served::start(&patient());
    let mut client = served.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head.to_owned() + chunks).await;
    let body = client.answer().await.2;
    client.end().await;
    body
}

#[tokio::test]
async fn reads_no_more_of_chunks_than_they_are_worth() {
    assert_eq!(echoed("3;name=value\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n").await, "abc");
    let extension = "e".repeat(17 * 1024);
    let trailer = "t".repeat(17 * 1024);
    for chunks in [
        format!("3;{extension}\r\nabc\r\n0\r\n\r\n"),
        format!("3\r\nabc\r\n0\r\nx: {trailer}\r\n\r\n"),
        "ffffffffffffffff1\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\r\nabcd\r\n0\r\n\r\n".to_owned(),
        "-3\r\nabc\r\n0\r\n\r\n".to_owned(),
    ] {
        assert_eq!(echoed(&chunks).await, "", "{:?}", &chunks[..20.min(chunks.len())]);
    }
}
