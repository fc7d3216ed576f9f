use plugin_sdk::testing::Harness;

use super::*;

/// Statuses of the plugin ABI.
const DONE: i32 = 0;
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
