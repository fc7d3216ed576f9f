//! The answer to a connection that is not let in: made once, sent without reading a word.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the client has to read it.
const READ_DEADLINE: Duration = Duration::from_secs(1);
/// Most bytes of the request that are thrown away meanwhile.
const WASTE_BYTES_MAX: u64 = 64 * 1024;

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    /// As many as allowed are open.
    Connections,
    /// There is no memory for another one.
    Memory,
}

impl Reason {
    /// 503, because it is of the whole listener or process: nobody new can be served now. The JSON-RPC code is that of a
    /// server out of its own resources.
    const fn answer(self) -> &'static [u8] {
        match self {
            Self::Connections => CONNECTIONS,
            Self::Memory => MEMORY,
        }
    }
}

const CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
retry-after: 2\r\n\
connection: close\r\n\
content-type: application/json\r\n\
content-length: 181\r\n\
\r\n\
{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32017,\"message\":\"Every connection is taken; try again later.\",\
\"data\":{\"refusal\":\"connections_exhausted\",\"scope\":\"listener\",\"retry_after_ms\":2000}}}";

const MEMORY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
retry-after: 10\r\n\
connection: close\r\n\
content-type: application/json\r\n\
content-length: 198\r\n\
\r\n\
{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32017,\"message\":\"The server is short of memory; try again later.\",\
\"data\":{\"refusal\":\"memory_exhausted\",\"layer\":\"memory\",\"scope\":\"listener\",\"retry_after_ms\":10000}}}";

/// Sends the answer and closes, in that order: closing over an unread request would take the answer back.
pub(super) async fn turn_away(mut socket: TcpStream, reason: Reason) {
    let farewell = async {
        socket.write_all(reason.answer()).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(WASTE_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not listen is not owed an answer.
    drop(tokio::time::timeout(READ_DEADLINE, farewell).await);
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn declares_its_own_length() {
        for reason in [Reason::Connections, Reason::Memory] {
            let text = std::str::from_utf8(reason.answer()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let declared = format!("content-length: {}", body.len());
            assert!(head.lines().any(|line| line == declared), "{reason:?}: {declared}");
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
    }
}
