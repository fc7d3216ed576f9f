use plugin_sdk::testing::{Answer, Harness};

use super::*;

/// Statuses of the plugin ABI.
const DONE: i32 = 0;
const INTERNAL: i32 = 4;

fn harness() -> Harness<Misbehave> {
    Harness::new("{}").expect("starts")
}

fn ended(answer: &Answer, status: i32, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
}

#[test]
fn panics_end_only_their_call() {
    let harness = harness();
    for (tool, arguments) in [("panic", "{}"), ("panic_here", "{}"), ("panic_async", "{}")] {
        ended(&harness.call_tool(tool, arguments), INTERNAL, "panicked: asked to panic");
    }
    ended(&harness.call_tool("large", r#"{"bytes":3}"#), DONE, "xxx");
}

#[test]
fn floods_and_blocks_end_with_an_answer() {
    let harness = harness();
    for what in ["progress", "messages", "log", "changes"] {
        let arguments = format!(r#"{{"what":"{what}","count":1000}}"#);
        ended(&harness.call_tool("flood", &arguments), DONE, "done");
    }
    for tool in ["block", "block_loop", "wait", "spin"] {
        ended(&harness.call_tool(tool, r#"{"ms":1}"#), DONE, "done");
    }
}

#[test]
fn says_in_which_step_it_was_asked_to_panic() {
    let refused = Harness::<Misbehave>::new(r#"{"panics_in":"never"}"#).err();
    assert!(matches!(refused, Some(Error::Invalid(_))), "{refused:?}");
    let started =
        std::panic::catch_unwind(|| Harness::<Misbehave>::new(r#"{"panics_in":"start"}"#));
    assert!(started.is_err(), "the harness lets panics of `new` through");
}
