//! Tasks: what creates one, and what tells of one.

use bytes::Bytes;

use super::ServerInfo;
use crate::META_PREFIX;
use crate::json::write_utf8_to;
use crate::task::{TaskDetail, TaskState};

/// The members of a task with what goes with its status, without braces: they stand in results and in notifications.
#[must_use]
pub fn task_members(state: &TaskState<'_>) -> Vec<u8> {
    let mut out = head(state);
    let (key, detail): (&[u8], &[u8]) = match state.detail {
        TaskDetail::None => return out,
        TaskDetail::Questions(json) => (b",\"inputRequests\":", json),
        TaskDetail::Result(json) => (b",\"result\":", json),
        TaskDetail::Error(json) => (b",\"error\":", json),
    };
    out.extend_from_slice(key);
    out.extend_from_slice(detail);
    out
}

/// The result that says that there is a task instead of the result (`CreateTaskResult`).
#[must_use]
pub fn task_created(state: &TaskState<'_>, server: &ServerInfo) -> Bytes {
    let mut out = b"{\"resultType\":\"task\",".to_vec();
    out.extend_from_slice(&head(state));
    out.extend_from_slice(format!(",\"_meta\":{{\"{META_PREFIX}serverInfo\":").as_bytes());
    out.extend_from_slice(&server.0);
    out.extend_from_slice(b"}}");
    out.into()
}

fn head(state: &TaskState<'_>) -> Vec<u8> {
    let mut out = b"\"taskId\":".to_vec();
    write_utf8_to(&mut out, state.id.as_bytes());
    let TaskState { status, created, updated, ttl_ms, poll_ms, .. } = state;
    let status = status.as_str();
    out.extend_from_slice(
        format!(
            ",\"status\":\"{status}\",\"createdAt\":\"{created}\",\"lastUpdatedAt\":\"{updated}\",\"ttlMs\":{ttl_ms},\"pollIntervalMs\":{poll_ms}"
        )
        .as_bytes(),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskStatus;

    fn state(detail: TaskDetail<'_>) -> TaskState<'_> {
        TaskState {
            id: "a\"b",
            status: TaskStatus::Completed,
            created: "2026-07-28T00:00:00.000Z",
            updated: "2026-07-28T00:00:01.000Z",
            ttl_ms: 5,
            poll_ms: 6,
            detail,
        }
    }

    #[test]
    fn a_created_task_is_flat_and_carries_no_detail() {
        let server = ServerInfo(Bytes::from_static(b"{}"));
        let created = task_created(&state(TaskDetail::Result(b"{\"content\":[]}")), &server);
        let expected = r#"{"resultType":"task","taskId":"a\"b","status":"completed","createdAt":"2026-07-28T00:00:00.000Z","lastUpdatedAt":"2026-07-28T00:00:01.000Z","ttlMs":5,"pollIntervalMs":6,"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#;
        assert_eq!(created, expected);
    }

    #[test]
    fn the_detail_goes_under_the_name_of_its_kind() {
        for (detail, ending) in [
            (TaskDetail::None, "\"pollIntervalMs\":6"),
            (TaskDetail::Questions(b"{\"a\":1}"), ",\"inputRequests\":{\"a\":1}"),
            (TaskDetail::Result(b"{\"b\":1}"), ",\"result\":{\"b\":1}"),
            (TaskDetail::Error(b"{\"c\":1}"), ",\"error\":{\"c\":1}"),
        ] {
            let text = String::from_utf8(task_members(&state(detail))).expect("text");
            assert!(text.ends_with(ending), "{text}");
        }
    }
}
