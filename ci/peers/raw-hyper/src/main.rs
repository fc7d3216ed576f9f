//! The ceiling: hyper reads the whole body and answers a fixed message.
//!
//! `raw-hyper [BYTES]`: the length of the message, filled up with text; 160 without one.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let bytes: usize = std::env::args().nth(1).map_or(Ok(160), |text| text.parse())?;
    let head = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#;
    let tail = r#""}]}}"#;
    let text = "x".repeat(bytes.saturating_sub(head.len() + tail.len()));
    let answer = Bytes::from(format!("{head}{text}{tail}"));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening http://{}/mcp", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        let service = service_fn(move |request| reply(request, answer.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // A client that goes away ends its own connection and nothing else.
        tokio::spawn(async move { connection.await.ok() });
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(answer));
    if request.into_body().collect().await.is_err() {
        *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
