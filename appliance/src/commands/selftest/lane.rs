//! The lane as a test sees it: opened, pressed, looked at, and ended through the control listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use middleware::{
    Mode, bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory, origin,
    payload, pre_auth_limit, rate_limit, timeout,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::Way;
use crate::commands::control::Control;

/// How long an answer may take: the first one loads a plugin.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the house is told that its client is still there: a fifth of what it waits.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// A test that has begun. It ends when it is dropped.
pub(super) struct Test {
    control: Arc<Control>,
    path: String,
    pub(super) begun: Begun,
    deadline: Instant,
    alive: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What the house says of a test that it has begun.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Begun {
    test: String,
    ends_in_ms: u64,
    pub(super) profile: String,
    pub(super) generation: u64,
    /// Most connections of a lane.
    pub(super) connections_max: usize,
    /// Names of the live plugins.
    pub(super) plugins: Vec<String>,
    /// Their tools that have bounds of their own: the plugin's name, and the tool's.
    pub(super) tools: Vec<[String; 2]>,
    /// Names of the live listeners on standard input.
    pub(super) stdio: Vec<String>,
    /// Why there is no plugin that could stand in for them.
    pub(super) probe_missing: Option<String>,
}

/// An open lane.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Lane {
    pub(super) listeners: Vec<Way>,
    /// What is not as in the live plan.
    changed: Vec<Changed>,
    pub(super) plan: LanePlan,
    /// Of every layer of the appliance, also of those that this version knows no attack on.
    #[serde(skip)]
    modes: BTreeMap<String, Mode>,
}

/// A key that the lane has another value of.
#[derive(Clone, Debug, Deserialize)]
struct Changed {
    key: String,
    live: Value,
    lane: Value,
}

/// What is read of the lane's plan.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LanePlan {
    pub(super) layers: Layers,
    listeners: Vec<ListenerPlan>,
    pub(super) session: SessionPlan,
    pub(super) tasks: TasksPlan,
    pub(super) request_state: RequestStatePlan,
    pub(super) server: ServerPlan,
    plugins: Vec<PluginPlan>,
}

/// Every layer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Layers {
    pub(super) connections: connections::Config,
    pub(super) http: http::Config,
    pub(super) origin: origin::Config,
    pub(super) pre_auth_limit: pre_auth_limit::Config,
    pub(super) payload: payload::Config,
    pub(super) memory: memory::Config,
    pub(super) rate_limit: rate_limit::Config,
    pub(super) fairness: fairness::Config,
    pub(super) concurrency: concurrency::Config,
    pub(super) circuit_breaker: circuit_breaker::Config,
    pub(super) timeout: timeout::Config,
    pub(super) bulkhead: bulkhead::Config,
}

#[derive(Clone, Debug, Deserialize)]
struct ListenerPlan {
    name: String,
    transport: TransportPlan,
}

#[derive(Clone, Debug, Deserialize)]
struct TransportPlan {
    http: HttpPlan,
}

/// Bounds of a listener.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct HttpPlan {
    pub(super) connections_max: usize,
    pub(super) first_byte_deadline: Duration,
    pub(super) head_deadline: Duration,
    pub(super) body_deadline: Duration,
    pub(super) body_bytes_per_sec_min: usize,
    pub(super) body_window: Duration,
    pub(super) idle_deadline: Duration,
    pub(super) write_deadline: Duration,
    pub(super) heartbeat: Duration,
    /// As text.
    pub(super) trusted_proxies: Vec<Value>,
}

/// Bounds of sessions.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SessionPlan {
    pub(super) sessions_max: usize,
    pub(super) streams_max: usize,
    pub(super) subscriptions_max: usize,
    pub(super) idle: Duration,
    pub(super) replay_events_max: usize,
    pub(super) replay_bytes_max: usize,
    pub(super) replay: Duration,
    pub(super) answer_deadline: Duration,
}

/// Bounds of tasks.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TasksPlan {
    pub(super) count_max: usize,
    pub(super) bytes_max: usize,
    pub(super) ttl: Duration,
    pub(super) deadline: Duration,
    pub(super) poll: Duration,
}

/// How long a state between two rounds is good.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RequestStatePlan {
    pub(super) ttl: Duration,
}

/// What is read of the answers' shape.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ServerPlan {
    pub(super) page_items_max: usize,
}

#[derive(Clone, Debug, Deserialize)]
struct PluginPlan {
    limits: PlacesPlan,
}

