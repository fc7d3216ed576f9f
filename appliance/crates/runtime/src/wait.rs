//! Waits for a future on a thread of its own, without a runtime: whoever changes the profile must not depend on the data
//! plane, which may be what is wrong.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until `deadline`; what comes of `future`, or `None` when that is too late. It must need no runtime.
pub fn wait_until<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_in_time_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sending = std::thread::spawn(move || sender.send(7));
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait_until(deadline, receiver), Some(Ok(7)));
        assert_eq!(sending.join().expect("it sent"), Ok(()));
    }

    #[test]
    fn what_never_comes_is_given_up() {
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(5);
        assert_eq!(wait_until(deadline, std::future::pending::<()>()), None);
        assert!(begun.elapsed() >= Duration::from_millis(5));
    }
}
