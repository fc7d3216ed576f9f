//! The HTTP listeners that there are, and how they become those of another plan.
//!
//! A listener is the same while its name and its address are: then it stays open and follows its settings. A socket is
//! the same while its address is, whoever listens there: it goes from one listener to the next without being closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use profile::plan::HttpPlan;
use protocol::Bound;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use transport::Endpoint;
use transport::accept::{BindError, Drain, DrainHandle, Guards, Listener, Socket, State, drain};
use transport::http::HttpEndpoint;

use super::super::sockets::Passed;
use super::Open;

/// The listeners of the process.
#[derive(Default)]
pub(super) struct Set {
    /// Those of the plan that serves, in its order.
    present: Vec<Http>,
    /// Those that it no longer has, until their last call has ended.
    leaving: Vec<Leaving>,
    serving: JoinSet<usize>,
    is_over: bool,
}

/// One HTTP listener.
pub(super) struct Http {
    pub(super) name: Arc<str>,
    plan: HttpPlan,
    socket: Socket,
    state: State,
    endpoint: Arc<HttpEndpoint>,
    drain: DrainHandle,
    /// What has not begun yet.
    waiting: Option<(Listener, Drain)>,
    serving: Option<AbortHandle>,
}

/// What is left of a listener that ends.
struct Leaving {
    serving: AbortHandle,
    drain: DrainHandle,
}

/// What a plan makes of a set of listeners. Dropped, it closes what it has opened.
pub(in super::super) struct Staged(Vec<Next>);

enum Next {
    /// Stays, with these settings.
    Kept(Arc<str>, Box<HttpPlan>),
    New(Box<Http>),
}

impl Staged {
    /// The listeners that were not there before.
    pub(super) fn opened(&self) -> impl Iterator<Item = Open> {
        self.0.iter().filter_map(|next| match next {
            Next::New(http) => Some(http.open()),
            Next::Kept(..) => None,
        })
    }
}

impl Http {
    fn new(
        name: &Arc<str>,
        plan: &HttpPlan,
        socket: Socket,
        state: State,
        endpoint: &Arc<Endpoint>,
        guards: &Guards,
    ) -> Self {
        let listener =
            Listener::new(Arc::clone(name), socket.clone(), state.clone(), guards.clone());
        let (handle, draining) = drain();
        Self {
            name: Arc::clone(name),
            plan: plan.clone(),
            socket,
            state,
            endpoint: HttpEndpoint::new(Arc::clone(endpoint), Arc::clone(name)),
            drain: handle,
            waiting: Some((listener, draining)),
            serving: None,
        }
    }

    /// Whether it is the listener of a plan. A free port that was taken for 0 is as good as one that was asked for.
    fn is(&self, name: &str, plan: &HttpPlan) -> bool {
        *self.name == *name && [self.plan.bind, self.address()].contains(&plan.bind)
    }

    /// Where clients reach it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    fn open(&self) -> Open {
        let (name, path) = (Arc::clone(&self.name), self.plan.path.clone());
        Open { name, path, address: self.address() }
    }

    fn follow(&mut self, plan: HttpPlan) {
        self.state.follow(&plan);
        self.plan = plan;
    }
}

impl Set {
    pub(super) fn open(&self) -> Vec<Open> {
        self.present.iter().map(Http::open).collect()
    }

    pub(super) fn bounds(&self) -> Vec<(Arc<str>, Arc<Bound>)> {
        let named = |http: &Http| (Arc::clone(&http.name), Arc::clone(http.state.connections()));
        self.present.iter().map(named).collect()
    }

    /// Whether the process ends.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Opens what `wanted` has and this set has not, on sockets that were passed if there are such.
    ///
    /// # Errors
    /// Every address that cannot be bound.
    pub(super) fn stage(
        &self,
        wanted: &[(&Arc<str>, &HttpPlan)],
        passed: &mut Passed,
        endpoint: &Arc<Endpoint>,
        guards: &Guards,
    ) -> Result<Staged, Vec<BindError>> {
        let is_kept = |http: &&Http| wanted.iter().any(|(name, plan)| http.is(name, plan));
        let free = self.present.iter().filter(|http| !is_kept(http));
        let mut free: Vec<_> = free.map(|http| http.socket.clone()).collect();
        let mut take = |&(name, plan): &(&Arc<str>, &HttpPlan)| {
            let is_there = self.present.iter().any(|http| http.is(name, plan));
            let at = free.iter().position(|socket| socket.local_addr() == plan.bind);
            at.filter(|_| !is_there).map(|at| free.swap_remove(at))
        };
        // All of them before any is opened: what is left is about to be closed.
        let taken: Vec<_> = wanted.iter().map(&mut take).collect();
        let (mut staged, mut failed) = (Vec::new(), Vec::new());
        for (&(name, plan), taken) in wanted.iter().zip(taken) {
            if self.present.iter().any(|http| http.is(name, plan)) {
                staged.push(Next::Kept(Arc::clone(name), Box::new(plan.clone())));
                continue;
            }
            match taken.map_or_else(|| passed.open(name, plan.bind, &free), Ok) {
                Ok(socket) => {
                    // Of a listener that moves, those who are inside still count.
                    let known = self.present.iter().find(|http| http.name == *name);
                    let state = known.map_or_else(
                        || State::new(plan, &guards.memory),
                        |http| http.state.clone(),
                    );
                    let http = Http::new(name, plan, socket, state, endpoint, guards);
                    staged.push(Next::New(Box::new(http)));
                }
                Err(error) => failed.push(error),
            }
        }
        if failed.is_empty() { Ok(Staged(staged)) } else { Err(failed) }
    }

