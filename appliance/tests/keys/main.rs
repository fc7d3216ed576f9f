//! Every key of a profile changes what the program does.
//!
//! One table names, for each key, the test that starts the program with the key at one value and at another and sees
//! the difference from outside. A key without a test, and a test of what is no key, fail.

mod bulkhead;
#[allow(dead_code, reason = "shared with `it`: either uses what it needs")]
mod callers;
mod circuit_breaker;
mod connections;
mod control;
mod fairness;
mod file;
mod frames;
mod hardware;
mod history;
mod http;
mod http2;
mod layers;
mod limits;
mod listen;
mod memory;
mod plugin;
mod probation;
mod process;
#[path = "../it/program.rs"]
#[allow(dead_code, reason = "shared with `it`: either uses what it needs")]
mod program;
mod reload;
mod request_state;
mod server;
mod session;
mod tasks;
mod wire;

/// Declares the table of keys, and runs each function in it as a test.
macro_rules! exercised {
    ($($key:literal => $room:ident::$test:ident,)*) => {
        /// Every key, and where it is exercised.
        const EXERCISED: &[(&str, &str)] =
            &[$(($key, concat!(stringify!($room), "::", stringify!($test))),)*];

        $(#[test]
        fn $test() {
            $room::$test();
        })*
    };
}

