//! One call before all others: what would fail for each of them is said at once.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::answer;
use crate::client::Client;
use crate::target::Target;
use crate::wire::{self, Era, Tool};

/// Calls `tool` once; how long it took.
///
/// # Errors
/// Why there is no result, and how to mend it.
pub fn call(target: &Target, era: Era, tool: &Tool) -> Result<Duration, String> {
    let mut client = Client::connect(target)?;
    let session = client.prepare(era, true)?;
    let request = wire::call(target, era, session.as_deref(), tool, true);
    let begun = Instant::now();
    let answer = client.exchange(&request)?;
    let took = begun.elapsed();
    let body = answer::body(&answer.bytes)?;
    let message = answer::message(&body).unwrap_or_default();
    if let Some(session) = session {
        // Whether the server wants to end it is its own business.
        Client::connect(target)
            .and_then(|mut client| client.exchange(&wire::delete(target, &session)))
            .ok();
    }
    complaint(answer.status, &message, tool).map_or(Ok(took), Err)
}

/// What keeps calls from being answered.
fn complaint(status: u16, message: &Value, tool: &Tool) -> Option<String> {
    let error = &message["error"];
    let said = error["message"].as_str().unwrap_or("it says no more");
    if let Some(kind) = error["data"]["refusal"].as_str() {
        let advice = match kind {
            "origin_forbidden" => {
                "; use a host name that layer.origin.allowed_hosts has, or add this one there"
            }
            _ => "",
        };
        return Some(format!("the server refuses every call ({kind}): {said}{advice}"));
    }
    if !error.is_null() {
        let name = &tool.name;
        return Some(format!("calling `{name}` fails: {said}; name another with --tool"));
    }
    if message["result"]["isError"] == true {
        let said = message["result"]["content"][0]["text"].as_str().unwrap_or(said);
        let name = &tool.name;
        return Some(format!("`{name}` answers with an error: {said}; give it other --arguments"));
    }
    if status != 200 || message["result"].is_null() {
        return Some(format!(
            "the first call got status {status} and no result; is this the path of an MCP endpoint?"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(status: u16, message: &Value) -> String {
        complaint(status, message, &Tool::echo("x")).unwrap_or_default()
    }

    #[test]
    fn result_gives_no_complaint() {
        assert_eq!(said(200, &json!({"result": {"content": []}})), "");
    }

    #[test]
    fn complaint_says_what_to_change() {
        let data = json!({"refusal": "origin_forbidden"});
        let message = json!({"error": {"message": "No.", "data": data}});
        assert!(said(403, &message).contains("allowed_hosts"));
        let message = json!({"error": {"code": -32602, "message": "Unknown tool."}});
        assert_eq!(
            said(200, &message),
            "calling `echo` fails: Unknown tool.; name another with --tool"
        );
        let message = json!({"result": {"isError": true, "content": [{"text": "bad zone"}]}});
        assert!(said(200, &message).contains("bad zone; give it other --arguments"));
        assert!(said(404, &Value::Null).contains("status 404"));
    }
}
