//! The listeners: opened, served, drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use profile::Plan;
use profile::plan::{StdioPlan, TransportPlan};
use protocol::Bound;
use runtime::Phase;
use tokio::task::JoinSet;
use tokio::time::Instant;
use transport::Endpoint;
use transport::accept::{BindError, Drain, DrainHandle, Guards, Listener, Socket, drain};
use transport::http::HttpEndpoint;

use super::stop::Signals;
use crate::exit;

/// Every way in, open.
pub(crate) struct Front {
    http: Vec<Http>,
    stdio: Option<StdioPlan>,
}

/// Everybody who is being served. Dropping it closes the listeners and cuts their connections.
pub(crate) struct Inside {
    listeners: JoinSet<usize>,
    client: JoinSet<()>,
    handle: DrainHandle,
}

/// One HTTP listener.
pub(crate) struct Http {
    pub(crate) name: Arc<str>,
    pub(crate) path: String,
    pub(crate) address: SocketAddr,
    listener: Listener,
    endpoint: Arc<HttpEndpoint>,
}

/// What ended the serving.
enum End {
    /// A signal.
    Asked,
    /// The client on stdio is gone, and there is no other way in.
    Alone,
}

impl Front {
    /// Opens every listener of the plan; nobody is let in yet.
    pub(crate) fn open(plan: &Plan, endpoint: &Arc<Endpoint>) -> Result<Self, BindError> {
        let generation = endpoint.switch.load();
        let kit = generation.stack().kit();
        let guards = Guards {
            connections: kit.connections.clone(),
            http: kit.http.clone(),
            memory: Arc::clone(kit.memory.gauge()),
            recent: Arc::clone(&kit.recent),
        };
        let mut http = Vec::new();
        let mut stdio = None;
        for listener in &plan.listeners {
            let name = Arc::clone(&listener.name);
            match &listener.transport {
                TransportPlan::Stdio(plan) => stdio = Some(plan.clone()),
                TransportPlan::Http(plan) => {
                    let socket = Socket::open(&name, plan.bind)?;
                    let address = socket.local_addr();
                    let bound = Listener::new(Arc::clone(&name), plan, socket, guards.clone());
                    let endpoint = HttpEndpoint::new(Arc::clone(endpoint), Arc::clone(&name), plan);
                    http.push(Http {
                        name,
                        path: plan.path.clone(),
                        address,
                        listener: bound,
                        endpoint,
                    });
                }
            }
        }
        Ok(Self { http, stdio })
    }

    /// The HTTP listeners.
    pub(crate) fn http(&self) -> &[Http] {
        &self.http
    }

    /// Whether there is a client on stdio.
    pub(super) const fn has_stdio(&self) -> bool {
        self.stdio.is_some()
    }

    /// The bounds on connections, by the names of their listeners.
    pub(super) fn bounds(&self) -> Vec<(Arc<str>, Arc<Bound>)> {
        let named = |http: &Http| (Arc::clone(&http.name), Arc::clone(http.listener.connections()));
        self.http.iter().map(named).collect()
    }

    /// Lets clients in, on tasks of their own.
    pub(crate) fn let_in(self, endpoint: &Arc<Endpoint>) -> Inside {
        let (handle, draining) = drain();
        let mut listeners = JoinSet::new();
        for listener in self.http {
            listeners.spawn(serve_http(listener, draining.clone()));
        }
        let mut client = JoinSet::new();
        if let Some(stdio) = self.stdio {
            client.spawn(serve_stdio(Arc::clone(endpoint), stdio));
        }
        Inside { listeners, client, handle }
    }

    /// Serves until a signal, or until the one client on stdio leaves. Returns the exit code.
    pub(super) async fn serve(self, endpoint: &Arc<Endpoint>, mut signals: Signals) -> u8 {
        let is_alone = self.http.is_empty();
        let mut inside = self.let_in(endpoint);
        let has_left = async {
            // Nobody was there, or there are other ways in: no reason to end.
            if inside.client.join_next().await.is_none() || !is_alone {
                std::future::pending::<()>().await;
            }
        };
        let end = tokio::select! {
            () = signals.next() => End::Asked,
            () = has_left => End::Alone,
        };
        match end {
            End::Alone => exit::OK,
            End::Asked => wind_down(endpoint, inside, signals).await,
        }
    }
}

async fn serve_http(http: Http, draining: Drain) -> usize {
    let Http { listener, endpoint, .. } = http;
    let make_service = |peer| {
        let endpoint = Arc::clone(&endpoint);
        service_fn(move |request| Arc::clone(&endpoint).handle(peer, request))
    };
    listener.serve(make_service, draining).await
}

async fn serve_stdio(endpoint: Arc<Endpoint>, plan: StdioPlan) {
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    if let Err(error) = transport::stdio::serve(endpoint, &plan, input, output).await {
        tracing::debug!(%error, "The client on stdio is gone.");
    }
}

/// Serves on while load balancers notice that they should look elsewhere. A second signal skips what is left of it.
async fn give_notice(notice: Duration, endpoint: &Endpoint, signals: &mut Signals) {
    if notice.is_zero() {
        return;
    }
    endpoint.vitals.enter(Phase::Leaving);
    let notice_ms = notice.as_millis() as u64;
    tracing::info!(notice_ms, "Leaving: still serving, but no longer ready.");
    tokio::select! {
        () = tokio::time::sleep(notice) => {}
        () = signals.next() => {}
    }
}

/// Notice first, then drain, then let go. One more signal skips what is left.
async fn wind_down(endpoint: &Arc<Endpoint>, inside: Inside, mut signals: Signals) -> u8 {
    let Inside { mut listeners, mut client, handle } = inside;
    let shutdown = endpoint.switch.load().plan().shutdown.clone();
    give_notice(shutdown.notice, endpoint, &mut signals).await;
    endpoint.vitals.enter(Phase::Draining);
    tracing::info!(
        drain_ms = shutdown.drain.as_millis() as u64,
        "Stopping: no new calls, running ones may finish. One more signal stops at once."
    );
    endpoint.ending.send_replace(true);
    let deadline = Instant::now() + shutdown.drain;
    handle.begin(deadline);
    let mut cut = 0;
    let drained = async {
        if tokio::time::timeout_at(deadline, client.join_next()).await.is_err() {
            cut += 1;
        }
        while let Some(ended) = listeners.join_next().await {
            cut += ended.unwrap_or_default();
        }
    };
    tokio::select! {
        () = drained => {}
        () = signals.next() => {
            handle.abort();
            tracing::warn!("Stopped at once: calls in flight were cut.");
        }
    }
    endpoint.sessions.end_all();
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "Stopped; connections that did not finish in time were cut."
        );
    } else {
        tracing::info!("Stopped; every call was answered.");
    }
    exit::OK
}
