//! One connection: HTTP/1.1 under two deadlines.

use std::rc::Rc;

use http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::answers::Answers;
use crate::caller::Caller;
use crate::pace::{Deadlines, Pace, Paced};
use crate::paths::respond;

/// Most bytes of a request's head; probes need some hundred.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Serves a connection until its end. How it ends is the client's affair.
pub(crate) async fn serve<S>(stream: S, caller: Caller, answers: Rc<Answers>, deadlines: Deadlines)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let pace = Rc::new(Pace::new(deadlines));
    let at_head = Rc::clone(&pace);
    let service = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::new())
        .service_fn(move |request: http::Request<hyper::body::Incoming>| {
            at_head.request_ended();
            let (answers, pace) = (Rc::clone(&answers), Rc::clone(&at_head));
            let caller = caller.clone();
            async move {
                let (mut head, body) = request.into_parts();
                head.extensions.insert(caller);
                let head = http::Request::from_parts(head, ());
                Ok::<_, std::convert::Infallible>(respond(&answers, &head, body, &pace).await)
            }
        });
    let stream = Paced::new(stream, Rc::clone(&pace));
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::select! {
        ended = connection => drop(ended),
        () = pace.overdue() => {}
    }
}
