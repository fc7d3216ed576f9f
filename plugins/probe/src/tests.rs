use plugin_sdk::testing::Harness;

use super::*;

/// Statuses of the plugin ABI.
const DONE: i32 = 0;
const INPUT_REQUIRED: i32 = 6;
const INTERNAL: i32 = 4;

#[test]
fn each_tool_does_what_it_is_told() {
    let harness = Harness::<Probe>::new("{}").expect("starts");
    let called = |tool, arguments| {
        let answer = harness.call_tool(tool, arguments);
        (answer.status, answer.text())
    };
    assert_eq!(called("probe_answer", "{}"), (DONE, "answered".to_owned()));
    assert_eq!(called("probe_wait", r#"{"ms":1}"#), (DONE, "waited".to_owned()));
    assert_eq!(called("probe_large", r#"{"bytes":3}"#), (DONE, "xxx".to_owned()));
    assert_eq!(called("probe_fail", r#"{"fails":true}"#).0, INTERNAL);
    let well = called("probe_fail", r#"{"fails":false,"ms":1}"#);
    assert_eq!(well, (DONE, "answered".to_owned()));
}

#[test]
fn a_question_comes_once_and_any_answer_will_do() {
    let harness = Harness::<Probe>::new("{}").expect("starts");
    let asked = harness.call_tool("probe_ask", "{}");
    assert_eq!(asked.status, INPUT_REQUIRED, "{}", asked.text());
    let answers = r#"{"go_on":{"action":"decline"}}"#;
    let answer = harness.ask_tool("probe_ask", "{}", 1, answers, b"");
    assert_eq!((answer.status, answer.text()), (DONE, "answered".to_owned()));
}

#[test]
fn it_speaks_as_often_as_it_is_told() {
    let harness = Harness::<Probe>::new("{}").expect("starts");
    let answer = harness.call_tool("probe_speak", r#"{"times":3}"#);
    assert_eq!((answer.status, harness.told().len()), (DONE, 3));
}

#[test]
fn every_number_is_a_resource() {
    let harness = Harness::<Probe>::new("{}").expect("starts");
    let template = "probe://followed/{number}";
    let answer = harness.read_template(template, "probe://followed/7", r#"{"number":7}"#);
    assert_eq!((answer.status, answer.text()), (DONE, "resource 7".to_owned()));
}
