//! Content blocks, prompt messages, completions.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The result of a tool, block by block.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    content: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

impl ToolResult {
    /// No blocks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, block: Value) -> Self {
        self.content.push(block);
        self
    }

    /// Adds text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(json!({ "type": "text", "text": text.into() }))
    }

    /// Adds an image; `data` is base64.
    #[must_use]
    pub fn image(self, data: &str, mime: &str) -> Self {
        self.with(json!({ "type": "image", "data": data, "mimeType": mime }))
    }

    /// Adds a sound; `data` is base64.
    #[must_use]
    pub fn audio(self, data: &str, mime: &str) -> Self {
        self.with(json!({ "type": "audio", "data": data, "mimeType": mime }))
    }

    /// Adds a resource with its text.
    #[must_use]
    pub fn resource(self, uri: &str, mime: &str, text: &str) -> Self {
        self.with(json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": text } }))
    }

    /// Adds a link to a resource (2025-06-18 and newer).
    #[must_use]
    pub fn resource_link(self, uri: &str, name: &str, mime: Option<&str>) -> Self {
        let mut block = json!({ "type": "resource_link", "uri": uri, "name": name });
        if let Some(mime) = mime {
            block["mimeType"] = mime.into();
        }
        self.with(block)
    }

    /// Adds structure beside the blocks.
    #[must_use]
    pub fn structured(mut self, value: Value) -> Self {
        self.structured_content = Some(value);
        self
    }

    /// Marks the result as a failure of the tool.
    #[must_use]
    pub const fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Adds a member to `_meta`; the prefixes of the protocol are not for plugins.
    #[must_use]
    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, Serialize)]
pub struct PromptMessage {
    role: &'static str,
    content: Value,
}

impl PromptMessage {
    /// Text that the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: "user", content: json!({ "type": "text", "text": text.into() }) }
    }

    /// Text that the assistant says.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: "assistant", content: json!({ "type": "text", "text": text.into() }) }
    }

    /// An image of the user; `data` is base64.
    #[must_use]
    pub fn user_image(data: &str, mime: &str) -> Self {
        Self { role: "user", content: json!({ "type": "image", "data": data, "mimeType": mime }) }
    }

    /// A resource of the user, with its text.
    #[must_use]
    pub fn user_resource(uri: &str, mime: &str, text: &str) -> Self {
        let resource = json!({ "uri": uri, "mimeType": mime, "text": text });
        Self { role: "user", content: json!({ "type": "resource", "resource": resource }) }
    }
}

/// A resource that a plugin lists at run time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceEntry {
    /// Its URI.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// Its MIME type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Cow<'static, str>>,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What is to be completed.
#[derive(Clone, Debug, Deserialize)]
pub struct CompletionRequest {
    /// The prompt or the template.
    #[serde(rename = "ref")]
    pub reference: CompletionReference,
    /// The argument.
    pub argument: CompletionArgument,
}

/// What the argument belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
pub enum CompletionReference {
    /// A prompt.
    #[serde(rename = "ref/prompt")]
    Prompt {
        /// Its name.
        name: String,
    },
    /// A resource or template.
    #[serde(rename = "ref/resource")]
    Resource {
        /// Its URI.
        uri: String,
    },
}

/// An argument and how far it has been typed.
#[derive(Clone, Debug, Deserialize)]
pub struct CompletionArgument {
    /// Its name.
    pub name: String,
    /// What was typed.
    pub value: String,
}

/// Values for an argument.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    values: Vec<String>,
    total: usize,
    has_more: bool,
}

impl Completion {
    /// At most this many values go out (completion/complete, all revisions).
    pub const VALUES_MAX: usize = 100;

    /// The best values first.
    #[must_use]
    pub fn new(mut values: Vec<String>) -> Self {
        let total = values.len();
        values.truncate(Self::VALUES_MAX);
        Self { values, total, has_more: total > Self::VALUES_MAX }
    }
}
