//! Self-tests of the running appliance: one at a time, each on a thread of its own, with one lane at a time.
//!
//! The thread has a runtime, a registry of metrics and states of its own for each lane, so that neither the threads
//! that serve nor what they count notice it. A test ends when its client says so, is silent for [`LEASE`], or after
//! [`LONGEST`]; then its connections, streams and sessions are gone. The image of the probe stays, as that of every
//! plugin does.

mod bounds;
mod lane;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use control::{Ask, SelfTests, Telling, Told};
use http::StatusCode;
use plugin_host::Plugin;
use profile::Plan;
use profile::plan::{ListenerPlan, PluginPlan, TransportPlan};
use runtime::{SecretId, Switch};
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use stack::StartError;
use telemetry::LaneRegistry;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use lane::Lane;

/// Longest that a test may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest silence of a client; after it, it counts as gone.
const LEASE: Duration = Duration::from_secs(5);
/// Most connections of a lane, a few MiB of idle ones.
const CONNECTIONS_MAX: usize = 1_024;
/// Fewer are not worth a test.
const CONNECTIONS_MIN: usize = 16;

/// Whoever runs self-tests of this process.
pub(super) struct Tests {
    switch: Arc<Switch>,
    library_search: Vec<PathBuf>,
    running: Mutex<Option<Running>>,
    /// Started for the first test and kept: an image stays loaded for good, so there must not be one for each test.
    probe: Mutex<Option<Arc<Plugin>>>,
}

/// The test that runs.
struct Running {
    test: String,
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread of a test is to do, and whom to answer.
struct Order {
    what: What,
    reply: oneshot::Sender<Told>,
}

enum What {
    Open(Vec<(String, String)>),
    Press(u8),
    Look,
    End,
}

/// What follows a lane.
enum Next {
    Open(Vec<(String, String)>, oneshot::Sender<Told>),
    Over(Option<oneshot::Sender<Told>>),
}

impl Tests {
    /// Whoever runs the tests of the plan that `switch` leads to; `None` when it wants none.
    pub(super) fn of(plan: &Plan, switch: &Arc<Switch>) -> Option<Arc<Self>> {
        let wants = plan.control.as_ref().is_some_and(|control| control.selftest);
        wants.then(|| {
            Arc::new(Self {
                switch: Arc::clone(switch),
                library_search: crate::cli::library_search(),
                running: Mutex::default(),
                probe: Mutex::default(),
            })
        })
    }

    /// Ends the test that runs, and the probe. To be called when the process ends.
    pub(super) fn stop(&self) {
        // Without its sender the thread has nothing to wait for.
        let thread = self.running().take().and_then(|running| running.thread);
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("The thread of a self-test ended with a panic.");
        }
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner).take();
        stack::stop_plugins(probe.as_slice(), stack::PLUGIN_GRACE);
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The probe, started when there is none yet.
    fn probe(&self) -> Result<Arc<Plugin>, String> {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = &*probe {
            return Ok(Arc::clone(probe));
        }
        let mut plan = (**self.switch.load().plan()).clone();
        plan.plugins = vec![wishes::probe(folders(&plan, &self.library_search))];
        // Nobody listens to what it says of itself.
        let (notices, _) = tokio::sync::mpsc::channel(1);
        let started = stack::start_plugins(&plan, &notices, &stack::Known::default())
            .map_err(|errors| errors.iter().map(missing).collect::<Vec<_>>().join(" "))?;
        let started = started.plugins.into_iter().next().ok_or("the probe did not start")?;
        Ok(Arc::clone(probe.insert(started)))
    }

    fn begin(self: &Arc<Self>) -> Telling {
        let mut running = self.running();
        if running.is_some() {
            let sentence = "A self-test is running; try again when it has ended, a minute from now at the latest.";
            return told(Told::refused(StatusCode::CONFLICT, sentence));
        }
        let connections_max = connections_max(self.switch.load().plan());
        if connections_max < CONNECTIONS_MIN {
            let sentence = "There are too few file descriptors left for a self-test; raise the limit, or try again with fewer clients.";
            return told(Told::refused(StatusCode::SERVICE_UNAVAILABLE, sentence));
        }
        let test = SecretId::random().as_str().to_owned();
        let (orders, received) = unbounded_channel();
        let (reply, begun) = oneshot::channel();
        let (tests, id) = (Arc::clone(self), test.clone());
        let thread = std::thread::Builder::new()
            .name("selftest".to_owned())
            .spawn(move || tests.run(&id, connections_max, received, reply));
        match thread {
            Ok(thread) => *running = Some(Running { test, orders, thread: Some(thread) }),
            Err(error) => {
                let sentence = format!("There is no thread for a self-test: {error}");
                return told(Told::refused(StatusCode::SERVICE_UNAVAILABLE, sentence));
            }
        }
        answer(begun)
    }

    /// Hands an order to the test, if it is the one that runs.
    fn order(&self, test: &str, what: What) -> Telling {
        let running = self.running();
        let Some(running) = running.as_ref().filter(|running| running.test == test) else {
            return told(gone());
        };
        let (reply, answered) = oneshot::channel();
        // A thread that has just ended answers nobody, which `answer` tells.
        running.orders.send(Order { what, reply }).ok();
        answer(answered)
    }

