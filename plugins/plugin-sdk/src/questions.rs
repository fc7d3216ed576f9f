//! Asking the client: a user's input, a model's text, the client's roots.
//!
//! A question ends the call. The client answers by calling again, and the same line of the tool then returns the
//! answer. So nothing may have a side effect before the last question, and no thread waits for a person.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What is asked in one round, each under a name of its own.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    requests: Map<String, Value>,
    state: Option<Value>,
}

impl Questions {
    /// Nothing asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: &str, method: &str, params: Value) -> Self {
        self.requests.insert(name.to_owned(), json!({ "method": method, "params": params }));
        self
    }

    /// Asks the user to fill in a form; its fields are those of `T`: a flat struct of strings, numbers, booleans.
    #[must_use]
    pub fn elicit<T: JsonSchema>(self, name: &str, message: &str) -> Self {
        let mut schema = schemars::schema_for!(T).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.retain(|key, _| matches!(key.as_str(), "type" | "properties" | "required"));
            schema.entry("properties").or_insert_with(|| json!({}));
        }
        self.elicit_schema(name, message, schema)
    }

    /// The same with a schema of one's own (`requestedSchema`).
    #[must_use]
    pub fn elicit_schema(self, name: &str, message: &str, schema: Value) -> Self {
        let params = json!({ "message": message, "requestedSchema": schema });
        self.with(name, "elicitation/create", params)
    }

    /// Asks the client's model for text.
    #[must_use]
    pub fn sample(self, name: &str, prompt: &str, max_tokens: u32) -> Self {
        let content = json!({ "type": "text", "text": prompt });
        let params = json!({ "messages": [{ "role": "user", "content": content }], "maxTokens": max_tokens });
        self.with(name, "sampling/createMessage", params)
    }

    /// Asks for the client's roots.
    #[must_use]
    pub fn roots(self, name: &str) -> Self {
        self.with(name, "roots/list", json!({}))
    }

    /// Gives the client something to bring back with its answers. It cannot read or change it.
    #[must_use]
    pub fn state(mut self, state: Value) -> Self {
        self.state = Some(state);
        self
    }

    pub(crate) const fn requests(&self) -> &Map<String, Value> {
        &self.requests
    }

    pub(crate) fn take_state(&mut self) -> Option<Value> {
        self.state.take()
    }
}

/// What the client answered, over all rounds so far.
#[derive(Clone, Debug, Default)]
pub struct Answers(pub(crate) Map<String, Value>);

/// What a user did with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elicited<T> {
    /// Filled it in.
    Accepted(T),
    /// Said no.
    Declined,
    /// Closed it.
    Cancelled,
}

impl<T> Elicited<T> {
    /// The word of the protocol: `accept`, `decline` or `cancel`.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accept",
            Self::Declined => "decline",
            Self::Cancelled => "cancel",
        }
    }
}

/// What a client's model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The text, all blocks of it.
    pub text: String,
    /// Which model.
    pub model: String,
}

impl Answers {
    /// What the user did with the form `name`; `None` for an answer that fits no form, as if it were not there.
    #[must_use]
    pub fn elicited<T: DeserializeOwned>(&self, name: &str) -> Option<Elicited<T>> {
        let answer = self.0.get(name)?;
        match answer.get("action")?.as_str()? {
            "accept" => {
                let content = answer.get("content").cloned().unwrap_or_else(|| json!({}));
                serde_json::from_value(content).ok().map(Elicited::Accepted)
            }
            "decline" => Some(Elicited::Declined),
            "cancel" => Some(Elicited::Cancelled),
            _ => None,
        }
    }

    /// What the model said to `name`.
    #[must_use]
    pub fn sampled(&self, name: &str) -> Option<Sampled> {
        let answer = self.0.get(name)?;
        let content = answer.get("content")?;
        let blocks = match content {
            Value::Array(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        let text: String = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
        let model = answer.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Sampled { text, model })
    }

    /// The URIs of the roots that `name` asked for.
    #[must_use]
    pub fn roots(&self, name: &str) -> Option<Vec<String>> {
        let roots = self.0.get(name)?.get("roots")?.as_array()?;
        Some(roots.iter().filter_map(|root| Some(root.get("uri")?.as_str()?.to_owned())).collect())
    }

    /// Whether `name` was answered in a form that fits its question.
    fn fits(&self, name: &str, question: &Value) -> bool {
        match question.get("method").and_then(Value::as_str) {
            Some("sampling/createMessage") => self.sampled(name).is_some(),
            Some("roots/list") => self.roots(name).is_some(),
            _ => self.elicited::<Value>(name).is_some_and(|elicited| match elicited {
                Elicited::Accepted(content) => has_required(question, &content),
                Elicited::Declined | Elicited::Cancelled => true,
            }),
        }
    }

    /// All answers, or the questions that are still open.
    pub(crate) fn complete(&self, questions: &Questions) -> Result<Self> {
        let open: Map<_, _> = questions
            .requests()
            .iter()
            .filter(|(name, question)| !self.fits(name, question))
            .map(|(name, question)| (name.clone(), question.clone()))
            .collect();
        if open.is_empty() {
            return Ok(self.clone());
        }
        let state = questions.state.clone();
        Err(Error::InputRequired(Box::new(Questions { requests: open, state })))
    }
}

/// Whether a form has every field that its schema requires.
fn has_required(question: &Value, content: &Value) -> bool {
    let required = question.pointer("/params/requestedSchema/required").and_then(Value::as_array);
    let has = |field: &Value| field.as_str().is_some_and(|field| content.get(field).is_some());
    content.is_object() && required.is_none_or(|required| required.iter().all(has))
}
