//! One attempt: read, compare, build beside, swap, drain.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::history::Record;
use jiff::Timestamp;
use middleware::Mode;
use plugin_host::{NoticeSink, Plugin};
use profile::{Class, Loaded, Plan, Written};
use runtime::{Attempt, NoTurn, Phase, Source, Trigger, Verdict};
use stack::{Kit, Known, PLUGIN_GRACE};
use telemetry::Log;
use tokio::runtime::Handle;
use transport::Endpoint;

use super::super::effective::Effective;
use super::super::front::Front;
use super::super::history::{Cause, History, record};
use super::super::memory::Sampler;
use super::super::{compared_with_host, descriptors, report};
use super::beside::Beside;
use super::named::{Named, Stamps};
use super::probation::Probation;
use super::queue::{Given, Wish};
use super::retire::announce;
use super::{rehearsal, stage, tools};
use crate::cli::ProfileOptions;
use crate::commands;

/// How often a profile is read that changes while it is read.
const READS_MAX: usize = 5;

/// What an attempt changes.
pub(in super::super) struct House {
    pub(in super::super) options: ProfileOptions,
    pub(in super::super) endpoint: Arc<Endpoint>,
    pub(in super::super) front: Arc<Front>,
    pub(in super::super) log: Log,
    pub(in super::super) effective: Arc<Effective>,
    /// Where plugins say what changed.
    pub(in super::super) notices: NoticeSink,
    /// Looks at the memory, once a profile wants it.
    pub(in super::super) sampler: Arc<Mutex<Option<Sampler>>>,
    /// The data plane, for what is waited for there.
    pub(in super::super) data_plane: Handle,
    /// The generations that served.
    pub(in super::super) history: Arc<History>,
    /// The files of the profile as they were read last.
    pub(in super::super) read: Mutex<Vec<Written>>,
    /// The files that the profile names that was tried last.
    pub(in super::super) named: Mutex<Named>,
    /// What came in, and what served before.
    pub(in super::super) probation: Mutex<Probation>,
    /// Whether somebody is in the midst of writing one of them, as far as the system tells.
    pub(in super::super) writing: Arc<AtomicBool>,
}

/// The key whose secret may be another one while the profile says the same of it.
const KEY: &str = "request_state.key";

/// Why a profile is not applied.
pub(super) enum Not {
    /// Something is wrong.
    Good(Vec<String>),
    /// It changes what only a start can.
    Live(Vec<String>),
    /// It was written against another one than what serves.
    Current(String),
}

impl Not {
    /// The verdict, and its reasons.
    pub(super) fn into_verdict(self) -> (Verdict, Vec<String>) {
        match self {
            Self::Good(problems) => (Verdict::Refused, problems),
            Self::Live(problems) => (Verdict::RestartRequired, problems),
            Self::Current(problem) => (Verdict::Superseded, vec![problem]),
        }
    }
}

/// What is known of a profile before anything of it is brought up.
pub(super) struct Judged {
    pub(super) warnings: Vec<String>,
    beside: Beside,
}

/// What is known of an attempt before it ends.
#[derive(Default)]
struct Noted {
    source: Option<Source>,
    changed: Vec<profile::Change>,
    plugins: Vec<Arc<str>>,
    tools_changed: Vec<String>,
}

impl House {
    /// Tries to have the process follow its profile as it is now.
    pub(super) fn attempt(&self, wish: Wish, trigger: Trigger) -> Attempt {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let mut noted = Noted::default();
        let (verdict, problems) = match self.follow(wish, trigger, &mut noted) {
            Ok(verdict) => (verdict, Vec::new()),
            Err(not) => not.into_verdict(),
        };
        let Noted { source, changed, plugins, tools_changed } = noted;
        let (blank, took) = (self.blank(trigger), begun.elapsed());
        let source = source.unwrap_or(blank.source);
        if verdict == Verdict::Applied {
            self.keep(trigger, &changed);
        }
        Attempt { source, at, took, verdict, changed, plugins, tools_changed, problems, ..blank }
    }

