//! What the adaptive limit has learned: how long calls usually take, and how many at once keep it so.

use super::times::WINDOW;

/// The limit never falls below this, or the ceiling where that is lower: a mistake must not stop the house.
const FLOOR: usize = 16;
/// How much longer than usual calls may take before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// How much of a new limit counts.
const SMOOTHING: f64 = 0.2;
/// How many calls may wait inside plugins: what the limit grows by.
const HEADROOM: f64 = 4.0;
/// What is usual is the mean of about so many windows: one minute.
const LONG_WINDOWS: f64 = 600.0;
/// After so few windows the mean is the plain one.
const WARM_UP_WINDOWS: u32 = 10;
/// Windows in which calls take long before a trial: ten seconds, of which a trial takes less than half a one.
const TRIAL_AFTER_WINDOWS: u32 = 100;
/// The same for the first one, and after one that has taught something: two seconds. A house that begins in the middle
/// of an overload halves its way down.
const NEXT_TRIAL_AFTER_WINDOWS: u32 = 20;
/// A trial waits no longer than this for what it measures: five seconds.
const SETTLING_WINDOWS_MAX: f64 = 50.0;
/// Of calls that wait for each other, half as many take half as long; of others, as long as ever.
const HELPED: f64 = 0.75;
/// Times that are shorter than usual by less may be as usual: they are counted in steps of an eighth.
const NEWS: f64 = 0.87;

/// What windows have shown, and the limit that follows from it.
#[derive(Debug, Default)]
pub(super) struct Learned {
    ceiling: f64,
    limit: f64,
    usual: Usual,
    /// Since the last trial, under pressure and longer than usual, or while there is more to learn.
    long_windows: u32,
    /// Whether the last trial has found calls to be shorter than ever seen.
    is_learning: bool,
    trial: Option<Trial>,
}

/// The limit is halved for a moment, to see whether it is each other that calls wait for.
#[derive(Debug)]
struct Trial {
    /// What calls took in nanoseconds when it began.
    before_ns: f64,
    /// Until only calls end that began after it.
    settling_windows: u32,
}

impl Learned {
    /// Follows a new ceiling; what was learned stays. `begins`: with the limit at the ceiling.
    pub(super) fn follow(&mut self, ceiling: usize, begins: bool) {
        self.ceiling = ceiling as f64;
        self.limit = if begins { self.ceiling } else { self.limit.min(self.ceiling) };
        self.trial = None;
    }

    /// Most calls at once.
    pub(super) fn allowed(&self) -> usize {
        match self.trial {
            Some(_) => (self.limit / 2.0).max(1.0) as usize,
            None => self.limit as usize,
        }
    }

    /// Whether the next window is the one that a trial measures.
    pub(super) fn is_measuring(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.settling_windows == 0)
    }

    /// A window is over in which nine of ten calls took `short_ns`, if they were enough to say, and at whose end `used`
    /// were at work.
    pub(super) fn window(&mut self, short_ns: Option<f64>, used: usize) {
        if let Some(trial) = &mut self.trial {
            if trial.settling_windows > 0 {
                trial.settling_windows -= 1;
                return;
            }
            if let Some(short_ns) = short_ns {
                self.is_learning = self.usual.tried(trial.before_ns, short_ns);
            }
            self.trial = None;
            return;
        }
        let Some(short_ns) = short_ns else { return };
        // Where half of the limit is idle, it is not the limit that calls feel.
        let is_pressed = used as f64 >= self.limit / 2.0;
        self.usual.note(short_ns, is_pressed);
        if is_pressed {
            self.move_limit(short_ns);
        }
    }

    fn move_limit(&mut self, short_ns: f64) {
        let tolerated = self.usual.ns.map(|usual_ns| TOLERANCE * usual_ns / short_ns);
        let gradient = tolerated.unwrap_or(1.0).clamp(0.5, 1.0);
        let aim = self.limit * gradient + HEADROOM;
        let moved = self.limit * (1.0 - SMOOTHING) + aim * SMOOTHING;
        self.limit = moved.clamp((FLOOR as f64).min(self.ceiling), self.ceiling);
        let is_learning = self.is_learning || tolerated.is_none();
        if gradient == 1.0 && !is_learning {
            return;
        }
        self.long_windows += 1;
        let trial_after = if is_learning { NEXT_TRIAL_AFTER_WINDOWS } else { TRIAL_AFTER_WINDOWS };
        if self.long_windows >= trial_after {
            self.long_windows = 0;
            self.begin_trial(short_ns);
        }
    }

    /// Halves the limit for a moment.
    pub(super) fn begin_trial(&mut self, before_ns: f64) {
        // Those at work end, and those that were let in beside them.
        let settling = (2.0 * before_ns / WINDOW.as_nanos() as f64).ceil();
        let settling_windows = settling.min(SETTLING_WINDOWS_MAX) as u32;
        self.trial = Some(Trial { before_ns, settling_windows });
    }
}

/// How long calls take that do not wait for each other.
#[derive(Debug, Default)]
struct Usual {
    /// `None` as long as nothing but pressure was seen.
    ns: Option<f64>,
    windows: u32,
}

impl Usual {
    /// Under pressure calls may wait for each other: what they take then is never more than what is usual. Otherwise a
    /// long overload would become usual, and the limit grow with it.
    fn note(&mut self, short_ns: f64, is_pressed: bool) {
        let is_lower = self.ns.is_some_and(|usual_ns| short_ns < usual_ns);
        if is_pressed && !is_lower {
            return;
        }
        let before = self.ns.unwrap_or_default();
        self.windows = (self.windows + 1).min(WARM_UP_WINDOWS + 1);
        let weight = match self.windows <= WARM_UP_WINDOWS {
            true => 1.0 / f64::from(self.windows),
            false => 2.0 / (LONG_WINDOWS + 1.0),
        };
        let mean = before + (short_ns - before) * weight;
        // After a long overload, what is usual comes down faster than it went up.
        self.ns = Some(if mean / short_ns > 2.0 { mean * 0.95 } else { mean });
    }

    /// Half as many calls at once took `half_ns` where all took `before_ns`. Whether that says that even fewer may take
    /// less.
    fn tried(&mut self, before_ns: f64, half_ns: f64) -> bool {
        let has_helped = half_ns < before_ns * HELPED;
        let is_news = self.ns.is_none_or(|usual_ns| half_ns < usual_ns * NEWS);
        self.ns = match self.ns {
            Some(usual_ns) if has_helped => Some(usual_ns.min(half_ns)),
            _ => Some(half_ns),
        };
        self.windows = WARM_UP_WINDOWS;
        has_helped && is_news
    }
}
