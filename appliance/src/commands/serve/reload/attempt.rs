//! One attempt: read, compare, build beside, swap, drain.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use middleware::Mode;
use plugin_host::{NoticeSink, Plugin};
use profile::{Class, Loaded, Plan, Written};
use protocol::Method;
use runtime::{Attempt, Change, Generation, Phase, Source, Trigger, Verdict};
use stack::{Kit, Known, PLUGIN_GRACE};
use tokio::runtime::Handle;
use transport::Endpoint;

use super::super::effective::Effective;
use super::super::memory::Sampler;
use super::super::{compared_with_host, descriptors};
use super::named::{Named, Stamps};
use super::queue::{Given, Wish};
use super::stage;
use crate::cli::ProfileOptions;
use crate::commands;

/// How often a profile is read that changes while it is read.
const READS_MAX: usize = 5;

/// What an attempt changes.
pub(in super::super) struct House {
    pub(in super::super) options: ProfileOptions,
    pub(in super::super) endpoint: Arc<Endpoint>,
    pub(in super::super) effective: Arc<Effective>,
    /// Where plugins say what changed.
    pub(in super::super) notices: NoticeSink,
    /// Looks at the memory, once a profile wants it.
    pub(in super::super) sampler: Arc<Mutex<Option<Sampler>>>,
    /// The data plane, for what is waited for there.
    pub(in super::super) data_plane: Handle,
    /// The files of the profile as they were read last.
    pub(in super::super) read: Mutex<Vec<Written>>,
    /// The files that the profile names that was tried last.
    pub(in super::super) named: Mutex<Named>,
    /// Whether somebody is in the midst of writing one of them, as far as the system tells.
    pub(in super::super) writing: Arc<AtomicBool>,
}

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

/// What is known of an attempt before it ends.
#[derive(Default)]
struct Noted {
    source: Option<Source>,
    changed: Vec<profile::Change>,
    plugins: Vec<Arc<str>>,
}

