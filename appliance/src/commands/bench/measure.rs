//! The steps: unloaded, the search for the peak, and the multiples of it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::health::Prober;
use load::process;
use load::receipt::{Envelope, Receipt, Server, Step};
use load::{Load, Pace, Tally};

use super::progress::Progress;
use super::search::Search;
use super::settings::Settings;
use super::subject::Subject;

/// What the envelope is multiplied by.
pub(super) const FACTORS: [u32; 4] = [1, 2, 5, 10];
/// Calls a second that no server calls load, unless its tool is slow.
const UNLOADED_PER_SEC: f64 = 50.0;
/// Calls that are under way at once in the unloaded step, on average.
const UNLOADED_SHARE: f64 = 0.2;
/// Shortest trial of a rate.
const TRIAL_MIN: Duration = Duration::from_millis(250);
/// How often the server's process is looked at: looking costs it time.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long nothing but failed connections may come back before the server is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Most refusals in a step, as a share of the accepted calls, that its processor time is still that of those.
const REFUSED_SHARE_MAX: f64 = 0.01;

/// A benchmark under way.
pub(super) struct Bench<'a> {
    settings: &'a Settings,
    subject: Subject,
    stopped: Arc<AtomicBool>,
    progress: Progress,
    /// Processor microseconds of an accepted call, once known.
    accepted_us: Option<f64>,
}

/// The server's process before a step.
struct Before {
    server: Option<(u32, Duration)>,
    generator: Duration,
}

/// What can end a step early, and what is seen meanwhile.
struct Watch {
    resident_bytes_max: u64,
    descriptors_max: u64,
    looked_at: Option<Instant>,
    answered: u64,
    answered_at: Instant,
    why: Option<String>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(settings: &'a Settings, subject: Subject, stopped: Arc<AtomicBool>) -> Self {
        Self { settings, subject, stopped, progress: Progress::new(), accepted_us: None }
    }

    /// Runs everything into `receipt`. `Err`: why it ended early; what was measured is there.
    pub(super) fn run(&mut self, call_time: Duration, receipt: &mut Receipt) -> Result<(), String> {
        let settings = self.settings;
        let step_time = settings.step_time;
        let target = self.subject.target.clone();
        let rate = (UNLOADED_SHARE / call_time.as_secs_f64()).clamp(1.0, UNLOADED_PER_SEC);
        let pace = Pace::Open { calls_per_sec: rate };
        // As many clients as later: one alone may not call as often.
        let mut few = Load::open(&target, settings.workload(settings.addresses))?;
        let unloaded = self.step(&mut few, "unloaded", pace, step_time.max(Duration::from_secs(1)));
        few.close();
        unloaded.keep(|step| receipt.unloaded = Some(step))?;

        let mut load = Load::open(&target, settings.workload(settings.connections))?;
        let outcome = self.steps(&mut load, receipt);
        load.close();
        outcome
    }

    fn steps(&mut self, load: &mut Load<'_>, receipt: &mut Receipt) -> Result<(), String> {
        let envelope = match self.settings.calls_per_sec {
            Some(calls_per_sec) => Envelope {
                calls_per_sec,
                is_measured: false,
                is_sustained: None,
                goodput_per_sec: None,
            },
            None => self.search(load, &mut receipt.search)?,
        };
        let rate = envelope.calls_per_sec;
        receipt.envelope = Some(envelope);
        for factor in FACTORS {
            let pace = Pace::Open { calls_per_sec: rate * f64::from(factor) };
            self.step(load, &format!("{factor}x"), pace, self.settings.step_time)
                .keep(|step| receipt.steps.push(step))?;
        }
        Ok(())
    }

    /// The highest rate at which nearly every call is accepted: as fast as the server answers first, then by trial.
    fn search(&mut self, load: &mut Load<'_>, search: &mut Vec<Step>) -> Result<Envelope, String> {
        let step_time = self.settings.step_time;
        self.step(load, "closed loop", Pace::Closed, step_time).keep(|step| search.push(step))?;
        let closed = search.last().map_or(0.0, |step| step.goodput_per_sec);
        if closed <= 0.0 {
            return Err("no call was accepted as fast as the server answers; the kinds of its \
                        refusals say why"
                .to_owned());
        }
        let mut peak = Search::new(closed);
        for trial in 1..=self.settings.trials {
            let rate = peak.rate();
            let pace = Pace::Open { calls_per_sec: rate };
            let name = format!("trial {trial}");
            self.step(load, &name, pace, (step_time / 2).max(TRIAL_MIN)).keep(|step| {
                peak.note(rate, &step);
                search.push(step);
            })?;
        }
        Ok(peak.envelope())
    }

    /// One stretch of load.
    fn step(&mut self, load: &mut Load<'_>, name: &str, pace: Pace, duration: Duration) -> Stretch {
        match self.measure(load, name, pace, duration) {
            Ok(stretch) => stretch,
            Err(why) => Stretch { step: None, why: Some(why) },
        }
    }

