//! `toolrack selftest` against the real program.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{PATIENCE, Program, plugins, profile, run, toolrack};

/// The layers that the usual profile leaves out.
const ALL_LAYERS: &str = "[layer.pre_auth_limit]\n[layer.rate_limit]\n[layer.fairness]\n[layer.circuit_breaker]\n[layer.bulkhead]\n";

/// Between two calls beside a test.
const BESIDE_EVERY: Duration = Duration::from_millis(300);

/// Limits that are off as the profile says.
const LIMITED: [&str; 3] = [
    "layer.rate_limit.tool_calls_per_sec=5",
    "layer.rate_limit.tool_burst_calls=500",
    "layer.rate_limit.client_tool_calls_per_sec=5",
];

/// What is shown of the usual profile with limits.
const SHOWN: [&str; 57] = [
    "layer.bulkhead.concurrent_calls",
    "layer.bulkhead.queue_calls",
    "layer.bulkhead.queue_wait_ms",
    "layer.circuit_breaker.calls_min",
    "layer.circuit_breaker.failure_percent",
    "layer.circuit_breaker.open_ms",
    "layer.circuit_breaker.open_max_ms",
    "layer.circuit_breaker.window_calls",
    "layer.concurrency.calls_max",
    "layer.concurrency.read_share_percent",
    "layer.concurrency.work_share_percent",
    "layer.connections.connections_max",
    "layer.connections.per_address_max",
    "layer.fairness.client_calls_max",
    "layer.fairness.client_queue_calls_max",
    "layer.fairness.queue_calls_max",
    "layer.fairness.standing_wait_ms",
    "layer.fairness.wait_ms",
    "layer.http.head_bytes_max",
    "layer.http.http2.client_resets_max",
    "layer.http.http2.flood_window_ms",
    "layer.http.http2.requests_max",
    "layer.memory.critical_percent",
    "layer.memory.hard_percent",
    "layer.memory.ledger_bytes_max",
    "layer.origin.allowed_hosts",
    "layer.origin.allowed_origins",
    "layer.payload.request_bytes_max",
    "layer.payload.response_bytes_max",
    "layer.pre_auth_limit.burst_requests",
    "layer.pre_auth_limit.keys_max",
    "layer.rate_limit.burst_calls",
    "layer.rate_limit.client_tool_burst_calls",
    "layer.rate_limit.keys_max",
    "layer.rate_limit.tool_burst_calls",
    "layer.timeout.deadline_ms",
    "listen.public.http.connections_max",
    "listen.public.http.head_ms",
    "listen.public.http.path",
    "listen.public.http.trusted_proxies",
    "listen.public.http.write_ms",
    "plugin.echo.limits.concurrent_calls",
    "request_state.ttl_ms",
    "server.page_items_max",
    "session.answer_ms",
    "session.idle_ms",
    "session.replay_bytes_max",
    "session.replay_events_max",
    "session.replay_ms",
    "session.sessions_max",
    "session.streams_max",
    "session.subscriptions_max",
    "tasks.bytes_max",
    "tasks.count_max",
    "tasks.deadline_ms",
    "tasks.poll_ms",
    "tasks.ttl_ms",
];

/// What no lane can try, of which a report says why.
const BEYOND_REACH: [&str; 8] = [
    "control.refusals_kept",
    "history.generations_max",
    "layer.connections.descriptors_reserve",
    "plugin.echo.limits.deadline_ms",
    "plugin.echo.tool.echo.concurrent_calls",
    "reload.images_max",
    "reload.probation.mode",
    "shutdown.drain_ms",
];

/// What is said of a key that nobody has thought of.
const FORGOTTEN: &str = "no attack of this version tries it";

fn serve(settings: &[&str]) -> Program {
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Program::start(&profile(ALL_LAYERS), &settings)
}

/// Runs a test of this program to its end.
fn selftest(program: &Program, more: &[&str]) -> Output {
    let control = format!("http://{}", program.control);
    run(&[&["selftest", "--control", &control], more].concat())
}

/// The report of a test, and its exit code.
fn report(program: &Program, more: &[&str]) -> (Value, Option<i32>) {
    let output = selftest(program, &[&["--json"], more].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code())
}

/// The findings with this verdict, by their keys.
fn keys<'a>(report: &'a Value, verdict: &str) -> BTreeSet<&'a str> {
    let findings = report["findings"].as_array().expect("findings");
    let of_verdict = findings.iter().filter(|finding| finding["verdict"] == verdict);
    of_verdict.map(|finding| finding["key"].as_str().expect("a key")).collect()
}

/// What is said of a key.
fn finding<'a>(report: &'a Value, key: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["key"] == key).unwrap_or_else(|| panic!("no {key}"))
}

fn ask(program: &Program, method: &str, path: &str) -> (u16, Value) {
    let head = format!(
        "{method} /admin/selftest{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n",
        program.control
    );
    let answer = program.request_control(&head);
    (answer.status, answer.json())
}

