//! What a plugin offers, as the [`macro@crate::plugin`] attribute registers it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::content::{CompletionRequest, ResourceEntry};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::output::Output;

/// A plugin without settings: its `config` table must be absent or empty.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// A plugin. Implemented by the [`macro@crate::plugin`] attribute.
pub trait Author: Sized + Send + Sync + 'static {
    /// For example `acme.weather`.
    const ID: &'static str;
    /// The version of its crate.
    const VERSION: &'static str;
    /// Its settings in the profile.
    type Config: DeserializeOwned;

    /// Makes it.
    ///
    /// # Errors
    /// Why it cannot run; the text is shown to the operator.
    fn create(config: Self::Config, host: &Host) -> Result<Self>;

    /// Registers what it offers.
    fn items() -> Items<Self>;
}

/// What a call of an async item becomes.
pub type Running = Pin<Box<dyn Future<Output = Result<Output>> + Send>>;
/// Runs where it is called: the plugin, the call, its parameters or URI, and where the result goes.
pub type Here<P> = fn(&P, &Context, &str, &mut Output) -> Result<()>;
/// Runs on the event loop.
pub type Later<P> = fn(Arc<P>, Context, String, Output) -> Running;

/// How an item is called.
pub enum Handler<P> {
    /// On the plugin's pool.
    Blocking(Here<P>),
    /// On the caller's thread: returns within a millisecond.
    Nonblocking(Here<P>),
    /// On the plugin's event loop.
    Async(Later<P>),
}

impl<P> Handler<P> {
    pub(crate) const fn mode(&self) -> &'static str {
        match self {
            Self::Blocking(_) => "blocking",
            Self::Nonblocking(_) => "nonblocking",
            Self::Async(_) => "async",
        }
    }
}

/// Whether the calls of a tool may run as tasks: the client asks for the result later (2026-07-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSupport {
    /// Never.
    Forbidden,
    /// For clients that know tasks; for the others they run as ever.
    Optional,
    /// Always: other clients cannot call the tool.
    Required,
}

impl TaskSupport {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// A tool.
pub struct ToolItem<P> {
    /// Its name.
    pub name: &'static str,
    /// For the model.
    pub description: &'static str,
    /// For people.
    pub title: Option<&'static str>,
    /// `annotations`, for example `readOnlyHint`.
    pub hints: &'static [(&'static str, bool)],
    /// Makes the input schema.
    pub input_schema: fn() -> Value,
    /// Makes the output schema.
    pub output_schema: Option<fn() -> Value>,
    /// Whether its calls may run as tasks.
    pub task: TaskSupport,
    /// Whether its first questions are asked before there is a task, which begins with their answers.
    pub questions_first: bool,
    /// How it is called.
    pub handler: Handler<P>,
}

/// A resource or a template.
pub struct ResourceItem<P> {
    /// Its URI or URI template.
    pub uri: &'static str,
    /// Its name.
    pub name: &'static str,
    /// For people and models.
    pub description: &'static str,
    /// Its MIME type.
    pub mime: Option<&'static str>,
    /// How it is read.
    pub handler: Handler<P>,
}

/// A prompt.
pub struct PromptItem<P> {
    /// Its name.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// Makes the schema of its arguments: strings only.
    pub arguments: fn() -> Value,
    /// How it is rendered.
    pub handler: Handler<P>,
}

/// Everything that a plugin offers.
pub struct Items<P> {
    /// Tools, in the order in which they are listed.
    pub tools: Vec<ToolItem<P>>,
    /// Resources.
    pub resources: Vec<ResourceItem<P>>,
    /// Resource templates.
    pub templates: Vec<ResourceItem<P>>,
    /// Prompts.
    pub prompts: Vec<PromptItem<P>>,
    /// Completes arguments.
    pub complete: Option<fn(&P, &CompletionRequest) -> Result<crate::Completion>>,
    /// Lists resources at run time, after the fixed ones.
    pub list: Option<fn(&P) -> Vec<ResourceEntry>>,
    /// Reads a resource that `list` gave.
    pub read: Option<Here<P>>,
    /// A client began or ended to follow a resource.
    pub watch: Option<fn(&P, &str, bool)>,
    /// What every client is told of this plugin.
    pub instructions: Option<&'static str>,
}

