//! What is asked in the revision without a handshake.

use serde_json::{Value, json};

use super::conversation::{Conversation, Fits, Names};
use super::legacy::{READ, TOOLS, completions, prompts};
use super::{Specimen, http};

/// The revision.
pub(super) const REVISION: &str = "2026-07-28";

/// What must have been seen.
pub(super) const KINDS: [&str; 29] = [
    "DiscoverResult",
    "ListToolsResult",
    "CallToolResult",
    "CallToolResultResponse",
    "ListResourcesResult",
    "ListResourceTemplatesResult",
    "ReadResourceResult",
    "ListPromptsResult",
    "GetPromptResult",
    "CompleteResult",
    "InputRequiredResult",
    "ElicitRequest",
    "CreateMessageRequest",
    "ListRootsRequest",
    "ProgressNotification",
    "LoggingMessageNotification",
    "ToolListChangedNotification",
    "PromptListChangedNotification",
    "ResourceUpdatedNotification",
    "SubscriptionsAcknowledgedNotification",
    "SubscriptionsListenResult",
    "JSONRPCResultResponse",
    "JSONRPCErrorResponse",
    "ParseError",
    "MethodNotFoundError",
    "InvalidParamsError",
    "HeaderMismatchError",
    "MissingRequiredClientCapabilityError",
    "UnsupportedProtocolVersionError",
];

/// With everything that a request of this revision must say.
fn with_meta(mut params: Value, meta: &Value) -> Value {
    let mut all = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "sampling": {}, "roots": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "interop", "version": "1.0.0" }
    });
    if let (Some(all), Some(meta)) = (all.as_object_mut(), meta.as_object()) {
        all.extend(meta.clone());
    }
    params["_meta"] = all;
    params
}

pub(super) fn plain(params: Value) -> Value {
    with_meta(params, &json!({}))
}

fn call(tool: &str, arguments: &Value) -> Value {
    plain(json!({ "name": tool, "arguments": arguments }))
}

/// Speaks the revision.
pub(super) fn collect() -> Result<Vec<Specimen>, String> {
    let names = Names { response: "JSONRPCResultResponse", error: "JSONRPCErrorResponse" };
    // No server asks a modern client by a request of its own; one that does gets rubbish.
    let mut talk = Conversation::start(REVISION, names, |_| Value::Null)?;
    talk.write("followed.txt", "before")?;
    lists_and_reads(&mut talk)?;
    calls(&mut talk)?;
    questions(&mut talk)?;
    refusals(&mut talk)?;
    http::modern(&mut talk)?;
    subscription(&mut talk)?;
    Ok(std::mem::take(&mut talk.specimens))
}

fn lists_and_reads(talk: &mut Conversation) -> Result<(), String> {
    for (method, definition) in [
        ("server/discover", "DiscoverResult"),
        ("tools/list", "ListToolsResult"),
        ("resources/list", "ListResourcesResult"),
        ("resources/templates/list", "ListResourceTemplatesResult"),
        ("prompts/list", "ListPromptsResult"),
    ] {
        talk.ask(method, &plain(json!({})), definition)?;
    }
    for uri in READ {
        talk.ask("resources/read", &plain(json!({ "uri": uri })), "ReadResourceResult")?;
    }
    for prompt in prompts() {
        talk.ask("prompts/get", &plain(prompt), "GetPromptResult")?;
    }
    for reference in completions() {
        talk.ask("completion/complete", &plain(reference), "CompleteResult")?;
    }
    Ok(())
}

fn calls(talk: &mut Conversation) -> Result<(), String> {
    for tool in TOOLS {
        talk.ask("tools/call", &call(tool, &json!({})), "CallToolResult")?;
    }
    let meta = json!({ "progressToken": "a word", "io.modelcontextprotocol/logLevel": "debug" });
    for tool in ["test_tool_with_progress", "test_tool_with_logging"] {
        let params = with_meta(json!({ "name": tool, "arguments": {} }), &meta);
        talk.ask("tools/call", &params, "CallToolResult")?;
    }
    let id = talk.request("tools/call", &call("echo", &json!({ "text": "whole" })))?;
    let whole = talk.until("a whole response", |message| message["id"] == id)?;
    talk.keep("CallToolResultResponse", "a whole response", &whole);
    Ok(())
}