    /// What is noted of an attempt that failed for a fault of ours.
    pub(super) fn failed(&self, trigger: Trigger) -> Attempt {
        let problems = vec!["the attempt failed unexpectedly; please report this".to_owned()];
        Attempt { problems, ..self.blank(trigger) }
    }

    /// One that refused, and of which nothing else is known yet.
    fn blank(&self, trigger: Trigger) -> Attempt {
        let serving = self.endpoint.switch.load();
        Attempt {
            number: 0,
            trigger,
            source: match trigger {
                Trigger::File | Trigger::Signal | Trigger::Admin => Source::File,
                Trigger::Posted => Source::Posted,
                Trigger::Rollback | Trigger::Probation => Source::Rollback,
            },
            at: Timestamp::now(),
            took: Duration::ZERO,
            verdict: Verdict::Refused,
            generation: serving.number(),
            identity: serving.plan().identity,
            changed: Vec::new(),
            plugins: Vec::new(),
            tools_changed: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The profile of a generation that served before, with the libraries of then.
    pub(super) fn served_before(&self, record: &Record) -> Result<Given, Not> {
        tracing::info!(
            generation = record.number,
            identity = record.short_identity(),
            "Going back to a generation that served before."
        );
        let loaded = commands::load_kept(record, &self.options).map_err(Not::Good)?;
        let given = Given::of(loaded, Source::Rollback);
        Ok(Given { digests: record.libraries.clone(), ..given })
    }

    /// Puts down the generation that serves.
    fn keep(&self, trigger: Trigger, changed: &[profile::Change]) {
        let changed: Vec<_> = changed.iter().map(|change| change.key.clone()).collect();
        let takes_back = matches!(trigger, Trigger::Rollback | Trigger::Probation);
        let cause = Cause { trigger: trigger.as_str(), takes_back, changed: &changed };
        let (generation, shown) = (self.endpoint.switch.load(), self.effective.load());
        self.history.keep(record(&generation, &shown.loaded, &self.options, &cause));
    }

    /// Puts down the generation that the process started with, unless it is the one that was put down last.
    pub(super) fn keep_first(&self) {
        let (generation, shown) = (self.endpoint.switch.load(), self.effective.load());
        let cause = Cause { trigger: "start", takes_back: false, changed: &[] };
        let record = record(&generation, &shown.loaded, &self.options, &cause);
        let records = self.history.records();
        if !records.newest().is_some_and(|newest| newest.is_same_content(&record)) {
            self.history.keep(record);
        }
    }

    /// Whether the files say something else than when they were read last. A profile that is not there is about to come
    /// back: editors and `mv` take the old one away first.
    pub(super) fn is_behind(&self) -> bool {
        let now = commands::written(&self.options);
        let is_there = now.first().is_some_and(|profile| profile.text.is_some());
        is_there && now != *self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that the profile consisted of when it was read last.
    pub(super) fn files(&self) -> Vec<Written> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a library or a secret that the profile names is another than when it was tried last.
    pub(super) fn has_other_named(&self) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.endpoint.switch.load();
        named.has_other_secrets() || named.has_other_libraries(&serving.stack().kit().plugins)
    }

    /// Takes libraries and secrets as they are now for tried, whatever becomes of it.
    fn look_again(&self) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).look_again();
    }

    /// Looks after these from now on.
    fn follow_named(&self, named: Named) {
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// What the system says now of the libraries that the profile names.
    pub(super) fn libraries(&self) -> Stamps {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).libraries()
    }

    /// What takes over libraries and secrets that changed: of the files, or of a profile that came from elsewhere and has
    /// not been replaced since.
    pub(super) fn once_more(&self) -> Wish {
        match self.effective.load().source {
            Source::File => Wish::Files,
            Source::Posted | Source::LastGood | Source::Rollback => {
                Wish::Given(Box::new(|house| {
                    house.look_again();
                    let shown = house.effective.load();
                    Ok(Given::of(shown.loaded.clone(), shown.source))
                }))
            }
        }
    }