exercised! {
    "control.allow_profile" => control::a_profile_is_taken_only_where_it_may,
    "control.allow_remote" => control::other_hosts_come_in_only_when_allowed,
    "control.bind" => control::bind_says_where_operators_come_in,
    "control.refusals_kept" => control::so_many_refusals_of_each_kind_can_be_explained,
    "control.selftest" => control::a_test_is_begun_only_where_it_may,
    "extends" => file::a_profile_begins_with_the_one_that_it_extends,
    "format" => file::only_its_own_format_is_read,
    "hardware.calls_per_sec" =>
        hardware::one_client_that_may_call_more_than_is_expected_of_all_is_warned_of,
    "hardware.connections" => hardware::connections_that_are_expected_must_be_let_in,
    "hardware.cores" => hardware::a_host_with_fewer_cores_is_a_mismatch,
    "hardware.descriptors" => hardware::descriptors_must_hold_the_connections_and_be_there,
    "hardware.memory_bytes" =>
        hardware::what_is_admitted_must_fit_into_the_memory_and_the_host,
    "hardware.mismatch" => hardware::a_mismatch_is_warned_of_or_keeps_it_from_starting,
    "hardware.sessions" => hardware::sessions_that_are_expected_must_be_let_in,
    "history.folder" => history::what_served_is_kept_in_a_folder_or_ends_with_the_process,
    "history.generations_max" => history::so_many_generations_are_kept,
    "layer.bulkhead.concurrent_calls" =>
        bulkhead::so_many_calls_are_at_work_at_once_where_a_plugin_says_nothing,
    "layer.bulkhead.mode" => bulkhead::bulkhead_refuses_counts_or_is_off,
    "layer.bulkhead.queue_calls" =>
        bulkhead::so_many_calls_wait_besides_where_a_plugin_says_nothing,
    "layer.bulkhead.queue_wait_ms" => bulkhead::a_call_waits_for_its_turn_for_so_long,
    "layer.bulkhead.response_bytes_max" =>
        plugin::a_result_above_the_cap_of_all_plugins_is_refused,
    "layer.circuit_breaker.calls_min" => circuit_breaker::fewer_calls_are_not_judged,
    "layer.circuit_breaker.failure_percent" => circuit_breaker::a_share_of_failures_opens,
    "layer.circuit_breaker.half_open_ms" =>
        circuit_breaker::probes_that_do_not_come_back_open_it_again,
    "layer.circuit_breaker.mode" => circuit_breaker::circuit_breaker_refuses_counts_or_is_off,
    "layer.circuit_breaker.open_max_ms" => circuit_breaker::no_circuit_stays_open_for_longer,
    "layer.circuit_breaker.open_ms" => circuit_breaker::a_circuit_stays_open_for_so_long,
    "layer.circuit_breaker.probes_max" => circuit_breaker::so_many_probes_pass_at_once,
    "layer.circuit_breaker.probes_needed" => circuit_breaker::so_many_probes_close,
    "layer.circuit_breaker.slow_deadline_percent" =>
        circuit_breaker::a_part_of_its_deadline_makes_a_call_slow,
    "layer.circuit_breaker.slow_percent" => circuit_breaker::a_share_of_slow_calls_opens,
    "layer.circuit_breaker.window_calls" => circuit_breaker::so_many_of_the_last_calls_are_judged,
    "layer.concurrency.adaptive" => fairness::an_adaptive_limit_falls_while_calls_take_longer,
    "layer.concurrency.calls_max" => layers::calls_above_their_bound_are_refused,
    "layer.concurrency.mode" => layers::concurrency_refuses_counts_or_is_off,
    "layer.concurrency.read_share_percent" => fairness::reads_have_a_share_of_their_own,
    "layer.concurrency.work_share_percent" => fairness::work_has_a_share_of_its_own,
    "layer.connections.age_max_ms" => connections::a_connection_of_age_is_ended,
    "layer.connections.connections_max" => connections::connections_of_all_listeners_together_are_bounded,
    "layer.connections.descriptors_reserve" => connections::descriptors_that_are_not_there_keep_it_from_starting,
    "layer.connections.mode" => connections::connections_are_refused_counted_or_let_in,
    "layer.connections.per_address_max" => connections::connections_of_one_address_are_bounded,
    "layer.fairness.client_calls_max" => fairness::a_client_has_so_many_calls_under_way,
    "layer.fairness.client_queue_calls_max" => fairness::a_client_has_so_many_calls_waiting,
    "layer.fairness.mode" => fairness::fairness_refuses_counts_or_is_off,
    "layer.fairness.queue_calls_max" => fairness::so_many_calls_of_all_clients_wait,
    "layer.fairness.standing_wait_ms" => fairness::a_call_waits_in_a_queue_that_stands_for_so_long,
    "layer.fairness.wait_ms" => fairness::a_call_waits_for_a_permit_for_so_long,
    "layer.http.head_bytes_max" => http::a_head_above_its_cap_is_given_up,
    "layer.http.header_name_bytes_max" => http::a_name_above_its_cap_is_refused,
    "layer.http.header_value_bytes_max" => http::a_value_above_its_cap_is_refused,
    "layer.http.headers_max" => http::more_fields_than_their_cap_are_refused,
    "layer.http.http2.client_resets_max" => http2::a_client_may_reset_so_many_streams,
    "layer.http.http2.connection_window_bytes" => http2::a_client_may_send_so_much_ahead_on_all_streams,
    "layer.http.http2.control_frames_max" => http2::a_client_may_send_so_many_frames_for_nothing,
    "layer.http.http2.flood_window_ms" => http2::frames_for_nothing_are_counted_for_so_long,
    "layer.http.http2.frame_bytes_max" => http2::a_frame_may_have_so_many_bytes,
    "layer.http.http2.header_list_bytes_max" => http2::a_head_may_unpack_to_so_many_bytes,
    "layer.http.http2.local_resets_max" => http2::a_client_may_have_so_many_streams_reset,
    "layer.http.http2.pending_resets_max" => http2::so_many_streams_may_be_reset_unseen,
    "layer.http.http2.ping_answer_ms" => http2::a_client_has_so_long_to_answer_a_ping,
    "layer.http.http2.ping_ms" => http2::a_silent_client_is_pinged,
    "layer.http.http2.requests_max" => http2::a_connection_ends_after_so_many_requests,
    "layer.http.http2.stream_window_bytes" => http2::a_client_may_send_so_much_ahead_on_one_stream,
    "layer.http.http2.streams_max" => http2::so_many_streams_may_be_open,
    "layer.http.mode" => http::heads_are_refused_counted_or_let_in,
    "layer.http.uri_bytes_max" => http::an_address_above_its_cap_is_refused,
    "layer.memory.critical_percent" => memory::from_one_percent_on_nobody_new_comes_in,
    "layer.memory.hard_percent" => memory::from_one_percent_on_work_is_refused,
    "layer.memory.high_percent" => memory::from_one_percent_on_the_level_is_high,
    "layer.memory.ledger_bytes_max" => memory::bodies_take_no_more_than_the_ledger_has,
    "layer.memory.limit_bytes" => memory::a_process_is_measured_by_its_own_limit,
    "layer.memory.mode" => memory::memory_refuses_counts_or_is_off,
    "layer.memory.soft_percent" => memory::from_one_percent_on_streams_are_refused,
    "layer.origin.allowed_hosts" => layers::a_host_is_admitted_by_its_name,
    "layer.origin.allowed_origins" => layers::an_origin_is_admitted_by_its_name,
    "layer.origin.mode" => layers::origin_refuses_counts_or_is_off,
    "layer.payload.mode" => layers::payload_refuses_counts_or_is_off,
    "layer.payload.request_bytes_max" => layers::a_request_above_its_cap_is_refused,
    "layer.payload.response_bytes_max" => layers::a_result_above_its_cap_is_replaced,
    "layer.pre_auth_limit.burst_requests" => limits::an_address_may_send_so_many_requests_at_once,
    "layer.pre_auth_limit.keys_max" => limits::so_many_addresses_are_counted_apart,
    "layer.pre_auth_limit.mode" => limits::pre_auth_limit_refuses_counts_or_is_off,
    "layer.pre_auth_limit.requests_per_sec" => limits::an_address_may_send_so_many_requests,
    "layer.rate_limit.burst_calls" => limits::a_client_may_call_so_often_at_once,
    "layer.rate_limit.burst_sessions" => limits::a_client_may_begin_so_many_sessions_at_once,
    "layer.rate_limit.calls_per_sec" => limits::a_client_may_call_so_often,
    "layer.rate_limit.client_tool_burst_calls" =>
        limits::a_client_may_call_a_tool_so_often_at_once,
    "layer.rate_limit.client_tool_calls_per_sec" => limits::a_client_may_call_a_tool_so_often,
    "layer.rate_limit.keys_max" => limits::so_many_clients_are_counted_apart,
    "layer.rate_limit.mode" => limits::rate_limit_refuses_counts_or_is_off,
    "layer.rate_limit.sessions_per_min" => limits::a_client_may_begin_so_many_sessions,
    "layer.rate_limit.tool_burst_calls" => limits::a_tool_may_be_called_so_often_at_once,
    "layer.rate_limit.tool_calls_per_sec" => limits::a_tool_may_be_called_so_often,
    "layer.timeout.deadline_ms" => layers::a_call_ends_at_its_deadline,
    "layer.timeout.mode" => layers::timeout_refuses_counts_or_is_off,
    "listen.NAME.http.bind" => listen::bind_says_where_clients_come_in,
    "listen.NAME.http.body_bytes_per_sec_min" => listen::a_body_that_comes_too_slowly_is_refused,
    "listen.NAME.http.body_ms" => listen::a_body_that_does_not_end_is_refused,
    "listen.NAME.http.body_window_ms" => listen::the_rate_of_a_body_is_measured_over_so_long,
    "listen.NAME.http.connections_max" => listen::connections_above_their_bound_are_turned_away,
    "listen.NAME.http.first_byte_ms" => listen::a_silent_connection_is_closed,
    "listen.NAME.http.head_ms" => listen::a_head_that_does_not_end_is_given_up,
    "listen.NAME.http.heartbeat_ms" => listen::a_silent_stream_beats,
    "listen.NAME.http.idle_ms" => listen::a_connection_between_requests_is_closed,
    "listen.NAME.http.path" => listen::path_moves_the_endpoint,
    "listen.NAME.http.trusted_proxies" => limits::a_trusted_proxy_says_for_whom_it_speaks,
    "listen.NAME.http.write_ms" => listen::a_client_that_takes_no_answer_is_cut,
    "listen.NAME.stdio.calls_max" => listen::standard_input_takes_so_many_calls,
    "log.filter" => process::the_log_holds_what_its_filter_lets_through,
    "log.format" => process::a_log_line_has_the_shape_that_was_asked_for,
    "plugin.NAME.config" => plugin::config_reaches_the_plugin,
    "plugin.NAME.isolation" => plugin::isolation_is_inline_and_nothing_else,
    "plugin.NAME.library" => plugin::library_says_which_tools_there_are,
    "plugin.NAME.limits.concurrent_calls" => bulkhead::so_many_calls_are_at_work_at_once,
    "plugin.NAME.limits.deadline_ms" => plugin::a_call_ends_at_the_deadline_of_its_plugin,
    "plugin.NAME.limits.overrun_us" => plugin::a_tool_that_holds_its_thread_for_longer_is_counted,
    "plugin.NAME.limits.overruns_max" => plugin::a_tool_that_overruns_so_often_is_moved,
    "plugin.NAME.limits.queue_calls" => bulkhead::so_many_calls_wait_besides,
    "plugin.NAME.limits.response_bytes_max" =>
        plugin::a_result_above_the_cap_of_its_plugin_is_refused,
    "plugin.NAME.limits.threads_max" => plugin::blocking_calls_share_so_many_threads,
    "plugin.NAME.tool.NAME.concurrent_calls" =>
        bulkhead::so_many_calls_of_one_tool_are_at_work_at_once,
    "plugin.NAME.tool.NAME.deadline_ms" => bulkhead::a_call_ends_at_the_deadline_of_its_tool,
    "plugin.NAME.tool.NAME.queue_calls" => bulkhead::so_many_calls_of_one_tool_wait_besides,
    "process.worker_threads" => process::so_many_threads_serve_clients,
    "reload.drain_ms" => reload::a_generation_drains_for_so_long,
    "reload.draining_generations_max" => reload::so_many_generations_drain_at_once,
    "reload.images_max" => reload::so_many_libraries_are_in_memory_at_once,
    "reload.interval_ms" => reload::there_is_so_much_time_between_two_changes,
    "reload.probation.calls_min" => probation::with_fewer_calls_shares_are_not_compared,
    "reload.probation.errors_increase_percent" =>
        probation::the_share_of_failures_may_grow_by_so_much,
    "reload.probation.intended_increase_percent" =>
        probation::refusals_that_may_be_meant_may_grow_by_so_much,
    "reload.probation.latency_increase_percent" =>
        probation::a_call_is_slow_that_takes_so_much_longer,
    "reload.probation.mode" => probation::what_does_worse_is_taken_back_or_stays,
    "reload.probation.plugin_faults_max" => probation::plugins_may_have_so_many_faults,
    "reload.probation.refusals_increase_percent" =>
        probation::refusals_that_the_change_did_not_touch_may_grow_by_so_much,
    "reload.probation.slow_increase_percent" =>
        probation::the_share_of_slow_calls_may_grow_by_so_much,
    "reload.probation.watch_ms" => probation::a_probation_lasts_so_long,
    "reload.stage_deadline_ms" => reload::plugins_have_so_long_to_be_ready,
    "reload.watch" => reload::a_changed_file_comes_in_by_itself_or_on_request,
    "request_state.key.env" => request_state::the_key_may_be_an_environment_variable,
    "request_state.key.file" => request_state::the_key_may_be_a_file,
    "request_state.ttl_ms" => request_state::a_state_is_good_for_so_long,
    "server.instructions" => server::instructions_are_what_models_see,
    "server.list_ttl_ms" => server::a_list_says_for_how_long_it_holds,
    "server.name" => server::name_is_what_clients_see,
    "server.page_items_max" => server::a_page_has_so_many_items,
    "server.title" => server::title_is_what_people_see,
    "session.answer_ms" => session::a_question_waits_so_long_for_its_answer,
    "session.idle_ms" => session::a_session_ends_when_it_is_idle,
    "session.replay_bytes_max" => session::a_stream_keeps_so_many_bytes,
    "session.replay_events_max" => session::a_stream_keeps_so_many_events,
    "session.replay_ms" => session::a_finished_stream_is_forgotten,
    "session.sessions_max" => session::sessions_above_their_bound_are_refused,
    "session.streams_max" => session::streams_above_their_bound_are_refused,
    "session.subscriptions_max" => session::resources_above_their_bound_are_not_followed,
    "shutdown.drain_ms" => process::calls_in_flight_may_take_so_long_to_finish,
    "shutdown.notice_ms" => process::the_end_is_announced_for_so_long,
    "tasks.bytes_max" => tasks::tasks_that_keep_too_much_are_refused,
    "tasks.count_max" => tasks::tasks_above_their_bound_are_refused,
    "tasks.deadline_ms" => tasks::a_task_fails_at_its_deadline,
    "tasks.poll_ms" => tasks::a_task_says_how_long_to_wait_between_two_looks,
    "tasks.ttl_ms" => tasks::a_task_is_forgotten_when_its_time_is_over,
}

#[test]
fn every_key_is_exercised_and_nothing_else_is() {
    let keys = profile::keys();
    let untested: Vec<_> =
        keys.iter().filter(|key| EXERCISED.iter().all(|(known, _)| known != key)).collect();
    assert!(untested.is_empty(), "no test exercises {untested:?}");
    let unknown: Vec<_> =
        EXERCISED.iter().filter(|(known, _)| keys.iter().all(|key| key != known)).collect();
    assert!(unknown.is_empty(), "the schema has no such keys: {unknown:?}");
    assert_eq!(EXERCISED.len(), keys.len(), "a key is in the table twice");
}
