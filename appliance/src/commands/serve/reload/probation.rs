//! Watches what came in, and brings back what served before when it does worse.
//!
//! What served before is kept as it is, plugins included, until a probation has ended well. Attempts and looks are made
//! by one thread, one after the other.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_host::{Plugin, PluginState};
use profile::Identity;
use profile::plan::{ProbationMode, ProbationPlan};
use runtime::probation::{Breach, Counts, Intended, Reason, Window, judge};
use runtime::{Attempt, Source, Trigger, Verdict};
use serde_json::{Value, json};
use stack::Kit;

use super::super::effective::Shown;
use super::attempt::House;
use super::queue::{Given, Wish};

/// Looks in the time of one probation.
const LOOKS: u32 = 10;

/// What is known of the profiles that came in.
pub(in super::super) struct Probation {
    /// What was counted at the last looks, the oldest first: as many as a probation has.
    past: VecDeque<(Instant, Counts)>,
    /// Looks at plugins that could not serve.
    unready: u64,
    confirmed: Confirmed,
    trial: Option<Trial>,
    rollbacks: [u64; Reason::ALL.len()],
}

/// What served when all was well.
#[derive(Clone)]
struct Confirmed {
    shown: Arc<Shown>,
    plugins: Vec<Arc<Plugin>>,
}

/// A profile that is on probation.
struct Trial {
    begun: Instant,
    /// What came before it, as long as its probation.
    before: Window,
    /// What was counted when it began.
    first: Counts,
    intended: Intended,
    /// Whether the last look found it worse: one look is none.
    was_worse: bool,
}

/// Something else serves.
struct Change {
    /// What came before it, as long as a probation.
    before: Window,
    /// What was counted when it came in.
    after: Counts,
    /// Whether it is what served when all was well.
    is_rollback: bool,
}

/// What comes of a look.
enum Look {
    /// Nothing yet.
    Nothing,
    /// The probation ended well; these plugins are kept no longer.
    Ended(Vec<Arc<Plugin>>),
    /// It is worse.
    Worse(Breach),
}

impl Probation {
    /// Nothing came in yet.
    pub(in super::super) fn new(shown: Arc<Shown>, plugins: Vec<Arc<Plugin>>) -> Self {
        Self {
            past: VecDeque::new(),
            unready: 0,
            confirmed: Confirmed { shown, plugins },
            trial: None,
            rollbacks: [0; Reason::ALL.len()],
        }
    }

    /// Plugins that may have to serve again.
    pub(super) fn kept(&self) -> &[Arc<Plugin>] {
        &self.confirmed.plugins
    }

    fn counts(&self, kit: &Kit) -> Counts {
        Counts::of(kit, self.unready)
    }

    /// What came in the time of a probation until now.
    fn window(&self, now: Instant, counts: &Counts, watch: Duration) -> Window {
        let is_within = |(at, _): &&(Instant, Counts)| now.duration_since(*at) <= watch;
        match self.past.iter().find(is_within) {
            Some((at, first)) => counts.since(first, now.duration_since(*at)),
            None => Window::default(),
        }
    }

    /// Something else serves since now: for good when it is not to be watched. Returns the plugins that are kept no
    /// longer.
    fn begin(
        &mut self,
        change: Change,
        serving: Confirmed,
        plan: &ProbationPlan,
    ) -> Vec<Arc<Plugin>> {
        let now = Instant::now();
        // Other plugins count anew.
        self.past.clear();
        self.past.push_back((now, change.after.clone()));
        if change.is_rollback || plan.mode == ProbationMode::Off {
            self.trial = None;
            return std::mem::replace(&mut self.confirmed, serving).plugins;
        }
        // From what was well to what is now, whatever was tried between.
        let changed = self.confirmed.shown.loaded.changes(&serving.shown.loaded);
        let changed: Vec<_> = changed.into_iter().map(|change| change.key).collect();
        self.trial = Some(Trial {
            begun: now,
            // It is compared with what was well, not with another that is on probation.
            before: self.trial.take().map_or(change.before, |trial| trial.before),
            first: change.after,
            intended: Intended::of(&changed),
            was_worse: false,
        });
        Vec::new()
    }

    fn look(&mut self, kit: &Kit, serving: Confirmed, plan: &ProbationPlan) -> Look {
        let now = Instant::now();
        let is_unready = |plugin: &&Arc<Plugin>| plugin.state() != PluginState::Ready;
        self.unready += kit.plugins.iter().filter(is_unready).count() as u64;
        let counts = self.counts(kit);
        if self.past.len() > LOOKS as usize {
            self.past.pop_front();
        }
        self.past.push_back((now, counts.clone()));
        let Some(trial) = &mut self.trial else { return Look::Nothing };
        let served = now.duration_since(trial.begun);
        let breach = match plan.mode {
            ProbationMode::On => {
                let after = counts.since(&trial.first, served);
                judge(&trial.before, &after, &trial.intended, plan)
            }
            ProbationMode::Off => None,
        };
        match breach {
            Some(breach) if trial.was_worse => Look::Worse(breach),
            Some(_) => {
                trial.was_worse = true;
                Look::Nothing
            }
            None => {
                trial.was_worse = false;
                if served < plan.watch && plan.mode == ProbationMode::On {
                    return Look::Nothing;
                }
                self.trial = None;
                Look::Ended(std::mem::replace(&mut self.confirmed, serving).plugins)
            }
        }
    }
}

