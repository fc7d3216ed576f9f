//! Atomics, locks and threads of a model checker, and how it is run.

use std::fmt;

#[cfg(feature = "loom")]
pub use loom::{sync::MutexGuard, sync::atomic, thread};
#[cfg(not(feature = "loom"))]
pub use shuttle::{sync::MutexGuard, sync::atomic, thread};

#[cfg(feature = "loom")]
use loom::sync::Mutex as Checked;
#[cfg(not(feature = "loom"))]
use shuttle::sync::Mutex as Checked;

/// The checker's lock, used like the one it stands for.
pub struct Mutex<T>(Checked<T>);

impl<T> Mutex<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self(Checked::new(value))
    }

    /// Takes the lock.
    ///
    /// # Panics
    /// When a thread of the model panicked with it: the model has failed then.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no thread of the model panicked")
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mutex")
    }
}

/// Runs `model` in every interleaving with up to three preemptions, or up to `LOOM_MAX_PREEMPTIONS`. (Most faults need
/// no more than two: Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007.)
///
/// # Panics
/// In the first interleaving in which the model does.
#[cfg(feature = "loom")]
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

/// Runs `model` in as many schedules as the variable `SHUTTLE_SCHEDULES` says (10000 when it is not set): half of them
/// by mere chance, half by priorities with up to three changes (Burckhardt and others, "A randomized scheduler with
/// probabilistic guarantees of finding bugs", ASPLOS 2010). With `SHUTTLE_REPLAY`, only in the schedule that it holds.
///
/// # Panics
/// In the first schedule in which the model does; the message holds it.
#[cfg(not(feature = "loom"))]
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let model = std::sync::Arc::new(model);
    let shared = || {
        let model = std::sync::Arc::clone(&model);
        move || model()
    };
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        return shuttle::replay(shared(), &schedule);
    }
    let schedules = std::env::var("SHUTTLE_SCHEDULES")
        .map_or(10_000, |count| count.parse().expect("SHUTTLE_SCHEDULES is a number"));
    shuttle::check_random(shared(), schedules / 2);
    shuttle::check_pct(shared(), schedules / 2, 3);
}
