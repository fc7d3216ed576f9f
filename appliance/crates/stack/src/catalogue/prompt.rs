//! Which arguments a prompt takes.

use protocol::json::{Kind, Limits, Raw, check};

/// The names of a prompt's required arguments.
#[derive(Debug, Default)]
pub(crate) struct PromptArguments(Vec<Box<str>>);

impl PromptArguments {
    /// Reads them from the prompt's description, which the host has checked.
    pub(crate) fn new(prompt_json: &str) -> Self {
        let Ok(prompt) = check(prompt_json.as_bytes(), &Limits::DEFAULT) else {
            return Self::default();
        };
        let Some(arguments) = prompt.get("arguments") else {
            return Self::default();
        };
        let required = arguments
            .items()
            .filter(|argument| argument.get("required").and_then(Raw::as_bool) == Some(true));
        Self(required.filter_map(|argument| Some(argument.get("name")?.as_str()?.into())).collect())
    }

    /// Checks that every required argument is there and that all are strings (prompts/get, all revisions).
    pub(crate) fn check(&self, given: Option<Raw<'_>>) -> Result<(), String> {
        let mut missing: Vec<&str> = self.0.iter().map(|name| &**name).collect();
        if let Some(given) = given {
            if given.kind() != Kind::Object {
                return Err("arguments must be an object of strings".to_owned());
            }
            for (name, value) in given.members() {
                if value.kind() != Kind::String {
                    return Err(format!("argument `{name}` must be a string"));
                }
                missing.retain(|required| *required != name);
            }
        }
        match missing.first() {
            None => Ok(()),
            Some(name) => Err(format!("missing required argument `{name}`")),
        }
    }
}