/// Places of the plugin, and of each of its tools.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PlacesPlan {
    pub(super) concurrent_calls: usize,
    pub(super) queue_calls: usize,
    pub(super) each_tool: ToolPlacesPlan,
}

/// Places of a tool.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ToolPlacesPlan {
    pub(super) concurrent_calls: usize,
    pub(super) queue_calls: usize,
}

impl Test {
    /// Begins a test.
    ///
    /// # Errors
    /// What the house says instead.
    pub(super) fn begin(control: Control) -> Result<Self, String> {
        let (status, body) = control.ask("POST", "/admin/selftest", PATIENCE)?;
        if status != 201 {
            return Err(control.why_not(status, &body));
        }
        let begun: Begun = read(body)?;
        let path = format!("/admin/selftest/{}", begun.test);
        let control = Arc::new(control);
        let (stop, stopped) = channel();
        let (shown, shown_path) = (Arc::clone(&control), path.clone());
        let alive = std::thread::Builder::new()
            .name("alive".to_owned())
            .spawn(move || show_life(&shown, &shown_path, &stopped))
            .map_err(|error| format!("no thread for the test: {error}"))?;
        let deadline = Instant::now() + Duration::from_millis(begun.ends_in_ms);
        Ok(Self { control, path, begun, deadline, alive: Some((stop, alive)) })
    }

    /// Time that is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Opens a fresh lane in place of the last one.
    ///
    /// # Errors
    /// That the test is over, or what is wrong with a wish.
    pub(super) fn open(&self, wishes: &[(&str, &str)]) -> Result<Lane, String> {
        let query: Vec<_> = wishes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let body = self.ask("PUT", &format!("/lane?{}", query.join("&")))?;
        let modes = body["plan"]["layers"].as_object().into_iter().flatten();
        let modes = modes.filter_map(|(layer, config)| {
            Some((layer.clone(), Mode::deserialize(&config["mode"]).ok()?))
        });
        let modes = modes.collect();
        Ok(Lane { modes, ..read(body)? })
    }

    /// Lets the lane believe that so many percent of the memory are used; the level that it is at.
    ///
    /// # Errors
    /// That the test is over.
    pub(super) fn press(&self, percent: u8) -> Result<String, String> {
        let body = self.ask("PUT", &format!("/memory?percent={percent}"))?;
        Ok(body["level"].as_str().unwrap_or_default().to_owned())
    }

    /// The sum of the lane's series whose lines begin so.
    ///
    /// # Errors
    /// That the test is over.
    pub(super) fn count(&self, series: &str) -> Result<u64, String> {
        let body = self.ask("GET", "")?;
        let metrics = body["metrics"].as_str().unwrap_or_default();
        let values = metrics.lines().filter(|line| line.starts_with(series));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value, String> {
        let (status, body) = self.control.ask(method, &format!("{}{path}", self.path), PATIENCE)?;
        if status == 200 {
            return Ok(body);
        }
        let said = body["error"].as_str().unwrap_or("no reason");
        Err(format!("the appliance says {status}: {said}"))
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if let Some((stop, alive)) = self.alive.take() {
            drop(stop);
            alive.join().ok();
        }
        // It would end by itself a little later.
        self.ask("DELETE", "").ok();
    }
}

/// Shows the house that somebody is there, until the sender is gone.
fn show_life(control: &Control, path: &str, stopped: &Receiver<()>) {
    while stopped.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
        control.ask("GET", path, PATIENCE).ok();
    }
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| {
        format!("the appliance speaks of its lane in other words than this version knows: {error}")
    })
}

impl Lane {
    /// The way in that checks of layers take.
    pub(super) fn way(&self) -> Option<&Way> {
        self.listeners.first()
    }

    /// What a layer does.
    pub(super) fn mode(&self, layer: &str) -> Mode {
        self.modes.get(layer).copied().unwrap_or(Mode::Off)
    }

    /// Bounds of a listener.
    pub(super) fn http(&self, name: &str) -> Option<&HttpPlan> {
        let found = self.plan.listeners.iter().find(|listener| listener.name == name);
        found.map(|listener| &listener.transport.http)
    }

    /// Places of the probe.
    pub(super) fn places(&self) -> Option<&PlacesPlan> {
        self.plan.plugins.first().map(|plugin| &plugin.limits)
    }

    /// In which way a key differs from the live plan; `None`: in no way.
    pub(super) fn difference(&self, key: &str) -> Option<String> {
        let changed = self.changed.iter().find(|changed| changed.key == key)?;
        let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{} in the lane instead of {}", said(&changed.lane), said(&changed.live)))
    }
}
