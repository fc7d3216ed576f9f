//! The answer to a connection that is not let in: sent without reading a word.

use std::time::Duration;

use http::StatusCode;
use protocol::{Id, Refusal, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Who is not let in is judged before there is a request that a generation could judge.
pub(super) const NO_GENERATION: u64 = 0;
/// How long the client has to read it.
const READ_DEADLINE: Duration = Duration::from_secs(1);
/// Most bytes of the request that are thrown away meanwhile.
const WASTE_BYTES_MAX: u64 = 64 * 1024;

/// In HTTP/1, whatever the client would have spoken: it has not said. The body is what a refused call gets.
fn answer(refusal: &Refusal) -> Vec<u8> {
    let status = StatusCode::from_u16(refusal.kind.http_status()).unwrap_or_default();
    let body = encode::refusal(&Id::default(), refusal, NO_GENERATION);
    let retry_after = refusal
        .retry_after_secs()
        .map_or_else(String::new, |secs| format!("retry-after: {secs}\r\n"));
    let head = format!(
        "HTTP/1.1 {status}\r\n{retry_after}x-request-id: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        refusal.id(),
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Sends the answer and closes, in that order: closing over an unread request would take the answer back.
pub(super) async fn turn_away(mut socket: TcpStream, refusal: Refusal) {
    let farewell = async {
        socket.write_all(&answer(&refusal)).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(WASTE_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not listen is not owed an answer.
    drop(tokio::time::timeout(READ_DEADLINE, farewell).await);
}

/// The same for whom there is no time, before `socket` is dropped: what of the request is there is thrown away, and a
/// client that sends more may lose the answer.
pub(super) fn turn_away_at_once(socket: &TcpStream, refusal: &Refusal) {
    // The buffer of a new socket holds it whole.
    drop(socket.try_write(&answer(refusal)));
    let mut waste = [0; 4096];
    let mut left = WASTE_BYTES_MAX as usize / waste.len();
    while left > 0 && socket.try_read(&mut waste).is_ok_and(|count| count > 0) {
        left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use protocol::RefusalKind;

    use super::*;

    #[test]
    fn is_a_whole_http_answer_that_says_what_and_when() {
        let refusal =
            Refusal::new(RefusalKind::AddressExhausted, "connections", "address", "Too \"many\".")
                .with_limit(7)
                .with_retry_after(Duration::from_secs(2));
        let text = String::from_utf8(answer(&refusal)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("HTTP/1.1 429 Too Many Requests"));
        for line in
            [&*format!("content-length: {}", body.len()), "retry-after: 2", "connection: close"]
        {
            assert!(head.lines().any(|found| found == line), "{line} is not in {head}");
        }
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], -32011);
        assert_eq!(body["error"]["message"], "Too \"many\".");
        assert_eq!(body["error"]["data"]["limit"], 7);
    }
}