    /// Becomes what was staged; returns those that are no longer in it.
    pub(super) fn follow(&mut self, staged: Staged) -> Vec<Http> {
        let mut before = std::mem::take(&mut self.present);
        for next in staged.0 {
            match next {
                Next::New(mut http) => {
                    let plan = http.plan.clone();
                    http.follow(plan);
                    self.present.push(*http);
                }
                Next::Kept(name, plan) => {
                    let Some(at) = before.iter().position(|http| http.is(&name, &plan)) else {
                        continue;
                    };
                    let mut http = before.remove(at);
                    http.follow(*plan);
                    self.present.push(http);
                }
            }
        }
        before
    }

    /// Lets clients in at every listener that has not begun yet.
    pub(super) fn let_in(&mut self, data_plane: &Handle) {
        for http in &mut self.present {
            if let Some((listener, draining)) = http.waiting.take() {
                let serving = serve(Arc::clone(&http.endpoint), listener, draining);
                http.serving = Some(self.serving.spawn_on(serving, data_plane));
            }
        }
    }

    /// Has a listener end: nobody new, and its calls have so long.
    pub(super) fn retire(&mut self, gone: Http, drain: Duration) {
        while self.serving.try_join_next().is_some() {}
        self.leaving.retain(|leaving| !leaving.serving.is_finished());
        let Http { socket, endpoint, drain: handle, serving, .. } = gone;
        // Its task must find itself the last one that has it.
        drop(socket);
        endpoint.end();
        handle.begin_alone(Instant::now() + drain);
        if let Some(serving) = serving {
            self.leaving.push(Leaving { serving, drain: handle });
        }
    }

    /// The sockets, each with what `named` makes of its listener's name and of where its plan wants it.
    pub(super) fn sockets<N>(
        &self,
        named: impl Fn(&Arc<str>, SocketAddr) -> N,
    ) -> Vec<(N, Socket)> {
        let socket = |http: &Http| (named(&http.name, http.plan.bind), http.socket.clone());
        self.present.iter().map(socket).collect()
    }

    /// Lets nobody in while `is_held`.
    pub(super) fn hold(&self, is_held: bool) {
        self.present.iter().for_each(|http| http.drain.hold(is_held));
    }

    /// Has everybody leave where they expect it, and takes no other listeners any more. Returns those who serve.
    pub(super) fn leave(&mut self) -> JoinSet<usize> {
        self.is_over = true;
        self.handles().for_each(DrainHandle::leave);
        std::mem::take(&mut self.serving)
    }

    /// Takes those back who have not left.
    pub(super) fn go_on(&mut self, serving: JoinSet<usize>) {
        self.serving = serving;
    }

    /// Has all of them end, and takes no others any more. Returns those who serve; each ends with the number of
    /// connections that were cut.
    pub(super) fn end(&mut self, deadline: Instant) -> JoinSet<usize> {
        self.is_over = true;
        self.present.iter().for_each(|http| http.endpoint.end());
        self.handles().for_each(|handle| handle.begin(deadline));
        std::mem::take(&mut self.serving)
    }

    /// Cuts whoever is left.
    pub(super) fn abort(&self) {
        self.handles().for_each(DrainHandle::abort);
    }

    fn handles(&self) -> impl Iterator<Item = &DrainHandle> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.drain);
        self.present.iter().map(|http| &http.drain).chain(leaving)
    }
}

async fn serve(endpoint: Arc<HttpEndpoint>, listener: Listener, draining: Drain) -> usize {
    let make_service = |peer| {
        let endpoint = Arc::clone(&endpoint);
        service_fn(move |request| Arc::clone(&endpoint).handle(peer, request))
    };
    listener.serve(make_service, draining).await
}
