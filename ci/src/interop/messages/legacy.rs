//! What is asked in the revisions with a handshake.

use serde_json::{Value, json};

use super::conversation::{Conversation, Fits, Names};
use super::{Specimen, http};

/// Every revision with a handshake.
pub(super) const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What must have been seen in each of them.
const KINDS: [&str; 20] = [
    "InitializeResult",
    "EmptyResult",
    "ListToolsResult",
    "CallToolResult",
    "ListResourcesResult",
    "ListResourceTemplatesResult",
    "ReadResourceResult",
    "ListPromptsResult",
    "GetPromptResult",
    "CompleteResult",
    "ProgressNotification",
    "LoggingMessageNotification",
    "ToolListChangedNotification",
    "PromptListChangedNotification",
    "ResourceUpdatedNotification",
    "CreateMessageRequest",
    "ListRootsRequest",
    "JSONRPCMessage",
    "ServerNotification",
    "ServerRequest",
];

/// What must have been seen in a revision.
pub(super) fn kinds(revision: &str) -> Vec<&'static str> {
    let Names { response, error } = names(revision);
    let newer = has_elicitation(revision).then_some("ElicitRequest");
    KINDS.into_iter().chain([response, error]).chain(newer).collect()
}

fn has_elicitation(revision: &str) -> bool {
    revision >= "2025-06-18"
}

fn names(revision: &str) -> Names {
    if revision >= "2025-11-25" {
        Names { response: "JSONRPCResultResponse", error: "JSONRPCErrorResponse" }
    } else {
        Names { response: "JSONRPCResponse", error: "JSONRPCError" }
    }
}

/// What the client says when it is asked.
fn answer(method: &str) -> Value {
    match method {
        "elicitation/create" => {
            json!({ "action": "accept", "content": { "username": "ada", "email": "ada@example.com" } })
        }
        "sampling/createMessage" => json!({
            "role": "assistant", "model": "none", "content": { "type": "text", "text": "Paris." }
        }),
        _ => json!({ "roots": [{ "uri": "file:///home", "name": "home" }] }),
    }
}

/// Speaks one revision.
pub(super) fn collect(revision: &'static str) -> Result<Vec<Specimen>, String> {
    let mut talk = Conversation::start(revision, names(revision), answer)?;
    let hello = json!({
        "protocolVersion": revision,
        "capabilities": { "elicitation": {}, "sampling": {}, "roots": {} },
        "clientInfo": { "name": "interop", "version": "1.0.0" }
    });
    talk.write("followed.txt", "before")?;
    let welcome = talk.ask("initialize", &hello, "InitializeResult")?;
    if welcome["protocolVersion"] != revision {
        return Err(format!("{revision} is not spoken: {welcome}"));
    }
    talk.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
    lists_and_reads(&mut talk)?;
    calls(&mut talk, revision)?;
    changes(&mut talk)?;
    refusals(&mut talk)?;
    http::legacy(&mut talk, revision)?;
    Ok(with_unions(std::mem::take(&mut talk.specimens)))
}

fn lists_and_reads(talk: &mut Conversation) -> Result<(), String> {
    talk.ask("ping", &json!({}), "EmptyResult")?;
    talk.ask("logging/setLevel", &json!({ "level": "debug" }), "EmptyResult")?;
    talk.ask("tools/list", &json!({}), "ListToolsResult")?;
    talk.ask("resources/list", &json!({}), "ListResourcesResult")?;
    talk.ask("resources/templates/list", &json!({}), "ListResourceTemplatesResult")?;
    for uri in READ {
        talk.ask("resources/read", &json!({ "uri": uri }), "ReadResourceResult")?;
    }
    talk.ask("prompts/list", &json!({}), "ListPromptsResult")?;
    for prompt in prompts() {
        talk.ask("prompts/get", &prompt, "GetPromptResult")?;
    }
    for reference in completions() {
        talk.ask("completion/complete", &reference, "CompleteResult")?;
    }
    Ok(())
}

/// Text, bytes, a template and a file.
pub(super) const READ: [&str; 4] = [
    "test://static-text",
    "test://static-binary",
    "test://template/7/data",
    "file:///followed.txt",
];

