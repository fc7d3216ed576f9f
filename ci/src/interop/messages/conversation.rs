//! A conversation with the real program over standard input and output, of which every message is kept.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::Specimen;
use crate::run;

/// No message is this long in coming.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(30);

/// The names that the schema of a revision gives to messages.
pub(super) struct Names {
    /// A response with a result.
    pub(super) response: &'static str,
    /// A response with an error.
    pub(super) error: &'static str,
}

/// What a refusal must fit beside the definition of all refusals.
#[derive(Clone, Copy)]
pub(super) enum Fits {
    /// Nothing.
    Plain,
    /// A definition of the whole response.
    Response(&'static str),
    /// A definition of its error alone.
    Error(&'static str),
}

/// The program, and what it has said.
pub(super) struct Conversation {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    names: Names,
    /// What to answer to the program's requests, by method.
    answers: fn(&str) -> Value,
    next_id: u64,
    /// Where the files are that it serves.
    pub(super) files: PathBuf,
    pub(super) specimens: Vec<Specimen>,
}

impl Conversation {
    /// Starts the program.
    pub(super) fn start(
        label: &str,
        names: Names,
        answers: fn(&str) -> Value,
    ) -> Result<Self, String> {
        let files = run::root().join("target/ci/interop/messages").join(label);
        std::fs::create_dir_all(&files).map_err(|error| format!("{}: {error}", files.display()))?;
        let program = run::target().join("debug/toolrack");
        let root = format!("plugin.filesystem.config.root={}", files.display());
        let arguments = ["serve", "--profile", "ci/interop/stdio.toml", "--set", &root];
        let mut child = run::program(&program.to_string_lossy(), &arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let input = child.stdin.take().ok_or("no standard input to write")?;
        let output = child.stdout.take().ok_or("no standard output to read")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let specimens = Vec::new();
        Ok(Self { child, input, lines, names, answers, next_id: 1, files, specimens })
    }

    /// Writes a file among those that are served.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path: &Path = &self.files.join(name);
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Sends a line.
    pub(super) fn send(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.input, "{line}")
            .and_then(|()| self.input.flush())
            .map_err(|error| format!("the program does not read: {error}"))
    }

    /// Sends a request and keeps everything until its answer, whose result must fit `definition`; the result.
    pub(super) fn ask(
        &mut self,
        method: &str,
        params: &Value,
        definition: &'static str,
    ) -> Result<Value, String> {
        let id = self.request(method, params)?;
        let asked = format!("{method} {}", params["name"].as_str().unwrap_or_default());
        let response = self.until(&asked, |message| message["id"] == id && is_response(message))?;
        if response.get("result").is_none() {
            return Err(format!("{asked} was refused: {response}"));
        }
        self.keep(self.names.response, &asked, &response);
        self.keep(definition, &asked, &response["result"]);
        Ok(response["result"].clone())
    }

    /// Sends a request that must be refused with `code`.
    pub(super) fn refused(
        &mut self,
        method: &str,
        params: &Value,
        code: i64,
        fits: Fits,
    ) -> Result<(), String> {
        let id = self.request(method, params)?;
        let response = self.until(method, |message| message["id"] == id && is_response(message))?;
        self.keep_refusal(method, &response, code, fits)
    }

    /// Keeps a refusal, wherever it came from.
    pub(super) fn keep_refusal(
        &mut self,
        asked: &str,
        response: &Value,
        code: i64,
        fits: Fits,
    ) -> Result<(), String> {
        if response["error"]["code"] != code {
            return Err(format!("{asked} was not refused with {code}: {response}"));
        }
        self.keep(self.names.error, asked, response);
        match fits {
            Fits::Plain => {}
            Fits::Response(definition) => self.keep(definition, asked, response),
            Fits::Error(definition) => self.keep(definition, asked, &response["error"]),
        }
        Ok(())
    }

    /// Sends a request and does not wait; its id.
    pub(super) fn request(&mut self, method: &str, params: &Value) -> Result<u64, String> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&request.to_string())?;
        Ok(id)
    }

    /// Keeps everything until a notification with this method.
    pub(super) fn hear(&mut self, asked: &str, method: &str) -> Result<(), String> {
        self.until(asked, |message| message["method"] == method).map(drop)
    }

    /// Reads until a message is the one; keeps every notification, keeps and answers every request.
    pub(super) fn until(
        &mut self,
        asked: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        loop {
            let line = self.lines.recv_timeout(MESSAGE_DEADLINE);
            let line = line.map_err(|_| format!("{asked}: the program says no more"))?;
            let message: Value = serde_json::from_str(&line)
                .map_err(|error| format!("{asked}: not a message: {error}: {line}"))?;
            if let Some(method) = message["method"].as_str() {
                let definition = definition_of(method)
                    .ok_or_else(|| format!("{asked}: nobody knows {method}"))?;
                self.keep(definition, asked, &message);
                if let Some(id) = message.get("id") {
                    let result = (self.answers)(method);
                    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                    self.send(&answer.to_string())?;
                }
            }
            if is_it(&message) {
                return Ok(message);
            }
        }
    }

    /// Keeps a message or a part of one.
    pub(super) fn keep(&mut self, definition: &'static str, asked: &str, value: &Value) {
        let asked = asked.trim_end().to_owned();
        self.specimens.push(Specimen { definition, asked, value: value.clone() });
    }

    /// Asks the program to end; what it still has to say can be read.
    pub(super) fn end(&self) -> Result<(), String> {
        run::must("kill", &["-s", "TERM", &self.child.id().to_string()])
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn is_response(message: &Value) -> bool {
    message.get("method").is_none()
}

/// The definition of what a server sends of its own accord.
fn definition_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "notifications/progress" => "ProgressNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/cancelled" => "CancelledNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        "elicitation/create" => "ElicitRequest",
        "sampling/createMessage" => "CreateMessageRequest",
        "roots/list" => "ListRootsRequest",
        _ => return None,
    })
}
