//! From the profile as written to the plan: addresses read, ranges checked, absent layers off.

mod hardware;
mod listeners;
mod plugins;
mod reload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use middleware::Mode;

use crate::check::place;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::plan::{
    HistoryPlan, LayersPlan, LogPlan, Plan, ProcessPlan, RequestStatePlan, SecretSource,
    ServerPlan, SessionPlan, ShutdownPlan, TasksPlan,
};
use crate::problem::Problem;
use crate::profile::{FORMAT, History, Layers, Profile, RequestState, Secret};

/// What a profile is resolved with.
pub(crate) struct Context<'a> {
    pub(crate) name: String,
    pub(crate) identity: Identity,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) library_search: Vec<PathBuf>,
    pub(crate) origins: &'a BTreeMap<String, Origin>,
}

/// Collects what is wrong.
pub(super) struct Findings<'a> {
    context: &'a Context<'a>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Findings<'_> {
    fn problem(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let problem = self.at(key.into(), message.into());
        self.problems.push(problem);
    }

    fn warning(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let warning = self.at(key.into(), message.into());
        self.warnings.push(warning);
    }

    fn at(&self, key: String, message: String) -> Problem {
        Problem { place: place(&key, self.context.origins), key, message }
    }

    /// A number within its range.
    fn number(&mut self, key: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> usize {
        if !range.contains(&value) {
            self.problem(
                key,
                format!("{value} is outside of {} to {}", range.start(), range.end()),
            );
        }
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    /// Milliseconds within their range.
    fn time(&mut self, key: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Duration {
        self.number(key, value, range);
        Duration::from_millis(value)
    }
}

/// One day in milliseconds: the longest that anything may wait.
const DAY_MS: u64 = 86_400_000;

/// The plan, what is wrong, and what is probably not meant. The plan is only good when nothing is wrong.
pub(crate) fn resolve(
    profile: Profile,
    context: &Context<'_>,
) -> (Plan, Vec<Problem>, Vec<Problem>) {
    let mut findings = Findings { context, problems: Vec::new(), warnings: Vec::new() };
    if profile.format != FORMAT {
        findings.problem(
            "format",
            format!("this version reads format {FORMAT}, not {}", profile.format),
        );
    }
    let layers = layers(profile.layer, &mut findings);
    let plan = Plan {
        name: context.name.as_str().into(),
        identity: context.identity,
        hardware: hardware::hardware(profile.hardware, &mut findings),
        server: server(profile.server, &mut findings),
        listeners: listeners::listeners(profile.listen, &layers, &mut findings),
        control: listeners::control(profile.control, &mut findings),
        session: session(&profile.session, &mut findings),
        tasks: tasks(&profile.tasks, &mut findings),
        plugins: plugins::plugins(profile.plugin, &layers.bulkhead, &mut findings),
        layers,
        reload: reload::reload(&profile.reload, &mut findings),
        history: history(profile.history, &mut findings),
        shutdown: ShutdownPlan {
            notice: findings.time("shutdown.notice_ms", profile.shutdown.notice_ms, 0..=DAY_MS),
            drain: findings.time("shutdown.drain_ms", profile.shutdown.drain_ms, 0..=DAY_MS),
        },
        process: ProcessPlan {
            worker_threads: profile
                .process
                .worker_threads
                .map(|threads| findings.number("process.worker_threads", threads, 1..=1_024)),
        },
        log: LogPlan { filter: profile.log.filter, format: profile.log.format },
        request_state: request_state(profile.request_state, &mut findings),
    };
    hardware::check(&plan, &mut findings);
    reload::check(&plan, &mut findings);
    if plan.plugins.is_empty() {
        let message = "there is none, so clients find nothing to call; add one to a profile of your own, for example \
                       [plugin.echo] with library = \"libecho.so\"";
        findings.warning("plugin", message);
    }
    (plan, findings.problems, findings.warnings)
}

fn server(server: crate::profile::Server, findings: &mut Findings<'_>) -> ServerPlan {
    if server.name.is_empty() {
        findings.problem("server.name", "a server needs a name");
    }
    ServerPlan {
        page_items_max: findings.number("server.page_items_max", server.page_items_max, 1..=10_000),
        list_ttl: findings.time("server.list_ttl_ms", server.list_ttl_ms, 0..=DAY_MS),
        name: server.name,
        title: server.title,
        instructions: server.instructions,
    }
}

fn session(session: &crate::profile::Session, findings: &mut Findings<'_>) -> SessionPlan {
    SessionPlan {
        sessions_max: findings.number("session.sessions_max", session.sessions_max, 1..=10_000_000),
        idle: findings.time("session.idle_ms", session.idle_ms, 1_000..=7 * DAY_MS),
        streams_max: findings.number("session.streams_max", session.streams_max, 1..=1_000_000),
        replay_events_max: findings.number(
            "session.replay_events_max",
            session.replay_events_max,
            1..=100_000,
        ),
        replay_bytes_max: session.replay_bytes_max.bytes(),
        replay: findings.time("session.replay_ms", session.replay_ms, 0..=DAY_MS),
        subscriptions_max: findings.number(
            "session.subscriptions_max",
            session.subscriptions_max,
            1..=100_000,
        ),
        answer_deadline: findings.time("session.answer_ms", session.answer_ms, 1..=DAY_MS),
    }
}

fn tasks(tasks: &crate::profile::Tasks, findings: &mut Findings<'_>) -> TasksPlan {
    let ttl = findings.time("tasks.ttl_ms", tasks.ttl_ms, 1_000..=7 * DAY_MS);
    let deadline = findings.time("tasks.deadline_ms", tasks.deadline_ms, 1..=7 * DAY_MS);
    if deadline > ttl {
        findings.problem(
            "tasks.deadline_ms",
            format!(
                "a task that works for {} ms would outlive its ttl_ms of {}; lower this or raise tasks.ttl_ms",
                tasks.deadline_ms, tasks.ttl_ms
            ),
        );
    }
    TasksPlan {
        count_max: findings.number("tasks.count_max", tasks.count_max, 1..=1_000_000),
        bytes_max: tasks.bytes_max.bytes(),
        ttl,
        deadline,
        poll: findings.time("tasks.poll_ms", tasks.poll_ms, 1..=DAY_MS),
    }
}

/// An absent layer is off; its other settings then mean nothing.
fn layers(layers: Layers, findings: &mut Findings<'_>) -> LayersPlan {
    let plan = LayersPlan {
        connections: layers.connections.unwrap_or_else(|| middleware::connections::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        http: layers
            .http
            .unwrap_or_else(|| middleware::http::Config { mode: Mode::Off, ..Default::default() }),
        origin: layers.origin.unwrap_or_else(|| middleware::origin::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        pre_auth_limit: layers.pre_auth_limit.unwrap_or_else(|| {
            middleware::pre_auth_limit::Config { mode: Mode::Off, ..Default::default() }
        }),
        payload: layers.payload.unwrap_or_else(|| middleware::payload::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        memory: layers.memory.unwrap_or_else(|| middleware::memory::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        rate_limit: layers.rate_limit.unwrap_or_else(|| middleware::rate_limit::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        fairness: layers.fairness.unwrap_or_else(|| middleware::fairness::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        concurrency: layers.concurrency.unwrap_or_else(|| middleware::concurrency::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        circuit_breaker: layers.circuit_breaker.unwrap_or_else(|| {
            middleware::circuit_breaker::Config { mode: Mode::Off, ..Default::default() }
        }),
        timeout: layers.timeout.unwrap_or_else(|| middleware::timeout::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
        bulkhead: layers.bulkhead.unwrap_or_else(|| middleware::bulkhead::Config {
            mode: Mode::Off,
            ..Default::default()
        }),
    };
    let found = [
        ("connections", plan.connections.problems()),
        ("http", plan.http.problems()),
        ("origin", plan.origin.problems()),
        ("pre_auth_limit", plan.pre_auth_limit.problems()),
        ("payload", plan.payload.problems()),
        ("memory", plan.memory.problems()),
        ("rate_limit", plan.rate_limit.problems()),
        ("fairness", plan.fairness.problems()),
        ("concurrency", plan.concurrency.problems()),
        ("circuit_breaker", plan.circuit_breaker.problems()),
        ("timeout", plan.timeout.problems()),
        ("bulkhead", plan.bulkhead.problems()),
    ];
    for (layer, problems) in found {
        for (key, message) in problems {
            findings.problem(format!("layer.{layer}.{key}"), message);
        }
    }
    ledger_holds_a_request(&plan, findings);
    plan
}

/// Warns of a ledger that has no room for the largest request that `payload` lets in.
fn ledger_holds_a_request(plan: &LayersPlan, findings: &mut Findings<'_>) {
    let Some(ledger) = plan.memory.ledger_bytes_max.filter(|_| plan.memory.mode != Mode::Off)
    else {
        return;
    };
    // An eighth of it is for small bodies.
    let (room, request) = (ledger.0 - ledger.0 / 8, plan.payload.request_bytes_max);
    if room < request.0 && plan.payload.mode == Mode::Enforce {
        let message = format!(
            "a request of {request}, which layer.payload.request_bytes_max lets in, never fits into seven eighths of \
             {ledger}; raise this or lower that"
        );
        findings.warning("layer.memory.ledger_bytes_max", message);
    }
}

/// The folder is where everything of a profile begins, so that a start without a good profile finds it, too.
fn history(history: History, findings: &mut Findings<'_>) -> HistoryPlan {
    let folder = findings.context.folder.clone().unwrap_or_default();
    if history.folder.as_deref() == Some("") {
        findings.problem("history.folder", "name a folder, or leave the key out");
    }
    HistoryPlan {
        folder: history.folder.map(|path| folder.join(path)),
        generations_max: findings.number(
            "history.generations_max",
            history.generations_max,
            2..=100,
        ),
    }
}

fn request_state(state: RequestState, findings: &mut Findings<'_>) -> RequestStatePlan {
    let key = state.key.and_then(|secret| {
        let Secret { env, file } = secret;
        match (env, file) {
            (Some(name), None) => Some(SecretSource::Env(name)),
            (None, Some(path)) => {
                let folder = findings.context.folder.clone().unwrap_or_default();
                Some(SecretSource::File(folder.join(path)))
            }
            (None, None) | (Some(_), Some(_)) => {
                findings.problem(
                    "request_state.key",
                    "write either { env = \"NAME\" } or { file = \"path\" }",
                );
                None
            }
        }
    });
    RequestStatePlan {
        key,
        ttl: findings.time("request_state.ttl_ms", state.ttl_ms, 1_000..=DAY_MS),
    }
}

/// Names of listeners and plugins: they stand in logs, metrics and environment variables.
fn check_name(table: &str, name: &str, findings: &mut Findings<'_>) {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts || name.len() > 32 || !name.bytes().all(fits) {
        let message = "a name has 1 to 32 of a-z, 0-9, _ and -, and begins with a letter";
        findings.problem(format!("{table}.{name}"), message);
    }
}
