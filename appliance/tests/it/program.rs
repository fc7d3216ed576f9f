//! Starts the program and speaks to it as clients do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes: a test that waits for ever must fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program as it was built for this test, with no setting of its environment.
pub(crate) fn toolrack() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolrack"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOOLRACK_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    toolrack().args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

/// Where the plugins are: beside the program.
pub(crate) fn plugins() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_toolrack")).parent().expect("a folder").to_owned()
}

/// A profile with every layer, the echo and conformance plugins, and `more`.
pub(crate) fn profile(more: &str) -> tempfile::TempPath {
    let text = format!(
        "format = 1\n[listen.public]\nhttp = {{ bind = \"127.0.0.1:0\" }}\n[control]\nbind = \"127.0.0.1:0\"\n\
         [layer.connections]\nconnections_max = 500\ndescriptors_reserve = 64\n[layer.http]\n[layer.origin]\n[layer.payload]\n[layer.memory]\n\
         [layer.concurrency]\n[layer.timeout]\n\
         [plugin.echo]\nlibrary = \"libecho.so\"\n[plugin.conformance]\nlibrary = \"libconformance.so\"\n{more}"
    );
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file.into_temp_path()
}

/// The program with at most so many file descriptors.
pub(crate) fn toolrack_with_descriptors(count: u32) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_toolrack"));
    shell
}

/// The exit code of a program, which it has unless a signal ended it, and what it said.
pub(crate) type Ended = (Option<i32>, Vec<Value>);

/// A running program.
pub(crate) struct Program {
    child: Child,
    /// In a mutex so that threads of one test can call the program at once.
    lines: Mutex<Receiver<Value>>,
    /// Its standard input and output, if there is a listener on them.
    stdio: Option<(ChildStdin, BufReader<ChildStdout>)>,
    pub(crate) address: String,
    pub(crate) control: String,
    /// What it said before it served.
    pub(crate) said: Vec<Value>,
}

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Whether it tells its client to wait for so long and up to a fifth more, and twice the same.
    pub(crate) fn waits_about(&self, wait_ms: u64) -> bool {
        let told_ms = self.json()["error"]["data"]["retry_after_ms"].as_u64().unwrap_or_default();
        let secs = told_ms.div_ceil(1_000).to_string();
        (wait_ms..wait_ms + wait_ms / 5).contains(&told_ms)
            && self.header("retry-after") == Some(secs.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Program {
    /// Starts it and waits until it serves.
    pub(crate) fn start(profile: &Path, more: &[&str]) -> Self {
        Self::start_by(toolrack(), profile, more)
    }

    /// Starts it by a command that says more of its environment.
    pub(crate) fn start_by(mut command: Command, profile: &Path, more: &[&str]) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(command, profile, more)
    }

    /// Starts it by a command that has something on its standard input already.
    pub(crate) fn start_passed(command: Command, profile: &Path, more: &[&str]) -> Self {
        Self::spawn(command, profile, more)
    }

    /// Starts it with a client on its standard input, of a profile that listens there as well.
    pub(crate) fn start_with_stdio(profile: &Path, more: &[&str]) -> Self {
        let mut command = toolrack();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command, profile, more)
    }

    /// The same of one that may end before it serves; then its exit code, and what it said.
    pub(crate) fn try_start_by(
        mut command: Command,
        profile: &Path,
        more: &[&str],
    ) -> Result<Self, Ended> {
        command.stdin(Stdio::null());
        Self::try_spawn(command, profile, more)
    }

    fn spawn(command: Command, profile: &Path, more: &[&str]) -> Self {
        Self::try_spawn(command, profile, more)
            .unwrap_or_else(|ended| panic!("the program ended: {ended:#?}"))
    }

    fn try_spawn(mut command: Command, profile: &Path, more: &[&str]) -> Result<Self, Ended> {
        command.args(["serve", "--profile"]).arg(profile).args(more);
        command.args(["--set", "log.format=json"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stdio = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line))).ok();
            }
        });
        let mut program = Self {
            child,
            lines: Mutex::new(lines),
            stdio,
            address: String::new(),
            control: String::new(),
            said: Vec::new(),
        };
        let host = |url: &Value| {
            url.as_str().and_then(|url| url.split('/').nth(2)).unwrap_or_default().to_owned()
        };
        let serving = program.read_until(|program, line| {
            match line["message"].as_str() {
                Some("Listening.") => program.address = host(&line["url"]),
                Some("Control listening.") => program.control = host(&line["url"]),
                Some(message) if message.starts_with("Serving") => return true,
                Some(_) | None => {}
            }
            program.said.push(line.clone());
            false
        });
        match serving {
            Ok(_) => Ok(program),
            Err(said) => Err((program.wait(), said)),
        }
    }

    /// Reads the log until a line is the one.
    pub(crate) fn wait_for(&mut self, is_it: impl FnMut(&mut Self, &Value) -> bool) -> Value {
        self.read_until(is_it).unwrap_or_else(|said| panic!("the program ended; it said {said:#?}"))
    }

    /// The same; everything that it said when it ended without the line.
    fn read_until(
        &mut self,
        mut is_it: impl FnMut(&mut Self, &Value) -> bool,
    ) -> Result<Value, Vec<Value>> {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.get_mut().expect("no test panics with it").recv() {
            if is_it(self, &line) {
                return Ok(line);
            }
            said.push(line);
        }
        Err(said)
    }

    /// Sends one request on a connection of its own and reads the answer to its end.
    pub(crate) fn request(&self, head: &str, body: &str) -> Answer {
        exchange(&self.address, head, body)
    }

    /// POSTs a message with what every client sends.
    pub(crate) fn post(&self, headers: &str, message: &Value) -> Answer {
        self.post_text(headers, &message.to_string())
    }

    pub(crate) fn post_text(&self, headers: &str, body: &str) -> Answer {
        self.request(&self.head_of_post(headers, body), body)
    }

    /// POSTs a message and leaves its answer to be read, or not.
    pub(crate) fn begin(&self, headers: &str, message: &Value) -> TcpStream {
        let body = message.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("{}\r\n{body}", self.head_of_post(headers, &body));
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }

    fn head_of_post(&self, headers: &str, body: &str) -> String {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}",
            self.address,
            body.len()
        )
    }

    /// Shakes hands and returns the headers of the session.
    #[allow(clippy::needless_pass_by_value)] // Tests read better with values.
    pub(crate) fn session(&self, revision: &str, capabilities: Value) -> String {
        let params = json!({ "protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" } });
        let answer = self.post(
            "",
            &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }),
        );
        assert_eq!(answer.json()["result"]["protocolVersion"], revision);
        let session =
            format!("Mcp-Session-Id: {}\r\n", answer.header("mcp-session-id").expect("an id"));
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&session, &initialized).status, 202);
        session
    }

    /// A modern call of a tool.
    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.post(&modern_headers("tools/call", Some(tool)), &modern_call(tool, arguments))
    }

    /// Sends a message on standard input and reads the answer.
    pub(crate) fn ask_stdio(&mut self, message: &Value) -> Value {
        let (input, output) = self.stdio.as_mut().expect("it was started with a client there");
        writeln!(input, "{message}").and_then(|()| input.flush()).expect("it reads");
        let mut line = String::new();
        output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line:?}"))
    }

    /// Reads a path of the control listener.
    pub(crate) fn control(&self, path: &str) -> Answer {
        exchange(&self.control, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.control), "")
    }

    /// Sends a request of any kind to the control listener.
    pub(crate) fn request_control(&self, head: &str) -> Answer {
        exchange(&self.control, head, "")
    }

    /// The same with a body.
    pub(crate) fn post_control(&self, path: &str, headers: &str, body: &str) -> Answer {
        let (host, length) = (&self.control, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}"
        );
        exchange(&self.control, &head, body)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Headers of a modern request.
