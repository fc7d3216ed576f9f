//! Connections that are looked at byte by byte, and what the tests of several rooms begin with.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{
    Answer, PATIENCE, Program, modern_call, modern_headers, modern_params, profile, run,
};

/// Serves the usual profile with these settings.
pub(crate) fn serve(settings: &[&str]) -> Program {
    serve_with("", settings)
}

/// The same with `more` of a profile.
pub(crate) fn serve_with(more: &str, settings: &[&str]) -> Program {
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Program::start(&profile(more), &settings)
}

/// Whether the usual profile is good with these settings, and what is said of it.
pub(crate) fn check(settings: &[&str]) -> (bool, String) {
    let file = profile("");
    let mut arguments = vec!["check", "--profile", file.to_str().expect("UTF-8")];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let output = run(&arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(matches!(output.status.code(), Some(0 | 78)), "{said}");
    (output.status.success(), said)
}

/// Asks again until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
    }
}

/// Waits for a line of the metrics.
pub(crate) fn until_metric(program: &Program, line: &str) {
    until_metrics(program, &[line]);
}

/// Waits until one look at the metrics shows all these lines.
pub(crate) fn until_metrics(program: &Program, lines: &[&str]) {
    until(&lines.join(", "), || {
        let metrics = program.control("/metrics").body;
        lines.iter().all(|line| metrics.lines().any(|found| found == *line))
    });
}

/// The value of a series; `None` when it is not there.
pub(crate) fn metric(program: &Program, series: &str) -> Option<f64> {
    let metrics = program.control("/metrics").body;
    let mut values =
        metrics.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    values.next().map(|value| value.parse().expect("a number"))
}

/// How many threads of a process have a name like this.
pub(crate) fn threads(process: u32, is_like: impl Fn(&str) -> bool) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let names = tasks.filter_map(|task| {
        // A thread may end between the list and the look.
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    });
    names.filter(|name| is_like(name.trim_end())).count()
}

/// A call that says the text back.
pub(crate) fn echo(program: &Program, text: &str) -> Answer {
    program.call("echo", &json!({ "text": text }))
}

/// A request of a modern client without capabilities.
pub(crate) fn ask(program: &Program, method: &str, params: Value) -> Answer {
    ask_with(program, method, params, &json!({}))
}

/// A request of a modern client with these capabilities.
pub(crate) fn ask_with(
    program: &Program,
    method: &str,
    params: Value,
    capabilities: &Value,
) -> Answer {
    let name = ["taskId", "name", "uri"].iter().find_map(|key| params.get(key)?.as_str());
    let headers = modern_headers(method, name);
    let params = modern_params(params, capabilities);
    program
        .post(&headers, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

/// A request.
pub(crate) fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// Status and kind of a refusal.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    let kind = &answer.json()["error"]["data"]["refusal"];
    (answer.status, kind.as_str().unwrap_or_default().to_owned())
}

/// The text of a tool's result.
pub(crate) fn text(message: &Value) -> &str {
    message["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

/// A POST of `message` on a connection that stays.
pub(crate) fn posted(program: &Program, headers: &str, message: &Value) -> String {
    let body = message.to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        program.address,
        body.len()
    )
}

/// A call that says the text back, on a connection that stays.
pub(crate) fn echo_posted(program: &Program, text: &str) -> String {
    let call = modern_call("echo", &json!({ "text": text }));
    posted(program, &modern_headers("tools/call", Some("echo")), &call)
}

/// Headers and body of a call that speaks before it answers.
pub(crate) fn speaking_call(tool: &str) -> (String, Value) {
    let mut call = modern_call(tool, &json!({ "mark": "it" }));
    call["params"]["_meta"]["progressToken"] = json!("p");
    (modern_headers("tools/call", Some(tool)), call)
}

/// A connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(program: &Program) -> Self {
        Self::at(&program.address)
    }

    /// Opens one at another listener than the last.
    pub(crate) fn at(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self(stream)
    }

    /// Opens one and sends `text` on it.
    pub(crate) fn with(program: &Program, text: &str) -> Self {
        let mut connection = Self::open(program);
        connection.send(text);
        connection
    }

    /// A call that works until it is cancelled; it has begun.
    pub(crate) fn waiting(program: &Program) -> Self {
        let (headers, call) = speaking_call("test_cancellation");
        let mut waiting = Self::with(program, &posted(program, &headers, &call));
        waiting.until("Waiting to be cancelled.");
        waiting
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("it reads");
    }

    /// Sends from a thread of its own, for as long as the other side reads.
    pub(crate) fn send_apart(&self, text: String) {
        let mut stream = self.0.try_clone().expect("a second handle");
        std::thread::spawn(move || stream.write_all(text.as_bytes()).ok());
    }

    /// Reads until `part` was read, and no more than came with it.
    pub(crate) fn until(&mut self, part: &str) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = match self.0.read(&mut chunk) {
                // A read with a limit does not go on by itself when the process was stopped for a moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.expect("in time"),
            };
            bytes.extend_from_slice(&chunk[..count]);
            let read = String::from_utf8_lossy(&bytes);
            if read.contains(part) {
                return read.into_owned();
            }
            assert!(count > 0, "the connection ended before {part:?}: {read}");
        }
    }

    /// Reads to the end.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            // Cut, with bytes of ours unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("in time")),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
