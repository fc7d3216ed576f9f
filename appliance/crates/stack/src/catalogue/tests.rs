//! Pages, names and what the server says of itself.

use std::time::Duration;

use plugin_host::Exec;
use protocol::{Era, Method, Revision};
use serde_json::{Value, json};

use super::*;

fn server(page_items_max: usize) -> ServerPlan {
    ServerPlan {
        name: "a \"server\"".to_owned(),
        title: None,
        instructions: Some("Of the operator.".to_owned()),
        page_items_max,
        list_ttl: Duration::from_millis(1_500),
    }
}

fn item(object: &Value) -> ItemDescription {
    ItemDescription {
        name: object["name"].as_str().unwrap_or_default().to_owned(),
        json: object.to_string().into(),
        exec: Exec {
            mode: ExecMode::Async,
            checked: true,
            task: TaskSupport::Forbidden,
            questions_first: false,
        },
        headers: Vec::new(),
    }
}

/// A plugin of this name with tools of these names.
fn plugin(
    name: &'static str,
    tools: impl IntoIterator<Item = String>,
) -> (&'static str, Arc<Described>) {
    let tools = tools.into_iter().map(|tool| item(&json!({ "name": tool }))).collect();
    (name, Arc::new(Described { tools, ..Described::default() }))
}

fn pages(page_items_max: usize, described: &[(&str, Arc<Described>)]) -> Pages {
    Pages::new(&server(page_items_max), described, &ServerInfo(Bytes::from("{}")))
}

fn page(pages: &Pages, method: Method, era: Era, cursor: Option<&str>) -> Value {
    let page = pages.page(method, era, cursor).expect("a page");
    serde_json::from_slice(&page).expect("JSON")
}

/// The names on all pages of the tools, and how many pages there were.
fn walk(pages: &Pages, era: Era) -> (Vec<String>, usize) {
    let (mut names, mut count, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = page(pages, Method::ToolsList, era, cursor.as_deref());
        let tools = page["tools"].as_array().expect("tools");
        names.extend(tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned));
        count += 1;
        cursor = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return (names, count);
        }
    }
}

#[test]
fn each_item_is_on_one_page_in_the_order_of_the_plugins() {
    let named = |prefix: &str, count: usize| -> Vec<_> {
        (0..count).map(|number| format!("{prefix}{number}")).collect()
    };
    let expected = [named("a", 4), named("b", 3)].concat();
    let described = [plugin("one", named("a", 4)), plugin("two", named("b", 3))];
    for (items_max, count) in [(1, 7), (3, 3), (7, 1), (100, 1)] {
        let pages = pages(items_max, &described);
        for era in [Era::Legacy, Era::Modern] {
            assert_eq!(walk(&pages, era), (expected.clone(), count), "{items_max} a page");
        }
    }
}

#[test]
fn a_page_that_is_just_full_is_the_last() {
    let described = [plugin("one", ["a".to_owned(), "b".to_owned()])];
    let only = page(&pages(2, &described), Method::ToolsList, Era::Modern, None);
    assert_eq!(only.get("nextCursor"), None);
}

#[test]
fn refuses_cursors_that_it_did_not_give_out() {
    let tools = || (0..5).map(|number| format!("tool{number}"));
    let described = [plugin("one", tools())];
    let few = pages(2, &described);
    let first = page(&few, Method::ToolsList, Era::Modern, None);
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    let (digest, _) = cursor.split_once('.').expect("two parts");
    let of_no_page = [".3", ".-1", ".", "", ".1.1", ".99999999999999999999"];
    let foreign = of_no_page.map(|ending| format!("{digest}{ending}"));
    for cursor in foreign.iter().map(String::as_str).chain(["", "1", ".1", "000000000000.1"]) {
        assert_eq!(few.page(Method::ToolsList, Era::Modern, Some(cursor)), None, "{cursor:?}");
    }
    // One more tool is another catalogue: its pages begin elsewhere.
    let grown = pages(2, &[plugin("one", tools().chain(["more".to_owned()]))]);
    assert_eq!(grown.page(Method::ToolsList, Era::Modern, Some(cursor)), None);
    assert!(grown.page(Method::ToolsList, Era::Modern, None).is_some());
}

