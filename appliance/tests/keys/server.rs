//! `server`: what clients are told.

use serde_json::{Value, json};

use crate::program::Program;
use crate::wire::{ask, serve};

/// What the server says of itself with a key at a value.
fn discovered(setting: &str) -> Value {
    ask(&serve(&[setting]), "server/discover", json!({})).json()["result"].take()
}

/// The member of its `serverInfo`.
fn info(setting: &str, member: &str) -> Value {
    let program = serve(&[setting]);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    program.post("", &initialize).json()["result"]["serverInfo"][member].take()
}

fn list(program: &Program) -> Value {
    ask(program, "tools/list", json!({})).json()["result"].take()
}

pub(crate) fn name_is_what_clients_see() {
    for name in ["weather", "toolrack"] {
        assert_eq!(info(&format!("server.name={name}"), "name"), name);
    }
}

pub(crate) fn title_is_what_people_see() {
    for title in ["The weather", "Another"] {
        assert_eq!(info(&format!("server.title={title}"), "title"), title);
    }
    assert_eq!(info("server.name=weather", "title"), Value::Null);
}

pub(crate) fn instructions_are_what_models_see() {
    for instructions in ["Ask for the weather.", "Ask for nothing."] {
        let said = discovered(&format!("server.instructions={instructions}"));
        let said = said["instructions"].as_str().expect("a text");
        assert!(said.starts_with(instructions), "{said}");
    }
}

pub(crate) fn a_list_says_for_how_long_it_holds() {
    for ttl_ms in [0, 5_000] {
        let program = serve(&[&format!("server.list_ttl_ms={ttl_ms}")]);
        assert_eq!(list(&program)["ttlMs"], ttl_ms);
    }
}

pub(crate) fn a_page_has_so_many_items() {
    let program = serve(&["server.page_items_max=3"]);
    let page = list(&program);
    assert_eq!(page["tools"].as_array().map(Vec::len), Some(3));
    let cursor = &page["nextCursor"];
    let next = ask(&program, "tools/list", json!({ "cursor": cursor })).json();
    assert_eq!(next["result"]["tools"].as_array().map(Vec::len), Some(3));
    assert_ne!(next["result"]["tools"], page["tools"]);
    let whole = list(&serve(&["server.page_items_max=250"]));
    assert!(whole["tools"].as_array().is_some_and(|tools| tools.len() > 30), "{whole}");
    assert_eq!(whole.get("nextCursor"), None);
}
