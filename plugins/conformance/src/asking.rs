//! Tools that ask the client.

use plugin_sdk::prelude::*;
use serde_json::Value;

/// A name.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Name {
    /// Your name.
    name: String,
}

/// A color.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Color {
    /// Your color.
    color: String,
}

/// A topic.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Topic {
    /// What this is about.
    context: String,
}

/// A yes or no.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Consent {
    /// Whether it is all right.
    ok: bool,
}

/// Who the user is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct UserInfo {
    /// The user's name.
    #[serde(rename = "username")]
    _username: String,
    /// The user's address.
    #[serde(rename = "email")]
    _email: String,
}

fn outcome<T>(elicited: &Elicited<T>, content: &Value) -> String {
    format!("action={}, content={content}", elicited.action())
}

pub(crate) fn user_info(ctx: &Context, message: &str) -> Result<String> {
    let questions = Questions::new().elicit::<UserInfo>("user_info", message);
    let answers = ctx.ask(&questions)?;
    let elicited = answers.elicited::<Value>("user_info").unwrap_or(Elicited::Cancelled);
    let content = content(&elicited);
    Ok(format!("User response: {}", outcome(&elicited, &content)))
}

fn content(elicited: &Elicited<Value>) -> Value {
    match elicited {
        Elicited::Accepted(content) => content.clone(),
        Elicited::Declined | Elicited::Cancelled => Value::Object(serde_json::Map::new()),
    }
}

pub(crate) fn form(ctx: &Context, schema: Value) -> Result<String> {
    let questions = Questions::new().elicit_schema("form", "Please fill in the form.", schema);
    let answers = ctx.ask(&questions)?;
    let elicited = answers.elicited::<Value>("form").unwrap_or(Elicited::Cancelled);
    let content = content(&elicited);
    Ok(format!("Elicitation completed: {}", outcome(&elicited, &content)))
}

pub(crate) fn greet(name: &Elicited<Name>) -> String {
    match name {
        Elicited::Accepted(Name { name }) => format!("Hello, {name}!"),
        Elicited::Declined | Elicited::Cancelled => "Hello, whoever you are!".to_owned(),
    }
}

pub(crate) fn about(topic: &Elicited<Topic>) -> String {
    match topic {
        Elicited::Accepted(Topic { context }) => format!("Let us talk about {context}."),
        Elicited::Declined | Elicited::Cancelled => "Let us talk about anything.".to_owned(),
    }
}

pub(crate) fn with_state(ctx: &Context, state: &str) -> Result<String> {
    let questions =
        Questions::new().elicit::<Consent>("confirm", "Is that all right?").state(state.into());
    let answers = ctx.ask(&questions)?;
    let returned: String =
        ctx.state().ok_or_else(|| Error::invalid("The requestState is missing."))?;
    let is_ok =
        matches!(answers.elicited("confirm"), Some(Elicited::Accepted(Consent { ok: true })));
    Ok(format!("{returned}, confirmed: {is_ok}"))
}

pub(crate) fn three_at_once(ctx: &Context) -> Result<String> {
    let questions = Questions::new()
        .elicit::<Name>("user_name", "What is your name?")
        .sample("greeting", "Write a greeting.", 50)
        .roots("client_roots")
        .state("three".into());
    let answers = ctx.ask(&questions)?;
    let name = answers.elicited("user_name").unwrap_or(Elicited::Cancelled);
    let greeting = answers.sampled("greeting").map(|sampled| sampled.text).unwrap_or_default();
    let roots = answers.roots("client_roots").unwrap_or_default();
    Ok(format!("{} {greeting} {} roots.", greet(&name), roots.len()))
}

pub(crate) fn favourite(name: Option<Elicited<Name>>, color: Option<Elicited<Color>>) -> String {
    match (name, color) {
        (Some(Elicited::Accepted(Name { name })), Some(Elicited::Accepted(Color { color }))) => {
            format!("{name} likes {color}.")
        }
        _ => "Nobody likes nothing.".to_owned(),
    }
}

/// Asks for everything; the host leaves out what this client did not declare.
pub(crate) fn what_the_client_can(ctx: &Context) -> Result<String> {
    let questions = Questions::new().elicit::<Name>("user_name", "What is your name?").sample(
        "greeting",
        "Write a greeting.",
        50,
    );
    let answers = ctx.ask(&questions)?;
    Ok(answers.sampled("greeting").map(|sampled| sampled.text).unwrap_or_default())
}