/// One round of each kind of question, and the round that answers it.
fn questions(talk: &mut Conversation) -> Result<(), String> {
    let sampled = json!({ "role": "assistant", "model": "none", "content": { "type": "text", "text": "Paris." } });
    let named = json!({ "action": "accept", "content": { "name": "Ada" } });
    let roots = json!({ "roots": [{ "uri": "file:///home", "name": "home" }] });
    let agreed = json!({ "action": "accept", "content": { "ok": true } });
    for (tool, answers) in [
        ("test_input_required_result_elicitation", json!({ "user_name": named })),
        ("test_input_required_result_sampling", json!({ "capital_question": sampled })),
        ("test_input_required_result_list_roots", json!({ "client_roots": roots })),
        ("test_input_required_result_request_state", json!({ "confirm": agreed })),
        (
            "test_input_required_result_multiple_inputs",
            json!({ "user_name": named, "greeting": sampled, "client_roots": roots }),
        ),
    ] {
        let mut params = call(tool, &json!({}));
        let asked = talk.ask("tools/call", &params, "InputRequiredResult")?;
        keep_questions(talk, tool, &asked)?;
        params["inputResponses"] = answers;
        if let Some(state) = asked.get("requestState") {
            params["requestState"] = state.clone();
        }
        let done = talk.ask("tools/call", &params, "CallToolResult")?;
        if done["resultType"] != "complete" {
            return Err(format!("{tool} is not done after its answers: {done}"));
        }
    }
    for tool in ["test_elicitation_sep1034_defaults", "test_elicitation_sep1330_enums"] {
        let asked = talk.ask("tools/call", &call(tool, &json!({})), "InputRequiredResult")?;
        keep_questions(talk, tool, &asked)?;
    }
    let prompt = plain(json!({ "name": "test_input_required_result_prompt" }));
    let asked = talk.ask("prompts/get", &prompt, "InputRequiredResult")?;
    keep_questions(talk, "a prompt that asks", &asked)
}

fn keep_questions(talk: &mut Conversation, tool: &str, asked: &Value) -> Result<(), String> {
    let questions = asked["inputRequests"].as_object().filter(|questions| !questions.is_empty());
    let questions = questions.ok_or_else(|| format!("{tool} asks nothing: {asked}"))?;
    for question in questions.values() {
        let definition = match question["method"].as_str() {
            Some("elicitation/create") => "ElicitRequest",
            Some("sampling/createMessage") => "CreateMessageRequest",
            Some("roots/list") => "ListRootsRequest",
            _ => return Err(format!("{tool} asks something unknown: {question}")),
        };
        talk.keep(definition, tool, question);
    }
    Ok(())
}

fn refusals(talk: &mut Conversation) -> Result<(), String> {
    let method = Fits::Error("MethodNotFoundError");
    talk.refused("no/such/method", &plain(json!({})), -32601, method)?;
    talk.refused("ping", &plain(json!({})), -32601, method)?;
    talk.refused(
        "tools/call",
        &call("no_such_tool", &json!({})),
        -32602,
        Fits::Error("InvalidParamsError"),
    )?;
    talk.refused(
        "resources/read",
        &plain(json!({ "uri": "test://nothing" })),
        -32602,
        Fits::Error("InvalidParamsError"),
    )?;
    let meta = json!({ "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "test_missing_capability", "arguments": {} });
    let lacking = Fits::Response("MissingRequiredClientCapabilityError");
    talk.refused("tools/call", &with_meta(params, &meta), -32021, lacking)?;
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "1900-01-01" });
    let unsupported = Fits::Response("UnsupportedProtocolVersionError");
    talk.refused("tools/list", &with_meta(json!({}), &meta), -32022, unsupported)?;
    talk.send("{this is not JSON")?;
    let refusal = talk.until("rubbish", |message| message.get("error").is_some())?;
    talk.keep_refusal("rubbish", &refusal, -32700, Fits::Error("ParseError"))
}

/// Last of all: the end of the subscription is the end of the program.
fn subscription(talk: &mut Conversation) -> Result<(), String> {
    let filter = json!({ "notifications": {
        "toolsListChanged": true,
        "promptsListChanged": true,
        "resourcesListChanged": true,
        "resourceSubscriptions": ["file:///followed.txt"]
    } });
    let asked = "subscriptions/listen";
    let id = talk.request(asked, &plain(filter))?;
    talk.hear(asked, "notifications/subscriptions/acknowledged")?;
    for (tool, method) in [
        ("test_trigger_tool_change", "notifications/tools/list_changed"),
        ("test_trigger_prompt_change", "notifications/prompts/list_changed"),
    ] {
        talk.request("tools/call", &call(tool, &json!({})))?;
        talk.hear(tool, method)?;
    }
    talk.write("followed.txt", "after")?;
    talk.hear("a change of a file", "notifications/resources/updated")?;
    talk.end()?;
    let ended = talk.until(asked, |message| message["id"] == id)?;
    talk.keep("JSONRPCResultResponse", asked, &ended);
    talk.keep("SubscriptionsListenResult", asked, &ended["result"]);
    Ok(())
}
