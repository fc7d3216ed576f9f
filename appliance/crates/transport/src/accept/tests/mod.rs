//! Real sockets on free ports. A test waits for what it asserts: an answer, the end of a connection, a dropped body.

mod admission;
mod deadlines;
mod ending;
mod floods;
mod framing;
mod requests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::Service;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use middleware::connections::{self, State};
use profile::plan::HttpPlan;
use protocol::{Bound, MemoryGauge, MemoryLevel, Peer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{BindError, DrainHandle, Guards, Listener, Socket, drain, listener};

/// Longer than any test runs.
const NEVER: Duration = Duration::from_secs(600);
/// What a test waits for when it wants a deadline to pass.
const SOON: Duration = Duration::from_millis(40);

/// A plan whose deadlines never pass.
fn patient() -> HttpPlan {
    HttpPlan {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        path: "/mcp".to_owned(),
        trusted_proxies: Vec::new(),
        connections_max: 100,
        first_byte_deadline: NEVER,
        head_deadline: NEVER,
        body_deadline: NEVER,
        body_bytes_per_sec_min: 0,
        body_window: NEVER,
        idle_deadline: NEVER,
        write_deadline: NEVER,
        heartbeat: NEVER,
    }
}

/// The listener `name` of this plan.
fn open(name: &str, plan: &HttpPlan, guards: Guards) -> Result<Listener, BindError> {
    let name = name.into();
    let socket = Socket::open(&name, plan.bind)?;
    let state = listener::State::new(plan, &guards.memory);
    Ok(Listener::new(name, socket, state, guards))
}

/// The layers with their defaults, and plenty of memory.
fn guards() -> Guards {
    Guards {
        connections: State::new(&connections::Config::default()),
        http: middleware::http::State::new(&middleware::http::Config::default()),
        memory: calm(),
        recent: Arc::new(telemetry::RecentRefusals::new(0)),
    }
}

/// Plenty of memory.
fn calm() -> Arc<MemoryGauge> {
    Arc::default()
}

/// What the service under test tells the test, and the other way round.
struct Signals {
    began: mpsc::UnboundedSender<()>,
    body_dropped: mpsc::UnboundedSender<()>,
    gate: Semaphore,
}

/// What a test hears.
struct Heard {
    began: mpsc::UnboundedReceiver<()>,
    body_dropped: mpsc::UnboundedReceiver<()>,
}

/// Both ends, with the gate shut.
fn signals() -> (Arc<Signals>, Heard) {
    let (began_sender, began) = mpsc::unbounded_channel();
    let (dropped_sender, body_dropped) = mpsc::unbounded_channel();
    let gate = Semaphore::new(0);
    let signals = Signals { began: began_sender, body_dropped: dropped_sender, gate };
    (Arc::new(signals), Heard { began, body_dropped })
}

/// Answers `/echo` with the body it got, `/wait` when the test opens the gate, `/endless` with a body without end, and
/// panics on `/panic`.
#[derive(Clone)]
struct Scripted(Arc<Signals>);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Service<Request<Incoming>> for Scripted {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let signals = Arc::clone(&self.0);
        Box::pin(async move {
            signals.began.send(()).ok();
            let body = match request.uri().path() {
                "/wait" => {
                    signals.gate.acquire().await.unwrap().forget();
                    Full::from("waited").boxed_unsync()
                }
                "/endless" => Endless(signals.body_dropped.clone()).boxed_unsync(),
                "/panic" => panic!("asked to"),
                _ => {
                    let bytes = request.into_body().collect().await;
                    Full::from(bytes.map(|body| body.to_bytes()).unwrap_or_default()).boxed_unsync()
                }
            };
            Ok(Response::new(body))
        })
    }
}

struct Endless(mpsc::UnboundedSender<()>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 64 * 1024])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

/// A listener that serves [`Scripted`].
struct Served {
    address: SocketAddr,
    connections: Arc<Bound>,
    signals: Arc<Signals>,
    began: mpsc::UnboundedReceiver<()>,
    body_dropped: mpsc::UnboundedReceiver<()>,
    drain: DrainHandle,
    serving: JoinHandle<usize>,
    metrics: PrometheusHandle,
}

impl Served {
    fn start(plan: &HttpPlan) -> Self {
        Self::guarded(plan, guards)
    }

    /// The same with as much memory as there is.
    fn start_within(plan: &HttpPlan, memory: &Arc<MemoryGauge>) -> Self {
        Self::guarded(plan, || Guards { memory: Arc::clone(memory), ..guards() })
    }

    /// The same with other settings of the layers.
    fn guarded(plan: &HttpPlan, guards: impl FnOnce() -> Guards) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let listener =
            metrics::with_local_recorder(&recorder, || open("public", plan, guards()).unwrap());
        let (signals, Heard { began, body_dropped }) = signals();
        let service = Scripted(Arc::clone(&signals));
        let (drain, draining) = drain();
        Self {
            address: listener.socket.local_addr(),
            connections: Arc::clone(listener.state.connections()),
            signals,
            began,
            body_dropped,
            drain,
            serving: tokio::spawn(listener.serve(move |_: Peer| service.clone(), draining)),
            metrics: recorder.handle(),
        }
    }

    async fn connect(&self) -> Client {
        Client(BufReader::new(TcpStream::connect(self.address).await.unwrap()))
    }

    /// Waits until every connection has left, and says what was counted.
    async fn stop(self) -> String {
        self.drain.begin(Instant::now() + NEVER);
        assert_eq!(self.serving.await.unwrap(), 0, "connections were cut");
        self.metrics.render()
    }

    fn counted(metrics: &str, reason: &str, count: u64) -> bool {
        metrics.contains(&format!(
            "toolrack_connections_closed_total{{listener=\"public\",reason=\"{reason}\"}} {count}\n"
        ))
    }
}

/// A client that writes exactly what it is told.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    /// One answer: its status line, its headers in lower case, its body.
    async fn answer(&mut self) -> (String, String, String) {
        let mut status = String::new();
        self.0.read_line(&mut status).await.unwrap();
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
            assert_ne!(self.0.read_line(&mut headers).await.unwrap(), 0, "{status}{headers}");
        }
        let headers = headers.to_lowercase();
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        (status.trim_end().to_owned(), headers, String::from_utf8(body).unwrap())
    }

    /// Waits for the end of the connection, and returns what came before.
    async fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        self.0.read_to_end(&mut rest).await.ok();
        rest
    }
}