/// A prompt with each kind of content.
pub(super) fn prompts() -> [Value; 4] {
    [
        json!({ "name": "test_simple_prompt" }),
        json!({ "name": "test_prompt_with_arguments", "arguments": { "arg1": "a", "arg2": "b" } }),
        json!({ "name": "test_prompt_with_embedded_resource", "arguments": { "resourceUri": "test://x" } }),
        json!({ "name": "test_prompt_with_image" }),
    ]
}

/// Of a prompt and of a template.
pub(super) fn completions() -> [Value; 2] {
    [
        json!({
            "ref": { "type": "ref/prompt", "name": "test_prompt_with_arguments" },
            "argument": { "name": "arg1", "value": "test" }
        }),
        json!({
            "ref": { "type": "ref/resource", "uri": "test://template/{id}/data" },
            "argument": { "name": "id", "value": "" }
        }),
    ]
}

/// Tools whose results have every kind of content, one with structure and one whose result is an error.
pub(super) const TOOLS: [&str; 9] = [
    "now",
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_resource_link",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_logging",
];

fn calls(talk: &mut Conversation, revision: &str) -> Result<(), String> {
    for tool in TOOLS {
        talk.ask("tools/call", &json!({ "name": tool, "arguments": {} }), "CallToolResult")?;
    }
    for token in [json!("a word"), json!(7)] {
        let call = json!({
            "name": "test_tool_with_progress", "arguments": {}, "_meta": { "progressToken": token }
        });
        talk.ask("tools/call", &call, "CallToolResult")?;
    }
    let mut asking = vec![
        json!({ "name": "test_sampling", "arguments": { "prompt": "The capital of France?" } }),
        json!({ "name": "test_input_required_result_list_roots", "arguments": {} }),
    ];
    if has_elicitation(revision) {
        asking.extend([
            json!({ "name": "test_elicitation", "arguments": { "message": "Who are you?" } }),
            json!({ "name": "test_elicitation_sep1034_defaults", "arguments": {} }),
        ]);
    }
    if revision >= "2025-11-25" {
        // Choices with titles came with this revision.
        asking.push(json!({ "name": "test_elicitation_sep1330_enums", "arguments": {} }));
    }
    for call in asking {
        talk.ask("tools/call", &call, "CallToolResult")?;
    }
    Ok(())
}

fn changes(talk: &mut Conversation) -> Result<(), String> {
    for (tool, method) in [
        ("test_trigger_tool_change", "notifications/tools/list_changed"),
        ("test_trigger_prompt_change", "notifications/prompts/list_changed"),
    ] {
        talk.request("tools/call", &json!({ "name": tool, "arguments": {} }))?;
        talk.hear(tool, method)?;
    }
    let followed = json!({ "uri": "file:///followed.txt" });
    talk.ask("resources/subscribe", &followed, "EmptyResult")?;
    talk.write("followed.txt", "after")?;
    talk.hear("a change of a file", "notifications/resources/updated")?;
    talk.ask("resources/unsubscribe", &followed, "EmptyResult").map(drop)
}

fn refusals(talk: &mut Conversation) -> Result<(), String> {
    talk.refused("no/such/method", &json!({}), -32601, Fits::Plain)?;
    talk.refused("tools/call", &json!({ "name": "no_such_tool" }), -32602, Fits::Plain)?;
    talk.refused("tools/call", &json!({ "name": 7 }), -32602, Fits::Plain)?;
    talk.refused("tools/list", &json!({ "cursor": "rubbish" }), -32602, Fits::Plain)?;
    talk.refused("resources/read", &json!({ "uri": "test://nothing" }), -32002, Fits::Plain)?;
    talk.refused("prompts/get", &json!({ "name": "no_such_prompt" }), -32602, Fits::Plain)
}

/// Every whole message fits the union of all messages too, and what a server sends fits the union of that.
fn with_unions(mut specimens: Vec<Specimen>) -> Vec<Specimen> {
    let mut unions = Vec::new();
    for Specimen { definition, asked, value } in &specimens {
        let mut add = |definition| {
            unions.push(Specimen { definition, asked: asked.clone(), value: value.clone() });
        };
        if value.get("jsonrpc").is_some() {
            add("JSONRPCMessage");
        }
        if definition.ends_with("Notification") {
            add("ServerNotification");
        } else if definition.ends_with("Request") {
            add("ServerRequest");
        }
    }
    specimens.extend(unions);
    specimens
}