    /// Every file that is looked after.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.files().into_iter().map(|file| file.path).collect();
        paths.extend(self.named.lock().unwrap_or_else(PoisonError::into_inner).paths());
        paths
    }

    /// The least time between two changes, as the profile that serves has it.
    pub(super) fn interval(&self) -> Duration {
        self.endpoint.switch.load().plan().reload.interval
    }

    /// What a service manager shows of it.
    pub(super) fn status(&self) -> String {
        report::status(&self.endpoint, &self.front)
    }

    /// Whether the profile that serves wants its files watched. A process that stops takes none of them.
    pub(super) fn wants_watch(&self) -> bool {
        let stops = self.endpoint.vitals.phase() == Phase::Draining;
        !stops && self.endpoint.switch.load().plan().reload.watch
    }

    fn follow(&self, wish: Wish, trigger: Trigger, noted: &mut Noted) -> Result<Verdict, Not> {
        if self.endpoint.vitals.phase() == Phase::Draining {
            let problem = "the process is stopping; it takes no other profile any more";
            return Err(Not::Good(vec![problem.to_owned()]));
        }
        let Given { loaded, plugins, source, digests } = match wish {
            Wish::Files => {
                self.look_again();
                let loaded = self.read().map_err(Not::Good)?;
                self.follow_named(Named::of(Arc::new(loaded.plan.clone())));
                Given::of(loaded, Source::File)
            }
            Wish::Given(give) => give(self)?,
        };
        noted.source = Some(source);
        noted.changed = self.effective.load().loaded.changes(&loaded);
        let plan = Arc::new(loaded.plan.clone());
        // Before they are read: what is written meanwhile is noticed.
        let named = Named::of(Arc::clone(&plan));
        let Judged { warnings, beside } = self.judge(&loaded, &noted.changed)?;
        let until = Instant::now() + plan.reload.stage_deadline;
        let running = {
            let serving = self.endpoint.switch.load();
            let kit = serving.stack().kit();
            if beside.has_other_key(kit) {
                note(profile::Change::of_content(KEY), &mut noted.changed);
            }
            kit.plugins.clone()
        };
        let mut still_there = running.clone();
        still_there.extend(self.kept());
        let known = Known { running: still_there, given: plugins, digests };
        let started = stage::start_plugins(&plan, &self.notices, known)?;
        let runs = |plugin: &Arc<Plugin>| running.iter().any(|known| Arc::ptr_eq(known, plugin));
        if noted.changed.is_empty() && started.plugins.iter().all(runs) {
            // Comments and lines may have moved, which `/admin/plan` shows. What serves anyway was not taken back.
            if source != Source::Rollback {
                self.effective.follow(loaded, source);
            }
            self.follow_named(named);
            return Ok(Verdict::Unchanged);
        }
        noted.plugins = started.new.iter().map(|plugin| Arc::clone(plugin.name())).collect();
        noted.tools_changed = tools::changed(&running, &started.plugins);
        let new = started.new.clone();
        let before = self.before_change();
        let replaced = rehearsal::rehearse(&plan, &started.plugins, until, &self.data_plane)
            .map_err(|problem| Not::Good(vec![problem]))
            .and_then(|()| self.swap(plan, beside, started.plugins, &new, until))
            .inspect_err(|_| stack::stop_plugins(&new, PLUGIN_GRACE))?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.effective.follow(loaded, source);
        self.follow_named(named);
        let mut released = self.begin_probation(before, trigger == Trigger::Probation);
        released.extend(replaced);
        self.retire(released);
        Ok(Verdict::Applied)
    }

    /// What can be said of a profile before anything of it is brought up, or why it cannot be.
    pub(super) fn judge(
        &self,
        loaded: &Loaded,
        changed: &[profile::Change],
    ) -> Result<Judged, Not> {
        let fixed: Vec<_> = changed.iter().filter_map(takes_a_start).collect();
        if !fixed.is_empty() {
            return Err(Not::Live(fixed));
        }
        let plan = &loaded.plan;
        let mut warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(compared_with_host(plan, &self.options).map_err(Not::Good)?);
        // What a start has raised already.
        let shortage = descriptors::raise_limit(plan).map_err(|error| Not::Good(vec![error]))?;
        warnings.extend(shortage);
        let serving = self.endpoint.switch.load();
        let beside = Beside::stage(plan, serving.plan()).map_err(Not::Good)?;
        Ok(Judged { warnings, beside })
    }

    /// Reads the profile at a moment at which nobody writes it.
    fn read(&self) -> Result<Loaded, Vec<String>> {
        let mut before = commands::written(&self.options);
        for _ in 0..READS_MAX {
            let loaded = commands::load(&self.options);
            let after = commands::written(&self.options);
            // A slow writer leaves the same part there for more than one look.
            let is_stable = before == after && !self.writing.load(Relaxed);
            before = after;
            if is_stable {
                *self.read.lock().unwrap_or_else(PoisonError::into_inner) = before;
                return loaded;
            }
        }
        // Not noted as read: whoever looks after the files tries again, even if this was the last of the writing.
        Err(vec!["the profile changes while it is read; try again when it is written".to_owned()])
    }

    /// Builds the next generation and makes it the current one; then tells clients and moves watches. Waits for room
    /// among the generations that drain, for the oldest of them until `until`. Returns the plugins that served before.
    fn swap(
        &self,
        plan: Arc<Plan>,
        beside: Beside,
        plugins: Vec<Arc<Plugin>>,
        new: &[Arc<Plugin>],
        until: Instant,
    ) -> Result<Vec<Arc<Plugin>>, Not> {
        let endpoint = &self.endpoint;
        let draining_max = plan.reload.draining_generations_max;
        let turn = endpoint.switch.turn(draining_max, until).map_err(no_turn)?;
        let before = turn.current();
        let kit = before.stack().kit().with_plugins(plugins);
        self.sample_memory(&plan, &kit).map_err(|error| Not::Good(vec![error]))?;
        let stack = stack::build(&plan, &kit).map_err(|error| Not::Good(error.0))?;
        // Last: whoever connects to it before the swap would be let down by a refusal.
        let listeners = self
            .front
            .stage(&plan)
            .map_err(|errors| Not::Good(errors.iter().map(ToString::to_string).collect()))?;
        let next = turn.publish(plan, stack);
        // From here on nothing can fail.
        endpoint.vitals.set_generation(next.number());
        endpoint.sessions.follow(&next.plan().session);
        beside.follow(&self.log, &kit);
        self.front.follow(listeners);
        let replaced = before.stack().kit().plugins.clone();
        let catalogue = Arc::clone(before.stack().catalogue());
        // Whoever waits for generations to end must have none.
        drop((next, before));
        let outdated: BTreeSet<_> = new
            .iter()
            .filter(|plugin| plugin.is_outdated())
            .map(|plugin| Arc::clone(plugin.name()))
            .collect();
        if !outdated.is_empty() {
            runtime::describe_again(&endpoint.switch, &endpoint.vitals, &outdated);
        }
        announce(endpoint, &catalogue);
        Ok(replaced)
    }

    /// Has the memory looked at if the plan wants it, and nobody does yet.
    fn sample_memory(&self, plan: &Plan, kit: &Kit) -> Result<(), String> {
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        if plan.layers.memory.mode != Mode::Off && sampler.is_none() {
            let started = Sampler::start(kit.memory.clone());
            *sampler = Some(started.map_err(|error| format!("layer.memory: no thread: {error}"))?);
        }
        Ok(())
    }
}

/// Notes a change among others, unless one of its key or of one below it is there.
fn note(change: profile::Change, changed: &mut Vec<profile::Change>) {
    if !changed.iter().any(|known| known.key.starts_with(&change.key)) {
        let at = changed.partition_point(|known| known.key < change.key);
        changed.insert(at, change);
    }
}

/// What an operator is told of a key that a running process cannot follow.
fn takes_a_start(change: &profile::Change) -> Option<String> {
    let profile::Change { key, effect, .. } = change;
    (change.class == Class::Restart).then(|| {
        format!("{key}: takes a restart, since {effect}; restart, or take this change back")
    })
}

/// Why what is good does not come in.
fn no_turn(why: NoTurn) -> Not {
    Not::Good(vec![match why {
        NoTurn::Closed => "the process is stopping".to_owned(),
        NoTurn::Crowded { oldest, calls } => format!(
            "reload.draining_generations_max: as many generations drain as may, and the oldest, {oldest}, does not end \
             its {calls} calls; try again"
        ),
    }])
}
