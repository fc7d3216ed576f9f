//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until it is so; whether it was before the deadline.
pub(crate) fn until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return false;
        }
        std::thread::park_timeout(left.min(LOOK_EVERY));
    }
}

/// Lets time pass that is part of a load: a fault that lasts, a rate that is held.
pub(crate) fn pass(time: Duration) {
    until(time, || false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_at_the_deadline_and_not_before() {
        let mut looks = 0;
        assert!(until(Duration::MAX, || {
            looks += 1;
            looks == 3
        }));
        let begun = Instant::now();
        assert!(!until(Duration::from_millis(30), || false));
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }
}
