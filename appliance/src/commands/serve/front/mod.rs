//! The listeners: opened, served, changed, drained.

mod end;
mod leave;
mod set;
mod standard;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use profile::Plan;
use profile::plan::{HttpPlan, StdioPlan, TransportPlan};
use protocol::Bound;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use transport::Endpoint;
use transport::accept::{BindError, Guards};

use super::sockets::Passed;
use super::stop::Signals;
use crate::exit;
use set::Set;
pub(super) use set::Staged;

/// Every way in. Dropping it closes the listeners and cuts their connections.
pub(crate) struct Front {
    endpoint: Arc<Endpoint>,
    guards: Guards,
    data_plane: Handle,
    stdio: Option<StdioPlan>,
    /// No call takes it: it is for those who change it, and for those who look at it.
    set: Mutex<Set>,
}

/// An HTTP listener, for those who are told of it.
pub(crate) struct Open {
    pub(crate) name: Arc<str>,
    pub(crate) path: String,
    pub(crate) address: SocketAddr,
}

impl Open {
    /// One line for an operator.
    pub(super) fn say(&self) {
        let url = format!("http://{}{}", self.address, self.path);
        tracing::info!(listener = %self.name, %url, "Listening.");
    }
}

impl Front {
    /// Opens every listener of the plan, on sockets that were passed if there are such; nobody is let in yet. To be called
    /// on the data plane.
    ///
    /// # Errors
    /// Every address that cannot be bound.
    pub(crate) fn open(
        plan: &Plan,
        endpoint: &Arc<Endpoint>,
        passed: &mut Passed,
    ) -> Result<Self, Vec<BindError>> {
        let generation = endpoint.switch.load();
        let kit = generation.stack().kit();
        let guards = Guards {
            connections: kit.connections.clone(),
            http: kit.http.clone(),
            memory: Arc::clone(kit.memory.gauge()),
            recent: Arc::clone(&kit.recent),
        };
        let stdio = plan.listeners.iter().find_map(|listener| match &listener.transport {
            TransportPlan::Stdio(plan) => Some(plan.clone()),
            TransportPlan::Http(_) => None,
        });
        let front = Self {
            endpoint: Arc::clone(endpoint),
            guards,
            data_plane: Handle::current(),
            stdio,
            set: Mutex::default(),
        };
        let staged = front.set().stage(&http(plan), passed, endpoint, &front.guards)?;
        front.set().follow(staged);
        Ok(front)
    }

    /// The HTTP listeners, in the order of the plan.
    pub(crate) fn http(&self) -> Vec<Open> {
        self.set().open()
    }

    /// Whether there is a client on stdio.
    pub(super) const fn has_stdio(&self) -> bool {
        self.stdio.is_some()
    }

    /// The bounds on connections, by the names of their listeners.
    pub(super) fn bounds(&self) -> Vec<(Arc<str>, Arc<Bound>)> {
        self.set().bounds()
    }

    /// Opens beside those that serve what the plan has and they have not. Nothing of them changes before
    /// [`Front::follow`]; until then the kernel keeps whoever comes to a new one waiting.
    ///
    /// # Errors
    /// Every address that cannot be bound.
    pub(super) fn stage(&self, plan: &Plan) -> Result<Staged, Vec<BindError>> {
        let _entered = self.data_plane.enter();
        self.set().stage(&http(plan), &mut Passed::default(), &self.endpoint, &self.guards)
    }

    /// Has the listeners be those that were staged: new ones let clients in, those that are gone end when their calls
    /// have. Without effect once the process ends.
    pub(super) fn follow(&self, staged: Staged) {
        let drain = self.endpoint.switch.load().plan().shutdown.drain;
        let mut set = self.set();
        if set.is_over() {
            return;
        }
        for new in staged.opened() {
            new.say();
        }
        for gone in set.follow(staged) {
            tracing::info!(listener = %gone.name, address = %gone.address(), "No longer listening; running calls may finish.");
            set.retire(gone, drain);
        }
        set.let_in(&self.data_plane);
    }

    /// Lets clients in, on tasks of their own.
    pub(crate) fn let_in(&self) {
        self.set().let_in(&self.data_plane);
    }

    /// Serves until a signal, until the one client on stdio leaves, or until another process has taken over. Returns the
    /// exit code.
    pub(super) async fn serve(
        &self,
        mut signals: Signals,
        mut handed_over: tokio::sync::watch::Receiver<bool>,
    ) -> u8 {
        self.let_in();
        let mut client = JoinSet::new();
        if let Some(stdio) = &self.stdio {
            client.spawn(serve_stdio(Arc::clone(&self.endpoint), stdio.clone()));
        }
        let has_left = async {
            // Nobody was there, or there are other ways in: no reason to end.
            if client.join_next().await.is_none() || !self.http().is_empty() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = signals.next() => {}
            () = has_left => return exit::OK,
            Ok(_) = handed_over.wait_for(|is_over| *is_over) => {
                return self.leave(client, signals).await;
            }
        }
        self.wind_down(client, signals).await
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The HTTP listeners of a plan.
fn http(plan: &Plan) -> Vec<(&Arc<str>, &HttpPlan)> {
    let http = plan.listeners.iter().filter_map(|listener| match &listener.transport {
        TransportPlan::Http(http) => Some((&listener.name, http)),
        TransportPlan::Stdio(_) => None,
    });
    http.collect()
}

async fn serve_stdio(endpoint: Arc<Endpoint>, plan: StdioPlan) {
    let (input, output, _modes) = standard::take();
    if let Err(error) = transport::stdio::serve(endpoint, &plan, input, output).await {
        tracing::debug!(%error, "The client on stdio is gone.");
    }
}
