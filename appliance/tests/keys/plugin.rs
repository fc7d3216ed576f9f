//! `plugin.NAME`: which library, with which settings, within which bounds.

use serde_json::json;

use crate::program::{Piped, Program, modern_call, plugins};
use crate::wire::{ask, check, echo, metric, refusal, serve, serve_with, text, threads, until};

/// Serves with one more bound of a plugin.
fn limited(plugin: &str, limits: &[(&str, &str)]) -> Program {
    let settings: Vec<_> =
        limits.iter().map(|(key, value)| format!("plugin.{plugin}.limits.{key}={value}")).collect();
    serve(&settings.iter().map(String::as_str).collect::<Vec<_>>())
}

fn tools(program: &Program) -> String {
    ask(program, "tools/list", json!({})).body
}

pub(crate) fn library_says_which_tools_there_are() {
    for (library, tool) in [("libecho.so", "\"echo\""), ("libtime.so", "\"now\"")] {
        let path = plugins().join(library);
        let set = format!("plugin.echo.library={}", path.display());
        let listed = tools(&serve(&[&set]));
        for known in ["\"echo\"", "\"now\""] {
            assert_eq!(listed.contains(known), known == tool, "{library}: {listed}");
        }
    }
}

pub(crate) fn isolation_is_inline_and_nothing_else() {
    assert!(check(&["plugin.echo.isolation=inline"]).0);
    let (is_good, said) = check(&["plugin.echo.isolation=process"]);
    assert!(!is_good && said.contains("plugin.echo.isolation"), "{said}");
}

pub(crate) fn config_reaches_the_plugin() {
    let folders = ["one", "other"].map(|content| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file.txt"), content).expect("written");
        (folder, content)
    });
    for (folder, content) in &folders {
        let plugin = "[plugin.filesystem]\nlibrary = \"libfilesystem.so\"\nconfig.root = ";
        let program = serve_with(&format!("{plugin}{:?}\n", folder.path()), &[]);
        let read = program.call("read_file", &json!({ "path": "file.txt" })).json();
        assert_eq!(text(&read), *content);
    }
}

pub(crate) fn a_call_ends_at_the_deadline_of_its_plugin() {
    for (deadline_ms, kind) in [("20", "timed_out"), ("600000", "")] {
        let program = limited("conformance", &[("deadline_ms", deadline_ms)]);
        let answer = program.call("test_tool_with_progress", &json!({}));
        assert_eq!(refusal(&answer).1, kind);
        let timeouts = metric(&program, "toolrack_plugin_timeouts_total{plugin=\"conformance\"}");
        assert_eq!(timeouts, Some(if kind.is_empty() { 0.0 } else { 1.0 }));
    }
}

fn is_capped_by(table: &str) {
    let setting = |cap| format!("{table}.response_bytes_max={cap}");
    let program = serve(&[&setting("8KiB")]);
    assert_eq!(text(&echo(&program, &"x".repeat(3_000)).json()).len(), 3_000);
    // However often: whoever asks for too much says nothing against the tool.
    let program = serve(&[&setting("1KiB"), "layer.circuit_breaker.calls_min=1"]);
    for _ in 0..3 {
        let answer = echo(&program, &"x".repeat(3_000));
        assert_eq!(refusal(&answer), (413, "payload_too_large".to_owned()));
    }
    assert_eq!(text(&echo(&program, "x").json()), "x");
    let large = metric(&program, "toolrack_plugin_large_results_total{plugin=\"echo\"}");
    assert_eq!(large, Some(3.0));
}

pub(crate) fn a_result_above_the_cap_of_its_plugin_is_refused() {
    is_capped_by("plugin.echo.limits");
}

pub(crate) fn a_result_above_the_cap_of_all_plugins_is_refused() {
    is_capped_by("layer.bulkhead");
}

pub(crate) fn blocking_calls_share_so_many_threads() {
    let begin = |threads_max: u32| {
        let setting = format!("plugin.conformance.limits.threads_max={threads_max}");
        Piped::start_set("", &[&setting])
    };
    // All at once, so that one thread cannot keep up.
    let burst = |piped: &mut Piped| {
        let calls = 32;
        for id in 0..calls {
            let mut call = modern_call("test_simple_text", &json!({}));
            call["id"] = json!(id);
            piped.send(&call.to_string());
        }
        (0..calls).for_each(|_| drop(piped.receive()));
        // Other threads of the plugin have a letter.
        threads(piped.id(), |name| {
            let number = name.strip_prefix("p-conformance-");
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
    };
    let mut many = begin(2);
    let mut bursts = 0;
    until("a second thread", || {
        bursts += 1;
        burst(&mut many) == 2
    });
    let mut one = begin(1);
    (0..=bursts).for_each(|_| assert_eq!(burst(&mut one), 1));
}

/// Calls a tool that does not block, until a counter of its plugin has begun to count; how often it was called.
fn until_counted(program: &Program, counter: &str) -> u32 {
    let mut calls = 0;
    until(counter, || {
        calls += 1;
        echo(program, &"x".repeat(64 << 10));
        counted(program, counter) > 0.0
    });
    calls
}

fn counted(program: &Program, counter: &str) -> f64 {
    metric(program, &format!("{counter}{{plugin=\"echo\"}}")).expect("a counter")
}

const OVERRUNS: &str = "toolrack_plugin_overruns_total";

pub(crate) fn a_tool_that_holds_its_thread_for_longer_is_counted() {
    let start = |overrun_us: &str| limited("echo", &[("overrun_us", overrun_us)]);
    let calls = until_counted(&start("1"), OVERRUNS);
    let patient = start("1000000");
    (0..calls).for_each(|_| drop(echo(&patient, &"x".repeat(64 << 10))));
    assert_eq!(counted(&patient, OVERRUNS), 0.0);
}

pub(crate) fn a_tool_that_overruns_so_often_is_moved() {
    let demoted = "toolrack_plugin_demoted_tools_total";
    let start = |overruns_max: &str| {
        limited("echo", &[("overrun_us", "1"), ("overruns_max", overruns_max)])
    };
    let strict = start("1");
    until_counted(&strict, demoted);
    assert_eq!(counted(&strict, OVERRUNS), 1.0, "moved tools hold no thread that serves others");
    let patient = start("1000000");
    until_counted(&patient, OVERRUNS);
    assert_eq!(counted(&patient, demoted), 0.0);
}
