//! The state machine of one circuit: no clock of its own, no service.
//!
//! Closed: calls pass, and the last of them are judged. Open: calls are refused. Half-open: a few calls pass as probes
//! and decide. Forced: somebody else decides for a while. Times are milliseconds of any clock that never goes back.

use std::sync::Arc;

use protocol::sync::Mutex;
use protocol::sync::atomic::AtomicU64;
use protocol::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Config;
use super::window::{Tally, Window};

/// When to come back while probes are under way: most come back sooner than the half-open phase ends.
const PROBE_PAUSE_MS: u64 = 1_000;

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They pass.
    Closed,
    /// They are refused.
    Open,
    /// A few pass, to try.
    HalfOpen,
    /// They are refused, because somebody says so.
    ForcedOpen,
    /// They pass, because somebody says so.
    ForcedClosed,
}

impl Phase {
    /// Every phase, in the order of their numbers in metrics.
    pub const ALL: [Self; 5] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::ForcedClosed];

    /// The name in metrics and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// How a call ended, as far as a circuit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With an answer.
    Answered { was_slow: bool },
    /// By a fault of the tool.
    Failed,
    /// By a fault of the client, by a refusal of ours, or without its client: it says nothing of the tool.
    Void,
}

/// Leave to make one call. Every one is given back by [`Core::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// The era that it was given in: what happened in another one is not judged.
    era: u64,
    pub(super) is_probe: bool,
}

/// Everything that a circuit goes by, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) calls_min: u32,
    pub(super) failure_percent: u32,
    pub(super) slow_percent: u32,
    pub(super) open_ms: u64,
    pub(super) open_max_ms: u64,
    pub(super) probes_max: u32,
    pub(super) probes_needed: u32,
    pub(super) half_open_ms: u64,
}

impl Rules {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            calls_min: config.calls_min,
            failure_percent: config.failure_percent,
            slow_percent: config.slow_percent,
            open_ms: config.open_ms,
            open_max_ms: config.open_max_ms,
            probes_max: config.probes_max,
            probes_needed: config.probes_needed,
            half_open_ms: config.half_open_ms,
        }
    }

    fn is_sick(&self, tally: Tally) -> bool {
        let is_above =
            |count: u32, percent: u32| count as u64 * 100 >= tally.calls as u64 * percent as u64;
        tally.calls >= self.calls_min
            && (is_above(tally.failed, self.failure_percent)
                || is_above(tally.slow, self.slow_percent))
    }

    /// How long a circuit stays open that opened for the `times`-th time since it was last closed.
    fn open_for_ms(&self, times: u32, seed: u64) -> u64 {
        let doubled = self.open_ms.saturating_mul(1 << times.saturating_sub(1).min(32));
        let time = doubled.min(self.open_max_ms);
        // Nine to eleven tenths, the same for the same tool and time: circuits that opened together close apart.
        let share = mix(seed ^ u64::from(times)) % 201;
        (time.saturating_mul(900 + share) / 1_000).max(1)
    }
}

/// Spreads a number over all bits (splitmix64, Steele and others 2014).
const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A decision of somebody else.
#[derive(Clone, Debug)]
struct Force {
    is_open: bool,
    owner: Arc<str>,
    until_ms: u64,
}

#[derive(Debug)]
enum Natural {
    Closed,
    Open { until_ms: u64 },
    HalfOpen { succeeded: u32, probes: u32, since_ms: u64 },
}

/// What calls need only when a circuit is not simply closed.
#[derive(Debug)]
struct Inner {
    natural: Natural,
    /// How often it opened since it was last closed.
    opened: u32,
    /// Probes under way, those of earlier half-open phases included.
    probes_out: u32,
    force: Option<Force>,
    /// How often it entered each phase, in the order of [`Phase::ALL`].
    entered: [u64; Phase::ALL.len()],
}

/// One circuit. Its rules come with each call, since they may change with a generation; its window does not.
#[derive(Debug)]
pub(super) struct Core {
    /// `era << 1 | is simply closed`. The era changes with each transition.
    word: AtomicU64,
    window: Window,
    inner: Mutex<Inner>,
    seed: u64,
}

