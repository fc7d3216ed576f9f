//! `toolrack bench` against the real program: what its receipt says must be so.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use json_schema::Schema;
use serde_json::Value;

use crate::program::{Program, profile, toolrack};

/// A finished run.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    receipt: Value,
    page: String,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = toolrack();
    command.arg("bench").arg("--out").arg(folder).args(["--connections", "16"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read(folder: &Path, output: Output) -> Run {
    let text = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
        receipt: serde_json::from_str(&text("receipt.json")).unwrap_or_default(),
        page: text("receipt.html"),
    }
}

/// Runs to the end.
fn bench(arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path(), arguments).output().expect("it runs");
    read(folder.path(), output)
}

/// With an appliance of its own.
fn bench_own(more: &str, arguments: &[&str]) -> Run {
    let profile = profile(more);
    let path = profile.to_string_lossy();
    bench(&[&["--profile", &path], arguments].concat())
}

/// Begins a run, and waits until standard error has a line that begins so.
fn begin(folder: &Path, arguments: &[&str], line: &str) -> (Child, BufReader<ChildStderr>) {
    let mut child = command(folder, arguments).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.starts_with(line) {
        said.clear();
        let got = stderr.read_line(&mut said).expect("text");
        assert_ne!(got, 0, "it ended before it said {line:?}");
    }
    (child, stderr)
}

fn steps(receipt: &Value) -> Vec<&Value> {
    let array = |name: &str| receipt[name].as_array().into_iter().flatten();
    let unloaded = Some(&receipt["unloaded"]).filter(|step| !step.is_null());
    unloaded.into_iter().chain(array("search")).chain(array("steps")).collect()
}

fn fits_the_schema(receipt: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/receipt.schema.json");
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    let schema = Schema::compile(&schema).expect("a schema");
    let misfits = schema.misfits(receipt, 10);
    assert!(misfits.is_empty(), "{misfits:?}");
}

/// The receipt fits its published schema, and no call of any step is missing or counted twice.
fn is_sound(run: &Run) {
    fits_the_schema(&run.receipt);
    let sum = |kinds: &Value| -> u64 {
        kinds.as_object().into_iter().flatten().filter_map(|(_, calls)| calls.as_u64()).sum()
    };
    for step in steps(&run.receipt) {
        let calls = |name: &str| step[name].as_u64().expect("a count");
        let ended = calls("accepted") + calls("refused") + calls("failed") + calls("not_sent");
        assert_eq!(calls("offered"), ended, "{step}");
        assert_eq!(calls("refused"), sum(&step["refusals"]), "{step}");
        assert_eq!(calls("failed"), sum(&step["errors"]), "{step}");
    }
    assert!(run.page.contains("<h1>Load receipt</h1>"));
}

#[test]
fn receipts_of_earlier_versions_fit_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/receipts");
    let boxes: Vec<_> = std::fs::read_dir(folder).expect("a folder").collect();
    assert!(!boxes.is_empty());
    for entry in boxes {
        let path = entry.expect("an entry").path().join("receipt.json");
        let text = std::fs::read_to_string(&path).expect("a receipt");
        fits_the_schema(&serde_json::from_str(&text).expect("JSON"));
    }
}