#[test]
fn a_list_of_nothing_is_one_empty_page() {
    let pages = pages(10, &[]);
    for (method, member) in [
        (Method::ToolsList, "tools"),
        (Method::ResourcesList, "resources"),
        (Method::ResourceTemplatesList, "resourceTemplates"),
        (Method::PromptsList, "prompts"),
    ] {
        assert_eq!(page(&pages, method, Era::Legacy, None), json!({ member: [] }));
    }
    assert_eq!(pages.page(Method::ToolsCall, Era::Legacy, None), None);
}

#[test]
fn modern_lists_say_how_long_they_hold() {
    let described = [plugin("one", ["a".to_owned()])];
    let pages = pages(10, &described);
    let modern = page(&pages, Method::ToolsList, Era::Modern, None);
    let expected = json!({
        "resultType": "complete",
        "tools": [{ "name": "a" }],
        "ttlMs": 1_500,
        "cacheScope": "public",
        "_meta": { "io.modelcontextprotocol/serverInfo": {} },
    });
    assert_eq!(modern, expected);
    let legacy = page(&pages, Method::ToolsList, Era::Legacy, None);
    assert_eq!(legacy, json!({ "tools": [{ "name": "a" }] }));
}

#[test]
fn legacy_clients_see_no_output_schema_but_of_an_object() {
    let object = json!({ "name": "object", "outputSchema": { "type": "object" }, "title": "O" });
    let list = json!({ "name": "list", "outputSchema": { "type": "array" }, "title": "L" });
    let tools = vec![item(&object), item(&list)];
    let described = [("one", Arc::new(Described { tools, ..Described::default() }))];
    let pages = pages(10, &described);
    let modern = page(&pages, Method::ToolsList, Era::Modern, None);
    assert_eq!(modern["tools"], json!([object, list]));
    let legacy = page(&pages, Method::ToolsList, Era::Legacy, None);
    assert_eq!(legacy["tools"], json!([object, { "name": "list", "title": "L" }]));
}

#[test]
fn says_who_claims_a_name_and_who_has_it() {
    let mut names = Shelf::default();
    let mut problems = Vec::new();
    for (name, owner) in [("read", "files"), ("write", "files"), ("read", "archive")] {
        claim(&mut names, "tool", name, owner, |owner| (*owner).to_owned(), &mut problems);
    }
    let expected =
        "plugin.archive: the tool `read` is already offered by plugin.files; remove one of the two";
    assert_eq!(problems, [expected]);
    assert_eq!((names.len(), names.find("read")), (2, Some(&"files")));
    assert_eq!((names.number("write"), names.get(1)), (Some(1), Some(&"files")));
}

#[test]
fn declares_what_has_something_behind_it_and_nothing_else() {
    let nothing = identity::Offers {
        tools: false,
        prompts: false,
        resources: false,
        completions: false,
        tasks: false,
    };
    let declared = |offers| {
        let identity = Identity::new(&server(10), offers, None);
        let capabilities = |bytes: &[u8]| {
            let said: Value = serde_json::from_slice(bytes).expect("JSON");
            said["capabilities"].clone()
        };
        let legacy = identity.initialize(Revision::V2025_11_25);
        (capabilities(&legacy), capabilities(&identity.discover()))
    };
    let bare = json!({ "logging": {} });
    assert_eq!(declared(nothing), (bare.clone(), bare));
    let (legacy, modern) = declared(identity::Offers { tools: true, tasks: true, ..nothing });
    let tools = json!({ "logging": {}, "tools": { "listChanged": true } });
    assert_eq!(legacy, tools, "legacy revisions know another kind of task");
    assert_eq!(modern["extensions"], json!({ "io.modelcontextprotocol/tasks": {} }));
    assert_eq!(modern["tools"], tools["tools"]);
}

#[test]
fn instructions_of_the_operator_come_before_those_of_the_plugins() {
    let with = |text: &str| {
        Arc::new(Described { instructions: Some(text.to_owned()), ..Described::default() })
    };
    let described = [("one", with("Of one.")), plugin("two", []), ("three", with("Of three."))];
    let all = identity::instructions(&server(10), &described);
    assert_eq!(all.as_deref(), Some("Of the operator.\n\nOf one.\n\nOf three."));
    let silent = ServerPlan { instructions: None, ..server(10) };
    assert_eq!(identity::instructions(&silent, &[plugin("two", [])]), None);
}
