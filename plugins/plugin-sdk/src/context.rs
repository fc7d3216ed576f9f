//! What a running call can say and ask.

use std::time::Duration;

use plugin_abi::{self as abi, CallArgs, OK, Str};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::output::Output;
use crate::questions::{Answers, Elicited, Questions, Sampled};

/// Severity of a message to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)] // RFC 5424's own names.
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// One running call.
pub struct Context {
    host: Host,
    call: u64,
    wants_progress: bool,
    client: u32,
    /// What earlier rounds left; most calls have none.
    rounds: Option<Box<Rounds>>,
}

/// What the client brought back.
#[derive(Default)]
struct Rounds {
    answers: Answers,
    state: Value,
}

impl Context {
    /// Reads a call.
    ///
    /// # Safety
    /// `args` must be what `call` was given, within that call.
    pub(crate) unsafe fn new(host: Host, args: &CallArgs) -> Self {
        // SAFETY: the caller vouches for what the arguments lend.
        let (answers, state) = unsafe { (args.answers_json.as_bytes(), args.state.as_bytes()) };
        let rounds = (args.round > 0).then(|| Box::new(Rounds::read(answers, state)));
        let wants_progress = args.flags & abi::CF_PROGRESS != 0;
        Self { host, call: args.call, wants_progress, client: args.client, rounds }
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> Host {
        self.host
    }

    pub(crate) const fn call(&self) -> u64 {
        self.call
    }

    /// Whether the client wants to hear of progress. Telling it anyway costs little.
    #[must_use]
    pub const fn wants_progress(&self) -> bool {
        self.wants_progress
    }

    /// Tells the client how far the call is; `total` when it is known. Values must increase.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when nobody waits for the result any more: pass it on with `?`.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: &str) -> Result<()> {
        let table = self.host.table();
        let Some(tell) = table.progress else {
            return Ok(());
        };
        let message = Str::new(message.as_bytes());
        // SAFETY: the text is lent until this returns.
        let rc = unsafe { tell(table.ctx, self.call, progress, total.unwrap_or(0.0), message) };
        if rc == OK { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Whether nobody waits for the result any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled(self.call)
    }

    /// Ends the call here when nobody waits for it any more.
    ///
    /// # Errors
    /// [`Error::Cancelled`] then.
    pub fn checkpoint(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Sends a message to the client of this call, if it wants messages of this level.
    pub fn message(&self, level: Level, logger: &str, data: &impl Serialize) {
        let table = self.host.table();
        let (Some(tell), Ok(data)) = (table.message, serde_json::to_string(data)) else {
            return;
        };
        let (logger, data) = (Str::new(logger.as_bytes()), Str::new(data.as_bytes()));
        // SAFETY: the texts are lent until this returns.
        unsafe { tell(table.ctx, self.call, level as i32, logger, data) };
    }

    /// Writes to the operator's log.
    pub fn log(&self, message: &str) {
        self.host.log_raw(self.call, abi::log::INFO, "tool", message);
    }

    /// Lets the client's connection go: a 2025-11-25 client comes back for the result after `retry`.
    pub fn detach(&self, retry: Duration) {
        let table = self.host.table();
        if let Some(detach) = table.detach {
            let retry_ms = u32::try_from(retry.as_millis()).unwrap_or(u32::MAX);
            // SAFETY: callable at any time.
            unsafe { detach(table.ctx, self.call, retry_ms) };
        }
    }

    /// Whether the client declared that it can be asked this: one of the `TR_CLIENT_` flags of the header.
    #[must_use]
    pub const fn client_has(&self, flag: u32) -> bool {
        self.client & flag == flag
    }

    /// Asks everything in `questions` at once.
    ///
    /// # Errors
    /// [`Error::InputRequired`] until every question has an answer that fits it: pass it on with `?`.
    pub fn ask(&self, questions: &Questions) -> Result<Answers> {
        match &self.rounds {
            Some(rounds) => rounds.answers.complete(questions),
            None => Answers::default().complete(questions),
        }
    }

    /// Asks the user to fill in a form with the fields of `T`.
    ///
    /// # Errors
    /// As for [`Context::ask`].
    pub fn elicit<T: JsonSchema + DeserializeOwned>(
        &self,
        name: &str,
        message: &str,
    ) -> Result<Elicited<T>> {
        let questions = Questions::new().elicit::<T>(name, message);
        let answers = self.ask(&questions)?;
        answers.elicited(name).ok_or_else(|| Error::InputRequired(Box::new(questions)))
    }

    /// Asks the client's model for text.
    ///
    /// # Errors
    /// As for [`Context::ask`].
    pub fn sample(&self, name: &str, prompt: &str, max_tokens: u32) -> Result<Sampled> {
        let questions = Questions::new().sample(name, prompt, max_tokens);
        let answers = self.ask(&questions)?;
        answers.sampled(name).ok_or_else(|| Error::InputRequired(Box::new(questions)))
    }

    /// Asks for the client's roots: their URIs.
    ///
    /// # Errors
    /// As for [`Context::ask`].
    pub fn roots(&self, name: &str) -> Result<Vec<String>> {
        let questions = Questions::new().roots(name);
        let answers = self.ask(&questions)?;
        answers.roots(name).ok_or_else(|| Error::InputRequired(Box::new(questions)))
    }

    /// What [`Questions::state`] gave the client to bring back. Nobody else can have made or changed it.
    #[must_use]
    pub fn state<T: DeserializeOwned>(&self) -> Option<T> {
        let state = self.rounds.as_ref()?.state.clone();
        serde_json::from_value(state).ok()
    }

    /// Writes the questions of an [`Error::InputRequired`], with everything that the next round needs.
    pub(crate) fn write_questions(
        &self,
        mut questions: Questions,
        output: &mut Output,
    ) -> Result<()> {
        let answers =
            self.rounds.as_ref().map(|rounds| rounds.answers.0.clone()).unwrap_or_default();
        let state = questions.take_state();
        if !answers.is_empty() || state.is_some() {
            let carried = json!({ "answers": answers, "state": state });
            output.set_state(serde_json::to_vec(&carried)?);
        }
        output.set_status(abi::status::INPUT_REQUIRED);
        output.json(abi::format::RESULT_JSON, questions.requests())
    }
}

impl Rounds {
    fn read(answers: &[u8], state: &[u8]) -> Self {
        let new: Map<String, Value> = serde_json::from_slice(answers).unwrap_or_default();
        let mut carried: Value = serde_json::from_slice(state).unwrap_or_default();
        let mut all = match carried.get_mut("answers").map(Value::take) {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        };
        all.extend(new);
        let state = carried.get_mut("state").map(Value::take).unwrap_or_default();
        Self { answers: Answers(all), state }
    }
}