impl<P> Default for Items<P> {
    fn default() -> Self {
        Self {
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            complete: None,
            list: None,
            read: None,
            watch: None,
            instructions: None,
        }
    }
}

impl<P> Items<P> {
    pub(crate) fn has_async(&self) -> bool {
        let is_async = |handler: &Handler<P>| matches!(handler, Handler::Async(_));
        self.tools.iter().any(|item| is_async(&item.handler))
            || self.resources.iter().chain(&self.templates).any(|item| is_async(&item.handler))
            || self.prompts.iter().any(|item| is_async(&item.handler))
    }

    /// The description that the host asks for.
    pub(crate) fn describe(&self, listed: &[ResourceEntry]) -> Value {
        let resource = |item: &ResourceItem<P>, key: &str| {
            let mut object = json!({ key: item.uri, "name": item.name, "_exec": { "mode": item.handler.mode() } });
            set_text(&mut object, "description", item.description);
            set_text(&mut object, "mimeType", item.mime.unwrap_or_default());
            object
        };
        let mut resources: Vec<_> =
            self.resources.iter().map(|item| resource(item, "uri")).collect();
        resources.extend(listed.iter().map(|entry| json!(entry)));
        json!({
            "tools": self.tools.iter().map(describe_tool).collect::<Vec<_>>(),
            "resources": resources,
            "resourceTemplates": self.templates.iter().map(|item| resource(item, "uriTemplate")).collect::<Vec<_>>(),
            "prompts": self.prompts.iter().map(describe_prompt).collect::<Vec<_>>(),
            "completions": self.complete.is_some(),
            "instructions": self.instructions,
        })
    }
}

fn set_text(object: &mut Value, key: &str, text: &str) {
    if !text.is_empty() {
        object[key] = text.into();
    }
}

fn describe_tool<P>(item: &ToolItem<P>) -> Value {
    let mut object = json!({
        "name": item.name,
        "inputSchema": (item.input_schema)(),
        "_exec": { "mode": item.handler.mode(), "checked": true },
    });
    if item.task != TaskSupport::Forbidden {
        object["_exec"]["task"] = item.task.as_str().into();
        object["_exec"]["questions_first"] = item.questions_first.into();
    }
    set_text(&mut object, "title", item.title.unwrap_or_default());
    set_text(&mut object, "description", item.description);
    if let Some(schema) = item.output_schema {
        object["outputSchema"] = schema();
    }
    if !item.hints.is_empty() {
        let hints: Map<_, _> =
            item.hints.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        object["annotations"] = hints.into();
    }
    object
}

fn describe_prompt<P>(item: &PromptItem<P>) -> Value {
    let schema = (item.arguments)();
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties =
        schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let arguments: Vec<_> = properties
        .iter()
        .map(|(name, property)| {
            let mut argument = json!({ "name": name, "required": required.contains(&json!(name)) });
            set_text(
                &mut argument,
                "description",
                property.get("description").and_then(Value::as_str).unwrap_or_default(),
            );
            argument
        })
        .collect();
    let mut object = json!({ "name": item.name, "arguments": arguments, "_exec": { "mode": item.handler.mode() } });
    set_text(&mut object, "description", item.description);
    object
}

/// The schema of an argument type, as tools show it.
#[must_use]
pub fn arguments_schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(schema) = schema.as_object_mut() {
        // The name of a Rust type means nothing to a model, and 2020-12 is the protocol's own dialect.
        schema.remove("title");
        schema.remove("$schema");
        schema.entry("type").or_insert_with(|| "object".into());
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    schema
}

/// Reads arguments; what does not fit is named with its path.
///
/// # Errors
/// [`Error::Invalid`].
pub fn arguments<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        // Positions in a text that the caller never saw help nobody.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        Error::Invalid(format!("The arguments do not fit: {what}."))
    })
}

/// Serializes for tests.
pub(crate) fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
