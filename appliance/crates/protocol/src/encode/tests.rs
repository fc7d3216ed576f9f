use serde_json::{Value, json};

use super::*;
use crate::json::{Limits, check, check_object};
use crate::reply::{CacheHint, CacheScope, Content, InputRequired};

fn to(revision: Revision, method: Method) -> ReplyTo {
    let text = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a1","method":"ping"}"#);
    let Ok(crate::envelope::Message::One(envelope)) =
        crate::Envelope::parse(text, &Limits::DEFAULT)
    else {
        panic!("one message")
    };
    let uri = Bytes::from_static(b"\"file:///x\"");
    ReplyTo { id: envelope.id().expect("an id"), revision, method, uri }
}

fn written(revision: Revision, method: Method, content: Content) -> Value {
    let server = ServerInfo(Bytes::from_static(br#"{"name":"s","version":"1"}"#));
    let bytes = response(&to(revision, method), &server, &Outcome::Done(content));
    assert!(check(&bytes, &Limits::DEFAULT).is_ok());
    let message: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!((&message["jsonrpc"], &message["id"]), (&json!("2.0"), &json!("a1")));
    message["result"].clone()
}

fn text(is_error: bool) -> Content {
    let text = Bytes::from_static("say \"é\"\n".as_bytes());
    Content::Text {
        text,
        is_error,
        mime: Some("text/plain".into()),
        cache: CacheHint { ttl_ms: 5, scope: CacheScope::Public },
    }
}

fn object(json: &'static str) -> Content {
    let [meta] = check_object(json.as_bytes(), &Limits::DEFAULT, ["_meta"]).expect("an object");
    Content::Object { json: Bytes::from_static(json.as_bytes()), meta, cache: CacheHint::NONE }
}

const SERVER: &str = "io.modelcontextprotocol/serverInfo";

#[test]
fn writes_text_as_each_method_wants_it() {
    let legacy = Revision::V2025_11_25;
    assert_eq!(
        written(legacy, Method::ToolsCall, text(true)),
        json!({"content": [{"type": "text", "text": "say \"é\"\n"}], "isError": true})
    );
    assert_eq!(
        written(legacy, Method::PromptsGet, text(false)),
        json!({"messages": [{"role": "user", "content": {"type": "text", "text": "say \"é\"\n"}}]})
    );
    assert_eq!(
        written(legacy, Method::ResourcesRead, text(false)),
        json!({"contents": [{"uri": "file:///x", "mimeType": "text/plain", "text": "say \"é\"\n"}]})
    );
}

#[test]
fn adds_what_modern_results_must_carry() {
    let result = written(Revision::MODERN, Method::ResourcesRead, text(false));
    assert_eq!(
        (&result["resultType"], &result["ttlMs"], &result["cacheScope"]),
        (&json!("complete"), &json!(5), &json!("public"))
    );
    assert_eq!(result["_meta"][SERVER]["name"], "s");
    let result = written(Revision::MODERN, Method::ToolsCall, text(false));
    assert_eq!((&result["ttlMs"], result.get("isError")), (&Value::Null, None));
}

#[test]
fn splices_a_plugins_own_object() {
    for (json, keys) in [
        ("{}", 2),
        (" { } ", 2),
        (r#"{"content":[]}"#, 3),
        (r#"{"content":[],"_meta":{}}"#, 3),
        (r#"{"content":[],"_meta":{"a":1},"x":2}"#, 4),
        (r#"{"_meta": { "a" : 1 } }"#, 2),
    ] {
        let json = json.trim();
        let result = written(Revision::MODERN, Method::ToolsCall, object(json));
        assert_eq!(result.as_object().expect("an object").len(), keys, "{json}");
        assert_eq!(result["_meta"][SERVER]["name"], "s", "{json}");
        if json.contains("\"a\"") {
            assert_eq!(result["_meta"]["a"], 1, "{json}");
        }
        let untouched: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(written(Revision::V2025_06_18, Method::ToolsCall, object(json)), untouched);
    }
}

#[test]
fn hides_structure_from_those_who_cannot_read_it() {
    let content = |json: &'static str, is_object| Content::Structured {
        json: Bytes::from_static(json.as_bytes()),
        is_object,
        is_error: false,
    };
    let twin = json!([{"type": "text", "text": "{\"a\":1}"}]);
    let result = written(Revision::V2025_06_18, Method::ToolsCall, content("{\"a\":1}", true));
    assert_eq!(result, json!({"content": twin, "structuredContent": {"a": 1}}));
    let result = written(Revision::V2025_03_26, Method::ToolsCall, content("{\"a\":1}", true));
    assert_eq!(result, json!({"content": twin}));
    let result = written(Revision::V2025_11_25, Method::ToolsCall, content("[1]", false));
    assert_eq!(result.get("structuredContent"), None);
    let result = written(Revision::MODERN, Method::ToolsCall, content("[1]", false));
    assert_eq!(result["structuredContent"], json!([1]));
}

#[test]
fn writes_bytes_as_base64() {
    let blob = |mime: &str| Content::Blob {
        data: Bytes::from_static(b"\0\xff\x10A"),
        mime: mime.into(),
        cache: CacheHint::NONE,
    };
    let legacy = Revision::V2025_11_25;
    assert_eq!(
        written(legacy, Method::ToolsCall, blob("image/png")),
        json!({"content": [{"type": "image", "data": "AP8QQQ==", "mimeType": "image/png"}]})
    );
    let block = &written(legacy, Method::ToolsCall, blob("application/zip"))["content"][0];
    assert_eq!(
        (&block["type"], &block["resource"]["blob"]),
        (&json!("resource"), &json!("AP8QQQ=="))
    );
    assert_eq!(
        written(legacy, Method::ResourcesRead, blob("image/png")),
        json!({"contents": [{"uri": "file:///x", "mimeType": "image/png", "blob": "AP8QQQ=="}]})
    );
}

#[test]
fn asks_modern_clients_and_never_legacy_ones() {
    let server = ServerInfo(Bytes::from_static(b"{}"));
    let outcome = || {
        Outcome::InputRequired(InputRequired {
            requests: Bytes::from_static(br#"{"k":{"method":"roots/list"}}"#),
            state: Some(Bytes::from_static(b"s\"1")),
        })
    };
    let read = |revision| -> Value {
        serde_json::from_slice(&response(&to(revision, Method::ToolsCall), &server, &outcome()))
            .expect("JSON")
    };
    let result = &read(Revision::MODERN)["result"];
    assert_eq!(
        (&result["resultType"], &result["requestState"]),
        (&json!("input_required"), &json!("s\"1"))
    );
    assert_eq!(result.get("ttlMs"), None);
    assert_eq!(read(Revision::V2025_11_25)["error"]["code"], -32603);
}

#[test]
fn leaves_an_unknown_id_out() {
    let error: Value =
        serde_json::from_slice(&fault(&Id::default(), &Fault::new(-32700, "no \"JSON\"")))
            .expect("JSON");
    assert_eq!(
        error,
        json!({"jsonrpc": "2.0", "error": {"code": -32700, "message": "no \"JSON\""}})
    );
}

#[test]
fn reads_capabilities() {
    type Set = ClientCapabilities;
    let read = |text: &str| capabilities(check(text.as_bytes(), &Limits::DEFAULT).expect("JSON"));
    assert_eq!(read("{}"), Set::NONE);
    assert_eq!(read(r#"{"elicitation":{}}"#), Set::ELICITATION_FORM);
    assert_eq!(read(r#"{"elicitation":{"url":{}}}"#), Set::ELICITATION_URL);
    assert_eq!(
        read(r#"{"elicitation":{"url":{},"form":{}}}"#),
        Set::ELICITATION_FORM.with(Set::ELICITATION_URL)
    );
    assert_eq!(
        read(r#"{"sampling":{"tools":{}},"roots":{"listChanged":true}}"#),
        Set::SAMPLING.with(Set::SAMPLING_TOOLS).with(Set::ROOTS)
    );
    assert_eq!(
        read(r#"{"sampling":null,"extensions":{"io.modelcontextprotocol/tasks":{}}}"#),
        Set::TASKS
    );
    for set in [
        Set::ELICITATION_FORM,
        Set::ELICITATION_URL,
        Set::SAMPLING.with(Set::SAMPLING_CONTEXT).with(Set::ROOTS),
        Set::TASKS,
    ] {
        assert_eq!(read(&set.to_json()), set);
    }
}

#[test]
fn progress_has_a_message_only_where_it_exists() {
    let token = check(b"7", &Limits::DEFAULT).expect("JSON");
    let read = |revision| -> Value {
        serde_json::from_slice(&progress(token, revision, 0.5, Some(f64::NAN), Some("m")))
            .expect("JSON")
    };
    assert_eq!(
        read(Revision::MODERN)["params"],
        json!({"progressToken": 7, "progress": 0.5, "total": 0, "message": "m"})
    );
    assert_eq!(read(Revision::V2024_11_05)["params"].get("message"), None);
}

#[test]
fn progress_numbers_take_few_characters() {
    let token = check(b"7", &Limits::DEFAULT).expect("JSON");
    for (value, text) in [
        (0.0, "0"),
        (-0.25, "-0.25"),
        (3.0, "3"),
        (1e300, "1e300"),
        (f64::MAX, "1.7976931348623157e308"),
        (1e-300, "0"),
        (f64::INFINITY, "0"),
    ] {
        let written = progress(token, Revision::MODERN, value, None, None);
        let expected = format!("\"progress\":{text}}}");
        assert!(String::from_utf8_lossy(&written).contains(&expected), "{value}: {written:?}");
    }
}

#[test]
fn a_result_or_error_alone_is_what_the_response_would_carry() {
    let server = ServerInfo(Bytes::from_static(br#"{"name":"s","version":"1"}"#));
    let to = to(Revision::MODERN, Method::ToolsCall);
    let alone = result(&to, &server, &text(true)).expect("has a form");
    let alone: Value = serde_json::from_slice(&alone).expect("JSON");
    assert_eq!(alone, written(Revision::MODERN, Method::ToolsCall, text(true)));
    let broken = Fault::internal("say \"é\"").with_data("[1]");
    let error: Value = serde_json::from_slice(&error_object(&broken)).expect("JSON");
    let whole: Value = serde_json::from_slice(&fault(&to.id, &broken)).expect("JSON");
    assert_eq!(error, whole["error"]);
}
