//! Plugins that complete too late, or do not want to end.

use std::time::{Duration, Instant};

use plugin_host::{Invocation, PluginState, StopError};
use protocol::RefusalKind;

use crate::compiler::hostile as library;
use crate::house::{Ended, begin, beside_a_healthy_one, call, end, hostile, limits, start};
use crate::pipes::Pipes;

/// For plugins that cannot be ended anyway.
const SOON: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_after_the_client_has_gone_is_stale() {
    beside_a_healthy_one(async {
        let started = hostile(limits());
        let Invocation::Pending(pending, ()) = begin(&started.plugin, "late", None) else {
            panic!("it waits to be released");
        };
        // Calls of async tools are begun in order: after this one the plugin has the other too.
        assert_eq!(call(&started.plugin, "seen").await, Ended::text(""));
        drop(pending);
        // The plugin's answer to the cancellation, then its thread: three completions, all too late.
        assert_eq!(
            call(&started.plugin, "seen").await,
            Ended::text("reason -8 check -8 complete -7 -7")
        );
        assert_eq!(call(&started.plugin, "release").await, Ended::text("complete -7"));
        let counted = started.plugin.counted();
        assert_eq!((counted.stale_completions, counted.in_flight), (3, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_refuses_to_end_is_left_and_reported() {
    beside_a_healthy_one(async {
        let started =
            start(&library(), r#"{"wrong":"destroy_refuses"}"#, limits()).expect("it starts");
        let plugin = started.plugin;
        assert_eq!(plugin.stop(Instant::now() + SOON), Err(StopError::Refused(-6)));
        assert_eq!(plugin.state(), PluginState::Stopped);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_hangs_at_its_end_is_left_in_time() {
    beside_a_healthy_one(async {
        let pipes = Pipes::new();
        let started =
            start(&library(), &pipes.config("quiesce_hangs"), limits()).expect("it starts");
        assert_eq!(started.plugin.stop(Instant::now() + SOON), Err(StopError::Busy));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_not_destroyed_while_a_thread_is_inside_it() {
    beside_a_healthy_one(async {
        let mut pipes = Pipes::new();
        let started = start(&library(), &pipes.config(""), limits()).expect("it starts");
        let hanging = begin(&started.plugin, "hang", None);
        pipes.wait_for('h');
        assert_eq!(started.plugin.stop(Instant::now() + SOON), Err(StopError::Busy));
        pipes.let_go();
        // It was left whole: the call that hung can still end.
        assert_eq!(end(hanging).await, Ended::text("let go"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_enters_a_plugin_that_was_stopped() {
    beside_a_healthy_one(async {
        let pipes = Pipes::new();
        let plugin = start(&library(), &pipes.config(""), limits()).expect("it starts").plugin;
        let deadline = Instant::now() + Duration::from_secs(10);
        assert_eq!(plugin.stop(deadline), Ok(()));
        pipes.wait_for('d');
        for tool in ["seen", "never_here", "other_thread"] {
            assert_eq!(call(&plugin, tool).await, Ended::Refused(RefusalKind::PluginUnavailable));
        }
        assert_eq!((plugin.stop(deadline), plugin.counted().in_flight), (Ok(()), 0));
    })
    .await;
}