impl House {
    /// Tries to have the process follow its profile as it is now.
    pub(super) fn attempt(&self, wish: Wish, trigger: Trigger) -> Attempt {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let mut noted = Noted::default();
        let (verdict, problems) = match self.follow(wish, &mut noted) {
            Ok(verdict) => (verdict, Vec::new()),
            Err(not) => not.into_verdict(),
        };
        let Noted { source, changed, plugins } = noted;
        let (blank, took) = (self.blank(trigger), begun.elapsed());
        let source = source.unwrap_or(blank.source);
        Attempt { source, at, took, verdict, changed, plugins, problems, ..blank }
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
            source: if trigger == Trigger::Posted { Source::Posted } else { Source::File },
            at: Timestamp::now(),
            took: Duration::ZERO,
            verdict: Verdict::Refused,
            generation: serving.number(),
            identity: serving.plan().identity,
            changed: Vec::new(),
            plugins: Vec::new(),
            problems: Vec::new(),
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
            Source::Posted => Wish::Given(Box::new(|house| {
                house.look_again();
                let shown = house.effective.load();
                let (loaded, source) = (shown.loaded.clone(), shown.source);
                Ok(Given { loaded, plugins: Vec::new(), source })
            })),
        }
    }

    /// Every file that is looked after.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.files().into_iter().map(|file| file.path).collect();
        paths.extend(self.named.lock().unwrap_or_else(PoisonError::into_inner).paths());
        paths
    }

    /// Whether the profile that serves wants its files watched.
    pub(super) fn wants_watch(&self) -> bool {
        self.endpoint.switch.load().plan().reload.watch
    }

    fn follow(&self, wish: Wish, noted: &mut Noted) -> Result<Verdict, Not> {
        if self.endpoint.vitals.phase() == Phase::Draining {
            let problem = "the process is stopping; it takes no other profile any more";
            return Err(Not::Good(vec![problem.to_owned()]));
        }
        let Given { loaded, plugins, source } = match wish {
            Wish::Files => {
                self.look_again();
                let loaded = self.read().map_err(Not::Good)?;
                self.follow_named(Named::of(Arc::new(loaded.plan.clone())));
                Given { loaded, plugins: Vec::new(), source: Source::File }
            }
            Wish::Given(give) => give(self)?,
        };
        noted.source = Some(source);
        noted.changed = self.effective.load().loaded.changes(&loaded);
        let warnings = self.judge(&loaded, &noted.changed)?;
        let plan = Arc::new(loaded.plan.clone());
        // Before they are read: what is written meanwhile is noticed.
        let named = Named::of(Arc::clone(&plan));
        let running = self.endpoint.switch.load().stack().kit().plugins.clone();
        let known = Known { running, given: plugins };
        let started = stage::start_plugins(&plan, &self.notices, known).map_err(Not::Good)?;
        noted.plugins = started.new.iter().map(|plugin| Arc::clone(plugin.name())).collect();
        if noted.changed.is_empty() && started.new.is_empty() {
            // Comments and lines may have moved, which `/admin/plan` shows.
            self.effective.follow(loaded, source);
            self.follow_named(named);
            return Ok(Verdict::Unchanged);
        }
        let new = started.new.clone();
        self.swap(plan, started.plugins, &new).inspect_err(|_| {
            stack::stop_plugins(&new, PLUGIN_GRACE);
        })?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.effective.follow(loaded, source);
        self.follow_named(named);
        Ok(Verdict::Applied)
    }

    /// What can be said of a profile before anything of it is brought up: warnings, or why it cannot be.
    pub(super) fn judge(
        &self,
        loaded: &Loaded,
        changed: &[profile::Change],
    ) -> Result<Vec<String>, Not> {
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
        Ok(warnings)
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

    /// Builds the next generation and makes it the current one; then tells clients, moves watches and drains plugins
    /// that are no longer wanted.
    fn swap(
        &self,
        plan: Arc<Plan>,
        plugins: Vec<Arc<Plugin>>,
        new: &[Arc<Plugin>],
    ) -> Result<(), Not> {
        let endpoint = &self.endpoint;
        let stopping = || Not::Good(vec!["the process is stopping".to_owned()]);
        let turn = endpoint.switch.turn().ok_or_else(stopping)?;
        let before = turn.current();
        let kit = before.stack().kit().with_plugins(plugins);
        self.sample_memory(&plan, &kit).map_err(|error| Not::Good(vec![error]))?;
        let stack = stack::build(&plan, &kit).map_err(|error| Not::Good(error.0))?;
        let next = turn.publish(plan, stack);
        // From here on nothing can fail.
        endpoint.vitals.set_generation(next.number());
        endpoint.sessions.follow(&next.plan().session);
        drop(next);
        let outdated: BTreeSet<_> = new
            .iter()
            .filter(|plugin| plugin.is_outdated())
            .map(|plugin| Arc::clone(plugin.name()))
            .collect();
        if !outdated.is_empty() {
            runtime::describe_again(&endpoint.switch, &endpoint.vitals, &outdated);
        }
        announce(endpoint, &before);
        self.retire(before);
        Ok(())
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

    /// Stops the plugins that only generations before the current one have, when the last of those has ended, or at the
    /// deadline for calls in flight. Their images stay.
    fn retire(&self, before: Arc<Generation>) {
        let endpoint = Arc::clone(&self.endpoint);
        let current = endpoint.switch.load();
        let is_kept = |plugin: &Arc<Plugin>| {
            current.stack().kit().plugins.iter().any(|kept| Arc::ptr_eq(kept, plugin))
        };
        let mut removed = before.stack().kit().plugins.clone();
        removed.retain(|plugin| !is_kept(plugin));
        if removed.is_empty() {
            return;
        }
        let ended: Vec<_> = endpoint.switch.draining().iter().map(|past| past.ended()).collect();
        let drain = before.plan().shutdown.drain;
        drop((before, current));
        self.data_plane.spawn(async move {
            let all = async {
                for ended in ended {
                    ended.await;
                }
            };
            let is_drained = tokio::time::timeout(drain, all).await.is_ok();
            // Whoever subscribed in an old generation meanwhile.
            follow_watches(&endpoint);
            for plugin in &removed {
                tracing::info!(plugin = %plugin.name(), is_drained, "Replaced plugin stops.");
            }
            tokio::task::spawn_blocking(move || stack::stop_plugins(&removed, PLUGIN_GRACE));
        });
    }
}

/// What an operator is told of a key that a running process cannot follow.
fn takes_a_start(change: &profile::Change) -> Option<String> {
    let profile::Change { key, effect, .. } = change;
    (change.class == Class::Restart).then(|| {
        format!("{key}: takes a restart, since {effect}; restart, or take this change back")
    })
}

/// Tells clients of each list that has other items than `before`, and has resources watched by their present owners.
fn announce(endpoint: &Endpoint, before: &Generation) {
    let current = endpoint.switch.load();
    let pages = |generation: &Generation| Arc::clone(generation.stack().catalogue());
    let mut changes = Vec::new();
    for list in pages(before).pages().differences(pages(&current).pages()) {
        let change = match list {
            Method::ToolsList => Change::Tools,
            Method::PromptsList => Change::Prompts,
            _ => Change::Resources,
        };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes.into_iter().for_each(|change| endpoint.changes.publish(change));
    follow_watches(endpoint);
}

fn follow_watches(endpoint: &Endpoint) {
    let current = endpoint.switch.load();
    let catalogue = current.stack().catalogue();
    for uri in endpoint.watches.follow(|uri| catalogue.resource_owner(uri)) {
        endpoint.changes.publish(Change::ResourceUpdated(uri));
    }
}