impl Core {
    /// A closed circuit that judges its last `window_calls`. `seed` makes its times its own.
    pub(super) fn new(window_calls: u32, seed: u64) -> Self {
        let inner = Inner {
            natural: Natural::Closed,
            opened: 0,
            probes_out: 0,
            force: None,
            entered: [0; Phase::ALL.len()],
        };
        Self {
            word: AtomicU64::new(1),
            window: Window::new(window_calls),
            inner: Mutex::new(inner),
            seed,
        }
    }

    pub(super) fn window_calls(&self) -> u32 {
        self.window.size()
    }

    /// Lets a call pass that meets a closed circuit: one load.
    pub(super) fn pass_closed(&self) -> Option<Pass> {
        let word = self.word.load(Acquire);
        (word & 1 == 1).then_some(Pass { era: word >> 1, is_probe: false })
    }

    /// Lets a call pass, or says for how many milliseconds none will.
    pub(super) fn admit(&self, rules: &Rules, now_ms: u64) -> Result<Pass, u64> {
        if let Some(pass) = self.pass_closed() {
            return Ok(pass);
        }
        let mut inner = self.inner.lock();
        self.turn(&mut inner, rules, now_ms);
        let unjudged = Pass { era: u64::MAX, is_probe: false };
        match &inner.force {
            Some(force) if force.is_open => return Err(force.until_ms - now_ms),
            Some(_) => return Ok(unjudged),
            None => {}
        }
        let Inner { natural, probes_out, .. } = &mut *inner;
        match natural {
            Natural::Closed => Ok(Pass { era: self.era(), is_probe: false }),
            Natural::Open { until_ms } => Err(*until_ms - now_ms),
            Natural::HalfOpen { probes, since_ms, .. } => {
                if *probes_out >= rules.probes_max {
                    let left_ms =
                        since_ms.saturating_add(rules.half_open_ms).saturating_sub(now_ms);
                    return Err(left_ms.clamp(1, PROBE_PAUSE_MS));
                }
                *probes_out += 1;
                *probes += 1;
                Ok(Pass { era: self.era(), is_probe: true })
            }
        }
    }

    /// Takes a pass back with what became of its call.
    pub(super) fn settle(
        &self,
        pass: Pass,
        verdict: Verdict,
        rules: &Rules,
        now_ms: impl FnOnce() -> u64,
    ) {
        if pass.is_probe {
            return self.settle_probe(pass, verdict, rules, now_ms());
        }
        if verdict == Verdict::Void || self.word.load(Acquire) != pass.era << 1 | 1 {
            return;
        }
        let was_slow = verdict == Verdict::Answered { was_slow: true };
        let tally = self.window.record(verdict == Verdict::Failed, was_slow);
        if !rules.is_sick(tally) {
            return;
        }
        let mut inner = self.inner.lock();
        // Another call may have opened it meanwhile.
        if self.word.load(Acquire) == pass.era << 1 | 1 {
            self.open(&mut inner, rules, now_ms());
        }
    }

    fn settle_probe(&self, pass: Pass, verdict: Verdict, rules: &Rules, now_ms: u64) {
        let mut inner = self.inner.lock();
        inner.probes_out -= 1;
        self.turn(&mut inner, rules, now_ms);
        if self.era() != pass.era || inner.force.is_some() {
            return;
        }
        let Natural::HalfOpen { succeeded, probes, since_ms } = &mut inner.natural else { return };
        *probes -= 1;
        match verdict {
            Verdict::Void => {}
            Verdict::Answered { was_slow: false } => {
                *succeeded += 1;
                *since_ms = now_ms;
                if *succeeded >= rules.probes_needed {
                    inner.opened = 0;
                    self.window.clear();
                    self.enter(&mut inner, Natural::Closed);
                }
            }
            Verdict::Answered { was_slow: true } | Verdict::Failed => {
                self.open(&mut inner, rules, now_ms);
            }
        }
    }

    /// Makes the transitions whose time has come.
    fn turn(&self, inner: &mut Inner, rules: &Rules, now_ms: u64) {
        if inner.force.as_ref().is_some_and(|force| force.until_ms <= now_ms) {
            self.end_force(inner);
        }
        match inner.natural {
            Natural::Open { until_ms } if until_ms <= now_ms => {
                let natural = Natural::HalfOpen { succeeded: 0, probes: 0, since_ms: now_ms };
                self.enter(inner, natural);
            }
            // Probes that do not come back say that the tool is not well. Without a probe nothing is said.
            Natural::HalfOpen { probes, since_ms, .. }
                if probes > 0 && since_ms.saturating_add(rules.half_open_ms) <= now_ms =>
            {
                self.open(inner, rules, now_ms);
            }
            Natural::Closed | Natural::Open { .. } | Natural::HalfOpen { .. } => {}
        }
    }