/// Begins a test; its path.
fn begin(program: &Program) -> String {
    let (status, body) = ask(program, "POST", "");
    assert_eq!(status, 201, "{body}");
    format!("/{}", body["test"].as_str().expect("an id"))
}

/// What the process has open.
fn descriptors(program: &Program) -> usize {
    fs::read_dir(format!("/proc/{}/fd", program.id())).expect("it runs").count()
}

/// Whether the thread of a test is there.
fn is_testing(program: &Program) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("it runs");
    // A thread may end between the list and the look.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim_end() == "selftest")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
    }
}

#[test]
fn every_key_gets_a_verdict_and_clients_notice_nothing() {
    let program = serve(&[&LIMITED[..], &["plugin.echo.tool.echo.concurrent_calls=2"]].concat());
    let (over, is_over) = channel::<()>();
    let (report, calls, code) = std::thread::scope(|scope| {
        let program = &program;
        let beside = scope.spawn(move || {
            // Slower than any limit of its own, whatever else the machine does.
            let mut calls = 0;
            while is_over.recv_timeout(BESIDE_EVERY) == Err(RecvTimeoutError::Timeout) {
                let answer = program.call("echo", &json!({ "text": "beside" }));
                assert_eq!(answer.status, 200, "{answer:?}");
                calls += 1;
            }
            calls
        });
        let (report, code) = report(program, &[]);
        drop(over);
        (report, beside.join().expect("clients notice nothing"), code)
    });
    assert_eq!(keys(&report, "misbehaved"), BTreeSet::new(), "{report:#}");
    assert_eq!(
        (code, &report["behaved"], &report["stopped"]),
        (Some(0), &json!(true), &Value::Null)
    );
    assert!(calls > 2, "clients were served beside");
    let known = profile::keys();
    let tables = ["layer.", "session.", "tasks.", "reload.", "shutdown."];
    for key in known.iter().filter(|key| tables.iter().any(|table| key.starts_with(table))) {
        assert_ne!(finding(&report, key)["why"], FORGOTTEN, "{key}");
    }
    let shown = &keys(&report, "exercised") | &keys(&report, "changed_behaviour");
    for key in SHOWN {
        assert!(shown.contains(key), "{}", finding(&report, key));
    }
    for key in BEYOND_REACH {
        let beyond = finding(&report, key);
        assert_eq!(beyond["verdict"], "not_exercised", "{beyond}");
        assert_ne!(beyond["why"], FORGOTTEN, "{beyond}");
    }
    let metrics = program.control("/metrics").body;
    let refused = metrics.lines().filter(|line| line.starts_with("toolrack_refusals_total{"));
    let refused: Vec<_> = refused.filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(refused, [""; 0], "what a lane refuses is counted apart");
    let series = "toolrack_connections_accepted_total{listener=\"public\"}";
    let accepted = format!("{series} {}", calls);
    assert!(metrics.lines().any(|line| line == accepted), "{accepted}");
}

#[test]
fn a_layer_that_only_watches_or_is_off_is_told_as_such() {
    let program = serve(&[
        "layer.concurrency.mode=shadow",
        "layer.concurrency.calls_max=4",
        "layer.origin.mode=off",
    ]);
    let (report, code) = report(&program, &["--layer", "concurrency", "--layer", "origin"]);
    assert_eq!(code, Some(0), "{report:#}");
    let watched = finding(&report, "layer.concurrency.calls_max");
    assert_eq!(watched["verdict"], "not_exercised", "{watched}");
    assert!(
        watched["why"].as_str().is_some_and(|why| why.contains("would have refused 1 times")),
        "{watched}"
    );
    assert_eq!(finding(&report, "layer.origin.mode")["why"], "the layer is off");
    let findings = report["findings"].as_array().expect("findings");
    let asked_for = ["layer.concurrency.", "layer.origin."];
    for key in findings.iter().map(|finding| finding["key"].as_str().expect("a key")) {
        assert!(asked_for.iter().any(|table| key.starts_with(table)), "{key}");
    }
}