#[test]
fn receipt_of_an_own_appliance_adds_up() {
    let run = bench_own("", &["--seconds", "0.4", "--calls-per-sec", "100"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    let steps = run.receipt["steps"].as_array().expect("steps");
    let offered: Vec<_> = steps.iter().map(|step| step["offered"].as_u64()).collect();
    assert_eq!(offered, [40, 80, 200, 400].map(Some));
    assert_eq!(steps[0]["failed"], 0, "{}", steps[0]);
    assert!(steps[0]["accepted"].as_u64() > Some(0), "{}", steps[0]);
    assert_eq!(run.receipt["profile"]["plan_sha256"].as_str().map(str::len), Some(64));
    for step in steps {
        assert!(step["health"]["probes"].as_u64() > Some(5), "{step}");
        assert!(step["server"]["resident_bytes_max"].as_u64() > Some(1 << 20), "{step}");
        assert!(step["server"]["descriptors_max"].as_u64() > Some(10), "{step}");
        assert!(step["generator_lateness"]["p99_us"].as_f64() > Some(0.0), "{step}");
    }
    assert_eq!(run.page.matches("<svg").count(), 3);
    assert!(run.stdout.contains("Envelope: 100 calls/s, as given."), "{}", run.stdout);
    assert!(run.stdout.contains("health probes lost or not well: 0.00 (goal: at most 0.00): held"));
}

#[test]
fn peak_is_measured_when_no_rate_is_given() {
    let run = bench_own("", &["--seconds", "0.2"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    assert_eq!(run.receipt["envelope"]["is_measured"], true);
    assert_eq!(run.receipt["search"][0]["generator_lateness"], Value::Null);
    let peak = run.receipt["envelope"]["calls_per_sec"].as_f64().expect("a rate");
    let closed = run.receipt["search"][0]["goodput_per_sec"].as_f64().expect("a rate");
    assert!(peak > 1.0 && peak <= closed * 1.25, "{peak} {closed}");
    let planned = run.receipt["steps"][3]["planned_per_sec"].as_f64().expect("a rate");
    assert!((planned / peak - 10.0).abs() < 1e-6, "{planned} {peak}");
}

#[test]
fn refusals_have_the_names_of_their_kinds() {
    let misbehave = "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n";
    let slow = ["--tool", "block_loop", "--arguments", "{\"ms\":40}"];
    let rate =
        ["--seconds", "0.4", "--calls-per-sec", "20", "--set", "layer.concurrency.calls_max=1"];
    let run = bench_own(misbehave, &[&slow[..], &rate].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    let last = &run.receipt["steps"][3];
    assert!(last["refusals"]["overloaded"].as_u64() > Some(0), "{last}");
    assert!(last["accepted"].as_u64() > Some(0), "{last}");
    assert!(last["refusal_answer"]["p99_us"].as_f64() > Some(0.0), "{last}");
    assert!(run.stdout.contains("refused overloaded"), "{}", run.stdout);
}

#[test]
fn sessions_are_loaded_as_well() {
    let run = bench_own("", &["--seconds", "0.2", "--calls-per-sec", "50", "--era", "session"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    assert_eq!(run.receipt["load"]["era"], "session");
    let first = &run.receipt["steps"][0];
    assert!(first["accepted"].as_u64() > Some(0) && first["failed"] == 0, "{first}");
}

#[test]
fn running_appliance_is_loaded_where_it_is() {
    let program = Program::start(&profile(""), &[]);
    let url = format!("http://{}/mcp", program.address);
    let control = format!("http://{}/", program.control);
    let rate = ["--seconds", "0.2", "--calls-per-sec", "50"];
    let run = bench(&[&["--url", &url, "--control", &control], &rate[..]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    assert_eq!(run.receipt["load"]["is_own_server"], false);
    assert!(run.receipt["profile"]["name"].is_string());
    let server = |run: &Run| run.receipt["steps"][0]["server"]["resident_bytes_max"].as_u64();
    assert!(server(&run) > Some(1 << 20));
    let pid = std::process::id().to_string();
    let unknown = bench(&[&["--url", &url, "--pid", &pid], &rate[..]].concat());
    assert_eq!(unknown.code, Some(0), "{}", unknown.stderr);
    is_sound(&unknown);
    let nothing = &Value::Null;
    assert_eq!(
        (&unknown.receipt["profile"], &unknown.receipt["steps"][0]["health"]),
        (nothing, nothing)
    );
}

#[test]
fn load_and_appliance_are_kept_apart_where_there_is_room() {
    let run = bench_own("", &["--seconds", "0.2", "--calls-per-sec", "50", "--apart"]);
    if std::thread::available_parallelism().is_ok_and(|count| count.get() == 1) {
        assert_eq!(run.code, Some(64), "{}", run.stderr);
        return assert!(run.stderr.contains("leave the option out"), "{}", run.stderr);
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    is_sound(&run);
    let on = |whose: &str| run.receipt["load"][whose].as_str().expect("a list").to_owned();
    let (load, server) = (on("load_processors"), on("server_processors"));
    assert!(load.parse::<usize>().is_ok_and(|last| last > 0), "{load}");
    assert!(!server.split([',', '-']).any(|processor| processor == load), "{server} {load}");
    let said = format!("Processors: the server on {server}, the load on {load}.");
    assert!(run.stdout.contains(&said), "{}", run.stdout);
}

#[test]
fn killed_server_ends_the_run_and_is_reported() {
    let program = Program::start(&profile(""), &[]);
    let url = format!("http://{}/mcp", program.address);
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--url", &url, "--seconds", "4", "--calls-per-sec", "50"];
    let (child, _stderr) = begin(folder.path(), &arguments, "unloaded:");
    program.signal("KILL");
    let run = read(folder.path(), child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, Some(75));
    is_sound(&run);
    let why = run.receipt["ended_early"].as_str().unwrap_or_default();
    assert!(why.contains("cannot reach") || why.contains("does not answer any more"), "{why}");
    assert!(run.stdout.contains(&format!("Ended early: {why}")), "{}", run.stdout);
}

#[test]
fn interrupted_run_shows_what_there_is() {
    let profile = profile("");
    let path = profile.to_string_lossy();
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--profile", &path, "--seconds", "2", "--calls-per-sec", "20"];
    let (child, _stderr) = begin(folder.path(), &arguments, "unloaded:");
    let signalled = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(signalled.expect("kill runs").success());
    let run = read(folder.path(), child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, Some(75));
    is_sound(&run);
    assert_eq!(run.receipt["ended_early"], "stopped by a signal");
    assert!(run.receipt["unloaded"]["accepted"].as_u64() > Some(0));
    assert!(run.receipt["steps"].as_array().map(Vec::len) < Some(4));
}

/// The process that `parent` started.
fn child_of(parent: u32) -> u32 {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(path).expect("Linux tells");
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a child")
}

#[test]
fn the_appliance_of_a_killed_run_ends_as_well() {
    let profile = profile("");
    let path = profile.to_string_lossy();
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--profile", &path, "--seconds", "1", "--calls-per-sec", "20"];
    let (mut bench, _stderr) = begin(folder.path(), &arguments, "unloaded:");
    let appliance = rustix::process::Pid::from_raw(child_of(bench.id()) as i32).expect("a pid");
    let ends = rustix::process::pidfd_open(appliance, rustix::process::PidfdFlags::empty());
    let ends = ends.expect("it lives");
    bench.kill().expect("it dies");
    bench.wait().expect("it has died");
    let mut ended = [rustix::event::PollFd::new(&ends, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut ended, Some(&patience)).expect("a poll"), 1);
}

#[test]
fn what_would_fail_for_every_call_is_said_at_once() {
    let program = Program::start(&profile(""), &[]);
    let fails = |arguments: &[&str], code, what: &str| {
        let run = bench(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(what), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.receipt, Value::Null, "{arguments:?}");
    };
    let url = format!("http://{}/mcp", program.address);
    let port = program.address.rsplit(':').next().expect("a port");
    fails(&["--url", &url, "--tool", "no_such"], 75, "calling `no_such` fails");
    // Another name of this machine, which is not on the list.
    let stranger = format!("http://127.1:{port}/mcp");
    fails(&["--url", &stranger], 75, "refuses every call (origin_forbidden)");
    fails(&["--url", &format!("http://{}/", program.address)], 75, "the path of an MCP endpoint?");
    fails(&["--url", &url, "--control", &url], 75, "is it the control listener?");
    fails(&["--url", "https://127.0.0.1/"], 64, "speaks plain HTTP");
    fails(&["--url", &url, "--seconds", "0"], 64, "--seconds 0: must be between");
    fails(&["--url", &url, "--arguments", "[]"], 64, "must be an object");
    fails(&["--url", &url, "--pid", "4294967295"], 64, "--pid");
    fails(&["--profile", "desktop"], 78, "does not serve HTTP");
    fails(&["--profile", "edge-1c1g"], 78, "add --set plugin.echo.library=libecho.so");
    drop(program);
    fails(&["--url", &url], 75, "cannot reach 127.0.0.1");
}

#[test]
fn appliance_that_does_not_start_says_why() {
    let run = bench_own("[plugin.none]\nlibrary = \"libnone_such.so\"\n", &["--quick"]);
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(run.stderr.contains("libnone_such.so"), "{}", run.stderr);
}