impl House {
    fn probation(&self) -> MutexGuard<'_, Probation> {
        self.probation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugins that may have to serve again although no generation has them.
    pub(super) fn kept(&self) -> Vec<Arc<Plugin>> {
        self.probation().kept().to_vec()
    }

    /// When to look at what came back the next time; `None` while nobody wants to know.
    pub(super) fn next_look(&self, last: Instant) -> Option<Instant> {
        let serving = self.endpoint.switch.load();
        let plan = &serving.plan().reload.probation;
        let is_wanted = plan.mode == ProbationMode::On || self.probation().trial.is_some();
        is_wanted.then(|| last + plan.watch / LOOKS)
    }

    /// What came back until now, which is what a change is compared with.
    pub(super) fn before_change(&self) -> Window {
        let serving = self.endpoint.switch.load();
        let probation = self.probation();
        let counts = probation.counts(serving.stack().kit());
        probation.window(Instant::now(), &counts, serving.plan().reload.probation.watch)
    }

    /// Begins the probation of what serves since now. `before` came back before it. Returns the plugins that need not
    /// be kept any more.
    pub(super) fn begin_probation(&self, before: Window, is_rollback: bool) -> Vec<Arc<Plugin>> {
        let serving = self.endpoint.switch.load();
        let kit = serving.stack().kit();
        let mut probation = self.probation();
        let change = Change { before, after: probation.counts(kit), is_rollback };
        let plan = &serving.plan().reload.probation;
        probation.begin(change, self.serving(kit), plan)
    }

    fn serving(&self, kit: &Kit) -> Confirmed {
        Confirmed { shown: self.effective.load(), plugins: kit.plugins.clone() }
    }

    /// Looks at what comes back. Brings back what served before when it is worse, and says what became of that.
    pub(super) fn look(&self) -> Option<Attempt> {
        let serving = self.endpoint.switch.load();
        let kit = serving.stack().kit();
        let plan = &serving.plan().reload.probation;
        let look = self.probation().look(kit, self.serving(kit), plan);
        let (number, identity) = (serving.number(), serving.plan().identity);
        // Whoever changes what serves must have no generation.
        drop(serving);
        match look {
            Look::Nothing => None,
            Look::Ended(released) => {
                let identity = identity.short();
                tracing::info!(generation = number, identity, "Probation ended well.");
                self.retire(released);
                None
            }
            Look::Worse(breach) => Some(self.roll_back(&breach, number, identity)),
        }
    }

    fn roll_back(&self, breach: &Breach, number: u64, identity: Identity) -> Attempt {
        let Confirmed { shown, plugins } = self.probation().confirmed.clone();
        let given = Given { plugins, ..Given::of(shown.loaded.clone(), Source::Rollback) };
        let wish = Wish::Given(Box::new(move |_| Ok(given)));
        let mut attempt = self.attempt(wish, Trigger::Probation);
        // Once is enough: what is in the way stays in the way.
        self.probation().trial = None;
        let end = if attempt.verdict.is_good() {
            self.probation().rollbacks[breach.reason as usize] += 1;
            attempt.verdict = Verdict::RolledBack;
            "what served before serves again; mend the profile and save it"
        } else {
            "what served before does not come back"
        };
        let identity = identity.short();
        let problem = format!("generation {number} ({identity}): {}; {end}", breach.text);
        attempt.problems.insert(0, problem);
        attempt
    }

    /// The probation that is under way, for whoever asks; null when there is none.
    pub(super) fn probation_json(&self) -> Value {
        let serving = self.endpoint.switch.load();
        let watch = serving.plan().reload.probation.watch;
        let probation = self.probation();
        probation.trial.as_ref().map_or(Value::Null, |trial| {
            let left = watch.saturating_sub(trial.begun.elapsed());
            json!({
                "left_ms": left.as_millis() as u64,
                "confirmed": probation.confirmed.shown.loaded.plan.identity,
            })
        })
    }

    /// How often what served before was brought back, by reasons; and whether a probation is under way.
    pub(super) fn probation_counts(&self) -> ([u64; Reason::ALL.len()], bool) {
        let probation = self.probation();
        (probation.rollbacks, probation.trial.is_some())
    }
}
