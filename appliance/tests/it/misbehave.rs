//! A plugin that does wrong beside one that does not, in one real process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Program, modern_call, modern_headers, profile, toolrack};

/// The plugin with short bounds, and `more` of its table.
fn beside_echo(more: &str) -> tempfile::TempPath {
    profile(&format!(
        "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n{more}\n[plugin.misbehave.limits]\n\
         deadline_ms = 1500\nconcurrent_calls = 8\nqueue_calls = 8\nthreads_max = 6\nresponse_bytes_max = \"1MiB\"\n"
    ))
}

fn with_panic_in(step: &str) -> tempfile::TempPath {
    beside_echo(&format!("config = {{ panics_in = \"{step}\" }}"))
}

fn echoes(program: &Program) {
    let answer = program.call("echo", &json!({"text": "still here"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["result"]["content"][0]["text"], "still here", "{answer:?}");
}

/// Calls a tool, and expects the fault of every tool that failed by itself.
fn fails(program: &Program, tool: &str, arguments: &Value, message: &str) {
    let answer = program.call(tool, arguments);
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["message"]), (&json!(-32603), &json!(message)), "{tool}");
}

/// Calls a tool that does not end, and expects the refusal of its deadline.
fn times_out(program: &Program, tool: &str) {
    let answer = program.call(tool, &json!({}));
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["data"]["refusal"]), (&json!(-32019), &json!("timed_out")));
    assert_eq!(error["data"]["scope"], "plugin:misbehave");
}

/// A call whose client wants to hear of progress; what it is answered in the end.
fn flood(program: &Program, what: &str) -> Value {
    let mut call = modern_call("flood", &json!({"what": what, "count": 5_000}));
    call["params"]["_meta"]["progressToken"] = json!("flood");
    call["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    let answer = program.post(&modern_headers("tools/call", Some("flood")), &call);
    let last = answer.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    let last = last.map(|data| serde_json::from_str(data).expect("JSON"));
    let mut last: Value = last.unwrap_or_else(|| answer.json());
    last["result"]["content"][0]["text"].take()
}

#[test]
fn panics_hangs_and_floods_leave_the_process_and_its_other_plugins_alone() {
    let mut program = Program::start(&beside_echo(""), &["--set", "shutdown.drain_ms=1000"]);
    let served = &program;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let neighbours: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut echoed = 0;
                    while !is_over.load(Relaxed) {
                        echoes(served);
                        echoed += 1;
                    }
                    echoed
                })
            })
            .collect();
        let wrongs: Vec<_> = [panics, talks_rubbish, floods, hangs]
            .map(|wrong| scope.spawn(move || wrong(served)))
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        is_over.store(true, Relaxed);
        for neighbour in neighbours {
            assert!(neighbour.join().expect("every echo came back") > 0);
        }
        assert!(wrongs.iter().all(Result::is_ok), "each wrong ends as it should");
    });
    program.wait_for(|_, line| {
        line["message"] == "Plugin logs too much; its lines of this second are left out."
    });
    assert_eq!(program.control("/readyz").status, 200);
    let asked = Instant::now();
    program.signal("TERM");
    let stopped = program.wait_for(|_, line| line["message"] == "Plugin did not stop.");
    assert_eq!(stopped["plugin"], "misbehave");
    assert_eq!(program.wait(), Some(0));
    // Nobody waits for a call any more: only the grace of plugins that hang is spent.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

fn panics(program: &Program) {
    for _ in 0..5 {
        fails(program, "panic", &json!({}), "The tool failed internally.");
        fails(program, "panic", &json!({"twice": true}), "The tool failed internally.");
        fails(program, "panic_here", &json!({}), "The tool failed internally.");
        fails(program, "panic_async", &json!({}), "The tool failed internally.");
    }
}

fn talks_rubbish(program: &Program) {
    for kind in ["utf8", "duplicate_keys", "too_deep", "no_mime", "reserved_meta"] {
        let message = "The tool returned something that cannot be passed on.";
        fails(program, "rubbish", &json!({ "kind": kind }), message);
    }
    // Where one MiB is allowed.
    for (tool, bytes) in [("large", 64 << 20), ("large_question", 1 << 20)] {
        let error = program.call(tool, &json!({ "bytes": bytes })).json()["error"].take();
        let data = &error["data"];
        let refusal = (&data["refusal"], &data["limit"], &data["layer"], &data["scope"]);
        let (kind, layer) = (json!("payload_too_large"), json!("plugin"));
        assert_eq!(refusal, (&kind, &json!(1 << 20), &layer, &json!("response")), "{tool}");
    }
    assert_eq!(program.call("large", &json!({"bytes": 1_000})).status, 200);
}

fn floods(program: &Program) {
    for what in ["progress", "messages", "log", "changes"] {
        assert_eq!(flood(program, what), "done", "{what}");
    }
}

fn hangs(program: &Program) {
    // Each holds a thread of its plugin for good; two of six are left for the other tools.
    std::thread::scope(|scope| {
        for tool in ["hang", "hang", "hang", "hang", "never"] {
            scope.spawn(move || times_out(program, tool));
        }
    });
    // A thread that serves is held too; the tool is moved away from there after a few.
    for _ in 0..8 {
        assert_eq!(program.call("block", &json!({"ms": 5})).status, 200);
    }
}

#[test]
fn a_plugin_that_panics_at_its_start_is_an_error_of_the_profile() {
    for (step, said) in [
        (
            "start",
            "plugin.misbehave: the plugin refuses to start: panicked: asked to panic in start",
        ),
        ("describe", "plugin.misbehave: the plugin's description is wrong: describe returned -11"),
    ] {
        let profile: &Path = &with_panic_in(step);
        let output =
            toolrack().args(["serve", "--profile"]).arg(profile).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_plugin_that_panics_later_keeps_what_it_had_and_ends_with_the_process() {
    let mut program = Program::start(&with_panic_in("describe_again"), &[]);
    assert_eq!(flood(&program, "changes"), "done");
    let kept = program.wait_for(|_, line| line["message"] == "Changed lists are not followed.");
    assert_eq!(kept["plugin"], "misbehave");
    echoes(&program);
    assert_eq!(program.call("large", &json!({"bytes": 3})).status, 200);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));

    let mut program = Program::start(&with_panic_in("stop"), &[]);
    echoes(&program);
    program.signal("TERM");
    let stopped = program.wait_for(|_, line| line["message"] == "Plugin did not stop.");
    assert!(stopped["error"].as_str().is_some_and(|error| error.contains("code -11")), "{stopped}");
    assert_eq!(program.wait(), Some(0));
}