pub(crate) fn modern_headers(method: &str, name: Option<&str>) -> String {
    let name = name.map_or_else(String::new, |name| format!("Mcp-Name: {name}\r\n"));
    format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
}

/// `params` of a modern request.
pub(crate) fn modern_params(mut params: Value, capabilities: &Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    params
}

/// A modern call of a tool, with id 7.
pub(crate) fn modern_call(tool: &str, arguments: &Value) -> Value {
    let params = modern_params(json!({ "name": tool, "arguments": arguments }), &json!({}));
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params })
}

/// One request on a connection that closes after it.
pub(crate) fn exchange(address: &str, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request = format!("{head}Connection: close\r\n\r\n{body}");
    // A refusal may come before all of a large body is written.
    stream.write_all(request.as_bytes()).ok();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok();
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        unchunk(body)
    } else {
        body.to_owned()
    };
    Answer { status, head: head.to_owned(), body }
}

fn unchunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    out
}

/// A program that speaks over its standard input and output.
pub(crate) struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _profile: tempfile::TempPath,
}

impl Piped {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With `more` of a profile.
    pub(crate) fn start_with(more: &str) -> Self {
        Self::start_set(more, &[])
    }

    /// With `more` of a profile, and `--set` for each of `settings`.
    pub(crate) fn start_set(more: &str, settings: &[&str]) -> Self {
        let (mut command, profile) = Self::command(more, settings);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output, _profile: profile }
    }

    /// The command line, and its profile.
    pub(crate) fn command(more: &str, settings: &[&str]) -> (Command, tempfile::TempPath) {
        let text = "format = 1\n[listen.desktop]\nstdio = {}\n[layer.payload]\nrequest_bytes_max = \"64KiB\"\n\
            [layer.timeout]\n[plugin.echo]\nlibrary = \"libecho.so\"\n[plugin.conformance]\nlibrary = \"libconformance.so\"\n\
            [log]\nfilter = \"warn\"\n";
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file.write_all(more.as_bytes()).expect("written");
        let profile = file.into_temp_path();
        let mut command = toolrack();
        command.args(["serve", "--profile"]).arg(&profile);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        (command, profile)
    }

    pub(crate) fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it reads");
    }

    /// Gives away its input, which then ends with whoever has it.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.input.take().expect("open")
    }

    pub(crate) fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line:?}"))
    }

    pub(crate) fn ask(&mut self, message: &Value) -> Value {
        self.send(&message.to_string());
        self.receive()
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Everything that is still said, and the exit code.
    pub(crate) fn wait(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        (rest, self.child.wait().expect("it ends").code())
    }

    /// Closes the input; everything that is still said, and the exit code.
    pub(crate) fn close(mut self) -> (String, Option<i32>) {
        self.input.take();
        self.wait()
    }
}