    /// The whole life of a test's thread.
    fn run(
        &self,
        test: &str,
        connections_max: usize,
        mut orders: UnboundedReceiver<Order>,
        begun: oneshot::Sender<Told>,
    ) {
        tracing::info!("A self-test has begun.");
        let probe = self.probe();
        let generation = self.switch.load();
        let plan = Arc::clone(generation.plan());
        let body = json!({
            "test": test,
            "ends_in_ms": LONGEST.as_millis() as u64,
            "lease_ms": LEASE.as_millis() as u64,
            "profile": &*plan.name,
            "generation": generation.number(),
            "connections_max": connections_max,
            "plugins": plan.plugins.iter().map(|plugin| &*plugin.name).collect::<Vec<_>>(),
            "tools": bounded_tools(&plan),
            "stdio": on_stdio(&plan),
            "probe_missing": probe.as_ref().err(),
        });
        drop(generation);
        begun.send(Told { status: StatusCode::CREATED, body }).ok();
        let deadline = Instant::now() + LONGEST;
        let probe = probe.ok();
        let mut next = Next::Open(Vec::new(), oneshot::channel().0);
        while let Next::Open(wishes, reply) = next {
            let open = || Lane::open(&plan, &wishes, connections_max, probe.clone());
            next = serve_lane(open, reply, &mut orders, deadline);
        }
        let running = self.running().take_if(|running| running.test == test);
        drop(running);
        tracing::info!("The self-test has ended.");
        if let Next::Over(Some(reply)) = next {
            reply.send(Told { status: StatusCode::OK, body: json!({ "ended": true }) }).ok();
        }
    }
}

impl SelfTests for Tests {
    fn ask(self: Arc<Self>, ask: Ask) -> Telling {
        match ask {
            Ask::Begin => self.begin(),
            Ask::Open { test, wishes } => self.order(&test, What::Open(wishes)),
            Ask::Press { test, percent } => self.order(&test, What::Press(percent)),
            Ask::Look { test } => self.order(&test, What::Look),
            Ask::End { test } => self.order(&test, What::End),
        }
    }
}

/// Opens a lane and serves it until another one is wanted or the test is over. Everything of it is gone then.
fn serve_lane(
    open: impl FnOnce() -> Result<Lane, String>,
    reply: oneshot::Sender<Told>,
    orders: &mut UnboundedReceiver<Order>,
    deadline: Instant,
) -> Next {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let sentence = format!("There is no runtime for a lane: {error}");
            reply.send(Told::refused(StatusCode::SERVICE_UNAVAILABLE, sentence)).ok();
            return Next::Over(None);
        }
    };
    let registry = LaneRegistry::new();
    registry.within(|| {
        runtime.block_on(async {
            let lane = match open() {
                Ok(lane) => {
                    reply.send(Told { status: StatusCode::OK, body: lane.opened().clone() }).ok();
                    Some(lane)
                }
                Err(sentence) => {
                    reply.send(Told::refused(StatusCode::BAD_REQUEST, sentence)).ok();
                    None
                }
            };
            serve_orders(lane.as_ref(), &registry, orders, deadline).await
        })
    })
}

async fn serve_orders(
    lane: Option<&Lane>,
    registry: &LaneRegistry,
    orders: &mut UnboundedReceiver<Order>,
    deadline: Instant,
) -> Next {
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = sleep(LEASE) => None,
            () = sleep_until(deadline) => None,
        };
        let Some(Order { what, reply }) = order else { return Next::Over(None) };
        let body = match what {
            What::Open(wishes) => return Next::Open(wishes, reply),
            What::End => return Next::Over(Some(reply)),
            What::Press(percent) => json!({ "level": lane.map(|lane| lane.press(percent)) }),
            What::Look => {
                let counted = registry.render();
                let text = lane.map(|lane| lane.metrics(counted));
                json!({ "metrics": text })
            }
        };
        reply.send(Told { status: StatusCode::OK, body }).ok();
    }
}

/// Tools that have bounds of their own: their plugins' names, and theirs.
fn bounded_tools(plan: &Plan) -> Vec<[&str; 2]> {
    let named = plan.plugins.iter().map(|PluginPlan { name, tools, .. }| (name, tools));
    named.flat_map(|(name, tools)| tools.keys().map(move |tool| [&**name, &**tool])).collect()
}

/// Names of the listeners on standard input, which no lane has.
fn on_stdio(plan: &Plan) -> Vec<&str> {
    let is_ours = |of: &&ListenerPlan| matches!(of.transport, TransportPlan::Stdio(_));
    plan.listeners.iter().filter(is_ours).map(|listener| &*listener.name).collect()
}

/// Where the probe is looked for: where the plugins are, most of them in the same folders, then in these.
fn folders(plan: &Plan, others: &[PathBuf]) -> Vec<PathBuf> {
    let mut known = HashSet::new();
    let all = plan.plugins.iter().flat_map(|plugin| &plugin.search).chain(others);
    all.filter(|folder| known.insert(*folder)).cloned().collect()
}

/// Why there is no probe, and how to come by one. No profile names it, so no profile can say where it is.
fn missing(error: &StartError) -> String {
    match error {
        StartError::NotFound { library, searched, .. } => {
            let folders: Vec<_> = searched.iter().map(|of| of.display().to_string()).collect();
            format!(
                "`{}`, which comes with the program, is in none of {}; copy it there, and test again",
                library.display(),
                folders.join(", ")
            )
        }
        other => other.to_string(),
    }
}

fn told(told: Told) -> Telling {
    Box::pin(std::future::ready(told))
}

fn answer(reply: oneshot::Receiver<Told>) -> Telling {
    Box::pin(async { reply.await.unwrap_or_else(|_| gone()) })
}

fn gone() -> Told {
    Told::refused(StatusCode::NOT_FOUND, "This self-test has ended.")
}

/// How many connections a lane may have: half of the descriptors that are neither open nor kept back.
fn connections_max(plan: &Plan) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let free = limit.saturating_sub(open + plan.layers.connections.descriptors_reserve);
    usize::try_from(free / 2).unwrap_or(usize::MAX).min(CONNECTIONS_MAX)
}