    fn open(&self, inner: &mut Inner, rules: &Rules, now_ms: u64) {
        inner.opened = inner.opened.saturating_add(1);
        let until_ms = now_ms.saturating_add(rules.open_for_ms(inner.opened, self.seed));
        self.enter(inner, Natural::Open { until_ms });
    }

    fn enter(&self, inner: &mut Inner, natural: Natural) {
        inner.natural = natural;
        self.show(inner);
    }

    /// Counts the phase that is entered, and begins an era.
    fn show(&self, inner: &mut Inner) {
        let phase = inner.phase();
        inner.entered[phase as usize] += 1;
        let is_closed = u64::from(phase == Phase::Closed);
        self.word.store((self.era() + 1) << 1 | is_closed, Release);
    }

    fn era(&self) -> u64 {
        self.word.load(Relaxed) >> 1
    }

    /// Decides for `owner` until a time, and says whether that is news. `None`, and nothing changes, while somebody else
    /// decides.
    pub(super) fn force(
        &self,
        is_open: bool,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
    ) -> Option<bool> {
        let mut inner = self.inner.lock();
        let before = inner.force.take_if(|force| force.until_ms <= now_ms || force.owner == *owner);
        if inner.force.is_some() {
            return None;
        }
        let is_news = before.is_none_or(|before| before.is_open != is_open);
        if matches!(inner.natural, Natural::HalfOpen { .. }) {
            // Its probes are of another era then: it begins anew.
            inner.natural = Natural::Open { until_ms: now_ms };
        }
        inner.force = Some(Force { is_open, owner: Arc::clone(owner), until_ms });
        if is_news {
            self.show(&mut inner);
        }
        Some(is_news)
    }

    /// Ends what `owner` decided.
    pub(super) fn release(&self, owner: &str) {
        let mut inner = self.inner.lock();
        if inner.force.as_ref().is_some_and(|force| &*force.owner == owner) {
            self.end_force(&mut inner);
        }
    }

    fn end_force(&self, inner: &mut Inner) {
        inner.force = None;
        // What was counted before is too old to be judged with what comes.
        self.window.clear();
        self.show(inner);
    }

    /// The phase at a time, with how often each was entered.
    pub(super) fn look(&self, rules: &Rules, now_ms: u64) -> (Phase, [u64; Phase::ALL.len()]) {
        let mut inner = self.inner.lock();
        self.turn(&mut inner, rules, now_ms);
        (inner.phase(), inner.entered)
    }

    /// For how long it is still open by its own judgement, and for which time in a row; `None` while it is closed.
    /// A circuit that tries is open for no time more.
    pub(super) fn opening(&self, now_ms: u64) -> Option<(u64, u32)> {
        let inner = self.inner.lock();
        match inner.natural {
            Natural::Closed => None,
            Natural::Open { until_ms } => Some((until_ms.saturating_sub(now_ms), inner.opened)),
            Natural::HalfOpen { .. } => Some((0, inner.opened)),
        }
    }

    /// Opens for the `opened`-th time in a row until a time, unless it has opened by itself.
    pub(super) fn restore(&self, until_ms: u64, opened: u32) {
        let mut inner = self.inner.lock();
        if matches!(inner.natural, Natural::Closed) {
            inner.opened = opened;
            self.enter(&mut inner, Natural::Open { until_ms });
        }
    }

    #[cfg(test)]
    pub(super) fn probes_out(&self) -> u32 {
        self.inner.lock().probes_out
    }
}

impl Inner {
    const fn phase(&self) -> Phase {
        match (&self.force, &self.natural) {
            (Some(Force { is_open: true, .. }), _) => Phase::ForcedOpen,
            (Some(_), _) => Phase::ForcedClosed,
            (None, Natural::Closed) => Phase::Closed,
            (None, Natural::Open { .. }) => Phase::Open,
            (None, Natural::HalfOpen { .. }) => Phase::HalfOpen,
        }
    }
}
