use std::num::NonZeroU64;

use super::*;
use crate::testing::{Inner, call, reply};

fn layer(mode: Mode) -> TimeoutLayer {
    TimeoutLayer::new(&Config { mode, deadline_ms: NonZeroU64::new(50).expect("not zero") })
}

#[tokio::test(start_paused = true)]
async fn refuses_at_the_deadline_and_drops_the_call() {
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    let alive = std::sync::Mutex::new(Some(alive));
    let service = layer(Mode::Enforce).layer(Inner::new(|_| {
        let alive = alive.lock().expect("not poisoned").take();
        async move {
            let _alive = alive;
            std::future::pending().await
        }
    }));
    let refusal = (&service).call(call()).await.expect_err("never answers");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::TimedOut, Some(50)));
    assert!(refusal.data(1).contains("\"may_have_executed\":true"));
    assert!(dropped.await.is_err(), "the inner future is gone");
}

#[tokio::test(start_paused = true)]
async fn the_call_knows_its_deadline() {
    let service = layer(Mode::Enforce).layer(Inner::new(|call: Call| async move {
        assert!(call.deadline.is_some());
        Ok(reply(1))
    }));
    assert!((&service).call(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_lets_a_late_call_end() {
    let service = layer(Mode::Shadow).layer(Inner::new(|call: Call| async move {
        assert_eq!(call.deadline, None, "nobody else may enforce what is only watched");
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(reply(1))
    }));
    assert!((&service).call(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn off_sets_no_deadline() {
    let service = layer(Mode::Off).layer(Inner::new(|call: Call| async move {
        assert_eq!(call.deadline, None);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(reply(1))
    }));
    assert!((&service).call(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_task_keeps_its_own_deadline_and_outlives_that_of_calls() {
    let own = Instant::now() + Duration::from_secs(600);
    let service = layer(Mode::Enforce).layer(Inner::new(move |call: Call| async move {
        assert_eq!(call.deadline, Some(own));
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(reply(1))
    }));
    let mut task = call();
    (task.is_task, task.deadline) = (true, Some(own));
    assert!((&service).call(task).await.is_ok());
}

#[test]
fn names_a_deadline_that_is_too_long() {
    let config =
        Config { deadline_ms: NonZeroU64::new(600_001).expect("not zero"), ..Config::default() };
    assert_eq!(config.problems().len(), 1);
    assert!(Config::default().problems().is_empty());
}
