//! The control listener of a program that serves.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use telemetry::Metric;

use super::*;

/// Longer than any test takes: a test that waits for ever must fail.
const PATIENCE: Duration = Duration::from_secs(30);

const PROFILE: &str = "\
format = 1
[listen.public]
http = { bind = \"127.0.0.1:0\", first_byte_ms = 3600000 }
[control]
bind = \"127.0.0.1:0\"
[layer.origin]
[layer.concurrency]
[log]
format = \"json\"
";

/// A running program.
struct Serving {
    child: Child,
    data: String,
    control: String,
    /// What the log said before it served.
    said: Vec<String>,
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        // Whole before the first thing that may fail, so that the program is ended in any case.
        let mut serving =
            Self { child, data: String::new(), control: String::new(), said: Vec::new() };
        let mut log = BufReader::new(serving.child.stderr.take().expect("piped")).lines();
        for line in log.by_ref() {
            let line = line.expect("text");
            let line: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("one object a line: {line}"));
            let address = || {
                let url = line["url"].as_str();
                url.and_then(|url| url.split('/').nth(2)).expect("a URL").to_owned()
            };
            match line["message"].as_str().expect("a message") {
                "Listening." => serving.data = address(),
                "Control listening." => serving.control = address(),
                message if message.starts_with("Serving.") => break,
                message => serving.said.push(message.to_owned()),
            }
        }
        // Somebody must read on, or the program would wait for room in the pipe.
        std::thread::spawn(move || log.count());
        serving
    }

    /// Asks the control listener, on a connection of its own.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.control).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_scrape_shows_each_series_once_under_the_head_of_its_metric() {
    let more = "[listen.second]\nhttp = { bind = \"127.0.0.1:0\" }\n";
    let file = profile(&format!("{PROFILE}{more}"));
    let mut command = toolrack();
    command.args(["serve", "--profile"]).arg(&file);
    let serving = Serving::start(command);
    let answer = serving.get("/metrics");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let known: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let (mut heads, mut seen, mut head) = (BTreeSet::new(), BTreeSet::new(), "");
    for line in body.lines().filter(|line| !line.is_empty() && !line.starts_with("# HELP ")) {
        if let Some(of_type) = line.strip_prefix("# TYPE ") {
            head = of_type.split(' ').next().expect("a name");
            assert!(known.contains(head), "{head} is not in the reference");
            assert!(heads.insert(head), "{head} is there twice");
            continue;
        }
        let (series, _) = line.rsplit_once(' ').expect("a value");
        assert_eq!(series.split('{').next(), Some(head), "under the head of another");
        assert!(seen.insert(series), "{series} is there twice");
    }
    for series in
        ["toolrack_generation", "toolrack_bound_limit{bound=\"connections\",scope=\"second\"}"]
    {
        assert!(seen.contains(series), "{series} is not in {body}");
    }
}

#[test]
fn probes_get_in_when_clients_have_used_up_every_descriptor() {
    let file = profile(PROFILE);
    // A shell, because a limit is inherited.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 160; exec \"$0\" serve --profile \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_toolrack")).arg(&file);
    let serving = Serving::start(command);
    let clients: Vec<_> =
        (0..160).map(|_| TcpStream::connect(&serving.data).expect("connects")).collect();
    let folder = format!("/proc/{}/fd", serving.child.id());
    let begun = Instant::now();
    while std::fs::read_dir(&folder).expect("the program runs").count() < 160 {
        assert!(begun.elapsed() < PATIENCE, "the program has descriptors enough");
    }
    // More often than there are descriptors in reserve: each goes back to it.
    for _ in 0..200 {
        assert!(serving.get("/livez").ends_with("\r\n\r\nok\n"));
    }
    drop(clients);
}

#[test]
fn takes_all_the_descriptors_it_may_and_says_when_connections_need_more() {
    let file = profile(PROFILE);
    for (connections_max, warns) in [("244", false), ("245", true)] {
        let mut command = Command::new("sh");
        let set = format!("listen.public.http.connections_max={connections_max}");
        command.args(["-c", "ulimit -Sn 64; ulimit -Hn 500; exec \"$@\"", "sh"]);
        command.args([env!("CARGO_BIN_EXE_toolrack"), "serve", "--set", &set, "--profile"]);
        let serving = Serving::start({
            command.arg(&file);
            command
        });
        let limits = format!("/proc/{}/limits", serving.child.id());
        let limits = std::fs::read_to_string(limits).expect("the program runs");
        let files = limits.lines().find(|line| line.starts_with("Max open files"));
        let soft = files.and_then(|line| line.split_whitespace().nth(3));
        assert_eq!(soft, Some("500"), "{limits}");
        let warned = serving.said.iter().any(|line| line.contains("may open only 500 files"));
        assert_eq!(warned, warns, "{:?}", serving.said);
    }
}
