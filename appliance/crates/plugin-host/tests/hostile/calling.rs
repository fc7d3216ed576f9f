//! Calls that end wrong, in every way that C allows.

use std::time::{Duration, Instant};

use plugin_host::{Limits, PluginState};
use protocol::RefusalKind;
use tokio::sync::mpsc;

use crate::compiler::hostile as library;
use crate::house::{
    Ended, Started, begin, beside_a_healthy_one, call, end, hostile, limits, start,
};
use crate::pipes::Pipes;

/// Calls each tool and compares; then nothing is left of any call.
async fn each_ends(cases: &[(&str, Ended)]) -> Started {
    let started = hostile(limits());
    for (tool, expected) in cases {
        assert_eq!((tool, &call(&started.plugin, tool).await), (tool, expected));
    }
    let counted = started.plugin.counted();
    assert_eq!((counted.in_flight, counted.abandoned), (0, 0));
    assert_eq!(started.plugin.state(), PluginState::Ready);
    started
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_end_of_a_call_counts_and_later_ones_are_stale() {
    let started = beside_a_healthy_one(each_ends(&[
        ("two_completions", Ended::text("one")),
        ("seen", Ended::text("complete 0 -7")),
        ("ended_handle", Ended::text("-7 -7 -7 -7 -7")),
        ("complete_and_fail", Ended::text("done")),
        ("other_thread", Ended::text("from another thread")),
    ]))
    .await;
    // Once by `two_completions`, once by `ended_handle`, once by the code of `complete_and_fail`.
    assert_eq!(started.plugin.counted().stale_completions, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_handles_hit_no_call() {
    let started = beside_a_healthy_one(async {
        let started = hostile(limits());
        // A call that could be hit.
        let waiting = begin(&started.plugin, "late", None);
        assert_eq!(call(&started.plugin, "null_ctx").await, Ended::text("-1 -1 -1 -1"));
        assert_eq!(call(&started.plugin, "release").await, Ended::text("complete 0"));
        assert_eq!(end(waiting).await, Ended::text("late"));
        assert_eq!(call(&started.plugin, "forged").await, Ended::text("0 hits"));
        started
    })
    .await;
    assert_eq!(started.plugin.counted().in_flight, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_json_that_no_client_may_see_are_rejected() {
    let tools = [
        "utf8",
        "bad_json",
        "too_deep",
        "twin_keys",
        "trailing",
        "reserved_meta",
        "escaped_meta",
        "reserved_member",
        "no_content",
        "content_object",
        "space_around",
        "bad_structured",
        "question_list",
        "question_unknown",
        "failure_without_flag",
    ];
    let cases = tools.map(|tool| (tool, Ended::rejected()));
    let started = beside_a_healthy_one(each_ends(&cases)).await;
    assert_eq!(started.plugin.counted().rejected_results, tools.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_breaks_between_tokens_become_spaces() {
    let one_line = "{  \"content\": []}".to_owned();
    beside_a_healthy_one(each_ends(&[
        ("line_breaks", Ended::Json(one_line)),
        ("structured_lines", Ended::Json("[1, 2]".to_owned())),
    ]))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_describe_no_memory_are_rejected() {
    let tools = [
        "null_body",
        "huge_len",
        "len_above_cap",
        "null_host_buffer",
        "small_struct",
        "null_result",
        "odd_result",
        "bad_status",
        "bad_format",
        "no_mime",
        "endless_mime",
        "large_state",
    ];
    let mut cases = tools.map(|tool| (tool, Ended::rejected())).into_iter().collect::<Vec<_>>();
    cases.extend([
        ("null_mime", Ended::text("xxx")),
        ("no_room", Ended::text("buf_alloc -10")),
        ("over_cap", Ended::Refused(RefusalKind::PayloadTooLarge)),
        ("foreign_growth", Ended::text("-1 -1 -1")),
    ]);
    let started = beside_a_healthy_one(each_ends(&cases)).await;
    assert_eq!(started.plugin.counted().rejected_results, tools.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_the_host_is_freed_once_and_cannot_be_hoarded() {
    let result = "x".repeat(8_192);
    beside_a_healthy_one(each_ends(&[
        ("same_buffer_twice", Ended::text(&result)),
        ("same_buffer_twice", Ended::text(&result)),
        // Two for each of four calls, and one.
        ("hoard", Ended::text("9 held")),
        ("hoard", Ended::text("9 held")),
    ]))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_not_accepted_end_by_their_code() {
    let internal = Ended::Failed(-32603, "The tool failed internally.".to_owned());
    beside_a_healthy_one(each_ends(&[
        ("busy", Ended::Refused(RefusalKind::PluginUnavailable)),
        ("missing", Ended::Failed(-32602, "Not found: missing".to_owned())),
        ("unknown_code", internal),
    ]))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_are_none_are_refused_by_the_host_functions() {
    beside_a_healthy_one(each_ends(&[
        // Null is no text; nothing is no JSON.
        ("null_strings", Ended::text("0 -1 0")),
        ("endless_strings", Ended::text("0 -10 -10")),
        ("bad_words", Ended::text("-1 -1 -1")),
    ]))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_fills_only_its_own_bounded_room() {
    beside_a_healthy_one(async {
        let mut started = hostile(limits());
        let (events, mut heard) = mpsc::channel(4);
        let flooded = begin(&started.plugin, "flood", Some(events));
        assert_eq!(end(flooded).await, Ended::text("flooded"));
        let counted = started.plugin.counted();
        let heard = std::iter::from_fn(|| heard.try_recv().ok()).count() as u64;
        assert_eq!((heard, heard + counted.dropped_events), (4, 200_000));
        let told = std::iter::from_fn(|| started.notices.try_recv().ok()).count() as u64;
        // A changed list is told once, however often it changes before it is read.
        assert_eq!((told, counted.dropped_notices), (1, 0));
        started.plugin.describe_again().expect("as before");
        assert_eq!(call(&started.plugin, "flood").await, Ended::text("flooded"));
        assert!(started.notices.try_recv().is_ok(), "described again, it may tell again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_completes_ends_at_the_deadline_and_holds_its_place() {
    beside_a_healthy_one(async {
        let deadline = Duration::from_millis(50);
        let started = hostile(Limits { deadline, ..limits() });
        let begun = Instant::now();
        assert_eq!(
            call(&started.plugin, "never_here").await,
            Ended::Refused(RefusalKind::TimedOut)
        );
        assert!(begun.elapsed() >= deadline);
        // The plugin is told, and completes now, twice: that is too late, and gives the place back.
        assert_eq!(
            call(&started.plugin, "seen").await,
            Ended::text("reason -8 check -8 complete -7 -7")
        );
        let counted = started.plugin.counted();
        assert_eq!((counted.timeouts, counted.in_flight, counted.abandoned), (1, 0, 0));
        assert_eq!(counted.stale_completions, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_hang_take_the_places_of_their_own_plugin_only() {
    beside_a_healthy_one(async {
        let mut pipes = Pipes::new();
        let limits = Limits { deadline: Duration::from_millis(50), ..limits() };
        let config = pipes.config("cancel_ignored");
        let started = start(&library(), &config, limits).expect("it starts");
        let plugin = &started.plugin;
        let places = plugin.calls_max();
        let hanging: Vec<_> = (0..places).map(|_| begin(plugin, "hang", None)).collect();
        assert_eq!(call(plugin, "seen").await, Ended::Refused(RefusalKind::PluginBusy));
        for hanging in hanging {
            assert_eq!(end(hanging).await, Ended::Refused(RefusalKind::TimedOut));
        }
        // Nobody waits any more, and still every place is taken: the plugin has not let go.
        assert_eq!(call(plugin, "seen").await, Ended::Refused(RefusalKind::PluginBusy));
        assert_eq!(plugin.counted().abandoned, places);
        pipes.let_go();
        // When it does, it can be called again.
        while call(plugin, "other_thread").await != Ended::text("from another thread") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_client_is_gone_is_not_entered_and_leaves_no_trace() {
    beside_a_healthy_one(async {
        let started = hostile(limits());
        for tool in ["never", "never_here", "other_thread"] {
            let (events, heard) = mpsc::channel(1);
            drop(heard);
            let cancelled = Ended::Failed(-32603, "The call was cancelled.".to_owned());
            assert_eq!(end(begin(&started.plugin, tool, Some(events))).await, cancelled);
        }
        assert_eq!(started.plugin.counted().in_flight, 0);
    })
    .await;
}
