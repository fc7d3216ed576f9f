//! The control thread: a listener and a runtime of its own.

use std::convert::Infallible;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderName;
use http::header::{CACHE_CONTROL, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use profile::plan::{ControlBind, ControlPlan};
use protocol::Bound;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::answers::{Answers, Sources};

/// Connections at once: probes and scrapers of a whole cluster, and a person.
const CONNECTIONS_MAX: usize = 64;
/// For a request head.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// For a whole connection: probers that keep one open come back.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(600);

/// Why there is no control listener.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken.
    #[error(
        "control.bind: {0} is in use by another process; stop it, or choose another address (port 0 takes a free one)"
    )]
    InUse(String),
    /// The system says no.
    #[error("control.bind: cannot listen on {address}: {source}")]
    Refused {
        /// What was wanted.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Where the control listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// An address with its real port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The running control thread.
pub struct Control {
    address: ControlAddress,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> &ControlAddress {
        &self.address
    }

    /// Ends the thread and waits for it.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        if let ControlAddress::Unix(path) = &self.address {
            drop(std::fs::remove_file(path));
        }
    }
}

enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// Binds the listener and starts its thread.
///
/// # Errors
/// When it cannot listen, or there is no thread.
pub fn start(plan: &ControlPlan, sources: Sources) -> Result<Control, StartError> {
    let (socket, address, label) = match &plan.bind {
        ControlBind::Tcp(wanted) => {
            let label = wanted.to_string();
            let listener =
                std::net::TcpListener::bind(wanted).map_err(|error| refused(&label, error))?;
            let address = listener.local_addr().unwrap_or(*wanted);
            (Socket::Tcp(listener), ControlAddress::Tcp(address), label)
        }
        ControlBind::Unix(path) => {
            let label = path.display().to_string();
            let listener = bind_unix(path).map_err(|error| refused(&label, error))?;
            (
                Socket::Unix(listener),
                ControlAddress::Unix(path.clone()),
                label,
            )
        }
    };
    // Whoever reaches a Unix socket was let in by its mode; whoever asked for a remote address has names of its own.
    let checks_host =
        matches!(&address, ControlAddress::Tcp(address) if address.ip().is_loopback());
    let answers = Answers::new(sources, checks_host);
    let (stop, stopping) = watch::channel(false);
    let thread = std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || run(socket, &answers, stopping))
        .map_err(|error| refused(&label, error))?;
    Ok(Control {
        address,
        stop,
        thread: Some(thread),
    })
}

fn refused(address: &str, source: std::io::Error) -> StartError {
    match source.kind() {
        ErrorKind::AddrInUse => StartError::InUse(address.to_owned()),
        _ => StartError::Refused {
            address: address.to_owned(),
            source,
        },
    }
}

/// A socket file that nobody answers on was left by a process that died, and is replaced.
fn bind_unix(path: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    if path.exists() && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn run(socket: Socket, answers: &Arc<Answers>, mut stopping: watch::Receiver<bool>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "No runtime for the control listener.");
            return;
        }
    };
    runtime.block_on(async {
        let accepting = accept(socket, answers);
        tokio::select! {
            error = accepting => tracing::error!(%error, "Control listener ended."),
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
}

/// Accepts for ever; returns only when the socket cannot be used.
async fn accept(socket: Socket, answers: &Arc<Answers>) -> std::io::Error {
    let bound = Bound::new("control_connections", CONNECTIONS_MAX);
    match socket {
        Socket::Tcp(listener) => {
            let listener = match listener
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(listener))
            {
                Ok(listener) => listener,
                Err(error) => return error,
            };
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    serve(stream, answers, &bound);
                }
            }
        }
        Socket::Unix(listener) => {
            let listener = match listener
                .set_nonblocking(true)
                .and_then(|()| UnixListener::from_std(listener))
            {
                Ok(listener) => listener,
                Err(error) => return error,
            };
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    serve(stream, answers, &bound);
                }
            }
        }
    }
}

/// Serves one connection beside the others; above the bound it is closed.
fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answers: &Arc<Answers>,
    bound: &Arc<Bound>,
) {
    let Some(permit) = bound.try_take() else {
        return;
    };
    let answers = Arc::clone(answers);
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
        .service_fn(move |request: http::Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(answers.answer(&request)))
        });
    drop(tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // How a connection ends is the client's affair.
        drop(tokio::time::timeout(CONNECTION_DEADLINE, connection).await);
        drop(permit);
    }));
}