    fn measure(
        &mut self,
        load: &mut Load<'_>,
        name: &str,
        pace: Pace,
        duration: Duration,
    ) -> Result<Stretch, String> {
        let planned = match pace {
            Pace::Closed => None,
            Pace::Open { calls_per_sec } => Some(calls_per_sec),
        };
        self.progress.begin(name, planned);
        let prober = self.subject.control.as_ref().map(Prober::start);
        let before = self.before()?;
        let mut watch = Watch::new();
        let tally = load.run(pace, duration, &mut |tally| self.watch(name, tally, &mut watch))?;
        let health = prober.map(Prober::stop).transpose()?;
        let mut step = Step::of(name, planned, &tally);
        step.health = health;
        step.generator_processor_seconds =
            process::own_processor_time()?.saturating_sub(before.generator).as_secs_f64();
        watch.look(before.server.map(|(pid, _)| pid));
        step.server = self.server(&before, &watch, &step);
        self.progress.end(&step);
        let ended = self.subject.own.as_mut().and_then(super::server::Own::ended);
        Ok(Stretch { step: Some(step), why: ended.or(watch.why) })
    }

    fn before(&self) -> Result<Before, String> {
        // A process that has gone meanwhile is said by the step's figures.
        let pid = self.subject.pid;
        let server = pid.and_then(|pid| Some((pid, process::processor_time(pid).ok()?)));
        Ok(Before { server, generator: process::own_processor_time()? })
    }

    fn watch(&mut self, name: &str, tally: &Tally, watch: &mut Watch) -> ControlFlow<()> {
        self.progress.show(name, tally);
        if watch.looked_at.is_none_or(|at| at.elapsed() >= LOOK_PERIOD) {
            watch.look(self.subject.pid);
        }
        let ended = self.subject.own.as_mut().and_then(super::server::Own::ended);
        if self.stopped.load(Ordering::Relaxed) {
            watch.why = Some("stopped by a signal".to_owned());
        } else if ended.is_some() {
            watch.why = ended;
        } else if watch.is_silent(tally) {
            let error = tally.first_error.as_deref().unwrap_or_default();
            watch.why = Some(format!("the server does not answer any more: {error}"));
        }
        if watch.why.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What the step cost the server.
    fn server(&mut self, before: &Before, watch: &Watch, step: &Step) -> Option<Server> {
        let (pid, was) = before.server?;
        let used = process::processor_time(pid).ok()?.saturating_sub(was);
        let used_us = used.as_secs_f64() * 1e6;
        let (accepted, refused) = (step.accepted as f64, step.refused as f64);
        let is_pure = accepted > 0.0 && refused <= REFUSED_SHARE_MAX * accepted;
        let per_accepted = is_pure.then(|| used_us / accepted);
        // A few calls a second pay for much that is not theirs.
        if step.name != "unloaded" {
            self.accepted_us = per_accepted.or(self.accepted_us);
        }
        let per_refused = self.accepted_us.filter(|_| !is_pure && refused > 0.0);
        Some(Server {
            resident_bytes_max: watch.resident_bytes_max,
            descriptors_max: watch.descriptors_max,
            processor_seconds: used.as_secs_f64(),
            processor_us_per_accepted: per_accepted,
            processor_us_per_refused: per_refused
                .map(|price| (used_us - price * accepted).max(0.0) / refused),
        })
    }

    /// Ends a server of our own.
    pub(super) fn end(self) {
        drop(self.subject);
    }
}

/// A step as far as it went.
struct Stretch {
    step: Option<Step>,
    why: Option<String>,
}

impl Stretch {
    /// Keeps the figures, whole or not. `Err`: why there will be no more.
    fn keep(self, keep: impl FnOnce(Step)) -> Result<(), String> {
        self.step.map(keep);
        self.why.map_or(Ok(()), Err)
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            resident_bytes_max: 0,
            descriptors_max: 0,
            looked_at: None,
            answered: 0,
            answered_at: Instant::now(),
            why: None,
        }
    }

    fn look(&mut self, pid: Option<u32>) {
        self.looked_at = Some(Instant::now());
        let Some(pid) = pid else { return };
        let most = |seen: u64, now: Result<u64, String>| seen.max(now.unwrap_or(0));
        self.resident_bytes_max = most(self.resident_bytes_max, process::resident_bytes(pid));
        self.descriptors_max = most(self.descriptors_max, process::descriptors(pid));
    }

    /// Whether connections have failed for a while and nothing else came back.
    fn is_silent(&mut self, tally: &Tally) -> bool {
        let lost = |name| tally.errors.get(name).copied().unwrap_or(0);
        let unanswered = lost("cannot_connect") + lost("closed");
        let answered = tally.accepted + tally.refused() + tally.failed() - unanswered;
        if answered > self.answered || unanswered == 0 {
            self.answered = answered;
            self.answered_at = Instant::now();
        }
        self.answered_at.elapsed() > SILENCE_MAX && lost("cannot_connect") > 0
    }
}
