//! Refusals, the log, metrics and the control listener name the same generation.

use serde_json::{Value, json};

use super::{ECHO, Live, ON_REQUEST, deadline};
use crate::wire::until;

const SMALL: &str = "[layer.payload]\nrequest_bytes_max = \"1KiB\"\n";

/// The first twelve digits of the identity that serves, and of the generation its number.
fn current(live: &Live) -> (u64, String) {
    let shown = live.program.control("/admin/generations").json();
    let serving = &shown["current"];
    let identity = serving["identity"].as_str().expect("an identity");
    (serving["generation"].as_u64().expect("a number"), identity[..12].to_owned())
}

/// What a line of the log says of both.
fn of_line(line: &Value) -> (u64, String) {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (line["generation"].as_u64().unwrap_or_default(), text("identity"))
}

#[test]
fn the_same_generation_is_named_wherever_an_operator_looks() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, SMALL, &deadline(5_001)]);
    let first = current(&live);
    let attempt = live.applies(&[ON_REQUEST, ECHO, SMALL, &deadline(5_002)]);
    let (number, identity) = current(&live);
    assert!(number == 2 && identity != first.1, "{number} {identity}");
    assert!(attempt["identity"].as_str().is_some_and(|whole| whole.starts_with(&identity)));
    let refused = live.program.call("echo", &json!({ "text": "x".repeat(2_000) })).json();
    assert_eq!(refused["error"]["data"]["generation"], number, "{refused}");
    let info =
        format!("toolrack_generation_info{{generation=\"{number}\",identity=\"{identity}\"}} 1");
    until("metrics are rendered anew", || {
        let metrics = live.program.control("/metrics").body;
        metrics.lines().any(|line| line == info)
    });
    live.reload_with(&["[nonsense]\n"]);
    let undone = live.roll_back("?to=1").json();
    assert_eq!(undone["result"], "applied", "{undone}");
    let (after, _) = current(&live);
    let mut told = Vec::new();
    live.program.wait_for(|_, line| {
        let message = line["message"].as_str().unwrap_or_default();
        let is_of_attempt = line["result"].is_string() || message.starts_with("Going back");
        if is_of_attempt {
            told.push(of_line(line));
        }
        message.starts_with("A generation serves again")
    });
    let second = (number, identity);
    // Applied, refused, and back: what is aimed at, then what serves.
    let expected = [second.clone(), second, first.clone(), (after, first.1)];
    assert_eq!(told, expected);
}