#[test]
fn a_table_says_the_same_to_people() {
    let program = serve(&[]);
    let output = selftest(&program, &["--layer", "origin"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "layer.origin.allowed_hosts",
        "changed behaviour",
        "403 -32600 origin_forbidden",
        "0 misbehaved.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = selftest(&program, &["--layer", "none"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn one_test_at_a_time_has_one_lane_at_a_time() {
    let program = serve(&[]);
    let test = begin(&program);
    assert_eq!(ask(&program, "POST", "").0, 409);
    let output = selftest(&program, &[]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is running"), "{output:?}");
    let lane = |query: &str| ask(&program, "PUT", &format!("{test}/lane?{query}"));
    let address = |lane: &Value| {
        let address = lane["listeners"][0]["address"].as_str();
        address.expect("an address").to_owned()
    };
    let (status, first) = lane("layer.timeout.deadline_ms=400");
    assert_eq!((status, &first["plan"]["layers"]["timeout"]["deadline_ms"]), (200, &json!(400)));
    let connected = std::net::TcpStream::connect(address(&first));
    connected.expect("it listens");
    let (status, refused) = lane("layer.concurrency.read_share_percent=1");
    assert_eq!(status, 400, "{refused}");
    let (_, second) = lane("");
    let connected = std::net::TcpStream::connect(address(&first));
    assert!(connected.is_err() || address(&first) == address(&second), "the first lane is gone");
    assert_eq!(ask(&program, "PUT", &format!("{test}/memory?percent=99")).1["level"], "critical");
    let live = program.call("echo", &json!({ "text": "calm" }));
    assert_eq!(live.status, 200, "memory is short in the lane alone");
    assert_eq!(ask(&program, "DELETE", "/another").0, 404);
    assert_eq!(ask(&program, "DELETE", &test).0, 200);
    assert_eq!(ask(&program, "GET", &test).0, 404);
    let again = begin(&program);
    assert_eq!(ask(&program, "DELETE", &again).0, 200);
}

#[test]
fn a_test_leaves_nothing_behind() {
    let program = serve(&[]);
    let test = |layer| report(&program, &["--layer", layer]).1;
    // The image of the probe stays from here on, as that of every plugin does.
    assert_eq!(test("origin"), Some(0));
    until("the thread ends", || !is_testing(&program));
    let before = descriptors(&program);
    for layer in ["concurrency", "timeout", "session"] {
        assert_eq!(test(layer), Some(0), "{layer}");
    }
    until("everything is closed", || descriptors(&program) <= before);
    until("the thread ends", || !is_testing(&program));
}

#[test]
fn a_test_whose_client_is_gone_ends_by_itself() {
    let mut program = serve(&[]);
    let test = begin(&program);
    assert_eq!(ask(&program, "PUT", &format!("{test}/lane?")).0, 200);
    program.wait_for(|_, line| line["message"] == "The self-test has ended.");
    assert_eq!(ask(&program, "GET", &test).0, 404);
    // One that runs when the process ends does not keep it.
    begin(&program);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

/// The program in a folder of its own, with no plugin but `echo` beside it.
fn without_probe() -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let program = folder.path().join("toolrack");
    for (from, to) in [
        (env!("CARGO_BIN_EXE_toolrack").into(), program.clone()),
        (plugins().join("libecho.so"), folder.path().join("libecho.so")),
        (plugins().join("libconformance.so"), folder.path().join("libconformance.so")),
    ] {
        fs::hard_link(&from, &to).expect("the same file system");
    }
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOOLRACK_")) {
        command.env_remove(name);
    }
    (folder, command)
}

#[test]
fn a_test_without_the_probe_is_no_whole_one_and_says_what_to_mend() {
    let (_folder, command) = without_probe();
    let program =
        Program::start_by(command, &profile(ALL_LAYERS), &["--set", "layer.memory.mode=off"]);
    let (report, code) =
        report(&program, &["--layer", "origin", "--layer", "timeout", "--layer", "listen"]);
    assert_eq!((code, &report["behaved"]), (Some(75), &json!(false)), "{report:#}");
    let said = report["stopped"].as_str().expect("a sentence");
    for part in
        ["without the plugin `probe` 2 keys were not tried", "`libprobe.so`", "copy it there"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(finding(&report, "layer.origin.allowed_hosts")["verdict"], "changed_behaviour");
    for key in ["listen.public.http.head_ms", "listen.public.http.path"] {
        assert_eq!(finding(&report, key)["verdict"], "changed_behaviour", "{key}");
    }
    for key in ["layer.timeout.deadline_ms", "listen.public.http.write_ms"] {
        let missing = finding(&report, key);
        assert_eq!(missing["verdict"], "not_exercised");
        assert_eq!(missing["why"], "the probe is missing");
    }
    let findings = report["findings"].as_array().expect("findings");
    let told: BTreeSet<_> = findings.iter().map(|finding| finding["key"].as_str()).collect();
    assert_eq!(told.len(), findings.len(), "each key is told once: {report:#}");
    let output = selftest(&program, &["--layer", "timeout"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("The test is not whole: without the plugin `probe` 1 key was"), "{said}");
    // What is off, and what needs no probe, lacks none.
    for layer in ["origin", "memory", "reload"] {
        let output = selftest(&program, &["--layer", layer]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_profile_that_no_attack_reaches_is_not_tested_and_told_so() {
    let profile = profile("");
    let text = fs::read_to_string(&profile).expect("a profile");
    let text = text.replace("http = { bind = \"127.0.0.1:0\" }", "stdio = {}");
    fs::write(&profile, text).expect("written");
    let program = Program::start_with_stdio(&profile, &[]);
    let (report, code) = report(&program, &[]);
    assert_eq!((code, &report["behaved"]), (Some(75), &json!(false)), "{report:#}");
    let said = report["stopped"].as_str().expect("a sentence");
    assert!(said.contains("no listener for HTTP"), "{said}");
}

#[test]
fn an_appliance_that_is_not_there_is_no_good_one() {
    let output = run(&["selftest", "--control", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let output = toolrack().args(["selftest", "--control", "ftp://x"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}
