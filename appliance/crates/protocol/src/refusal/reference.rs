//! The reference of refusals, from the catalogue, and what it advises clients to do.

use std::fmt::Write;

use super::{Cause, RefusalKind};

impl RefusalKind {
    /// What a client should do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ConnectionsExhausted => {
                "Use the connections that you have. Come back when it says."
            }
            Self::AddressExhausted => {
                "Share connections: one carries many calls. Come back when it says."
            }
            Self::ConnectionAbused => {
                "Mend the HTTP/2 library that resets streams or sends frames for nothing."
            }
            Self::HeadMalformed => "Mend the request: sent again as it is, it is refused again.",
            Self::UriTooLong => "Send arguments in the body, not in the address.",
            Self::HeadTooLarge => "Send fewer or shorter header fields.",
            Self::OriginForbidden => "Ask the operator to allow the place that you come from.",
            Self::PayloadTooLarge => "Send less, or ask for less at once.",
            Self::BodyTooSlow => "Send the body at once.",
            Self::RateLimited => {
                "Call less often: `RateLimit-Policy` says how often. Come back when it says."
            }
            Self::ClientBusy => {
                "Wait for the answers of your own calls before you send more. Come back when it says."
            }
            Self::Overloaded | Self::PluginBusy => {
                "Have fewer calls under way. Come back when it says."
            }
            Self::SessionsExhausted => {
                "End sessions and streams that you do not use. Come back when it says."
            }
            Self::TasksExhausted => "Cancel tasks that nobody needs. Come back when it says.",
            Self::MemoryExhausted => {
                "Come back when it says; light calls are served before heavy ones."
            }
            Self::Draining => "Come back when it says, or go to another replica now.",
            Self::CircuitOpen | Self::PluginUnavailable => {
                "Do without this tool for a while; the others are well. Come back when it says."
            }
            Self::TimedOut => "Find out whether the tool did its work before you call it again.",
        }
    }
}

/// Every refusal with its causes, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Refusals\n\n\
         Generated from the program by `cargo ci schemas`; change the catalogue in `protocol/src/refusal/` instead.\n\n\
         A refusal is an answer that no plugin produced, because a protection said no. Its name is `data.refusal` of the \
         JSON-RPC error and the label `kind` of `toolrack_refusals_total`, and does not change. HTTP clients get the \
         status as well; on standard input the same code and `data` come alone.\n\n\
         `data` says the `layer`, the `scope` of the bound, its `limit` in the unit of its key, the `generation` that \
         judged, `retry_after_ms` where a retry can help, and the `request_id` (also `X-Request-Id`) for which \
         `/admin/explain?request=ID` of the control listener tells more, and which the log has with `log.filter = \"info,telemetry=debug\"`. A wait is spread: each client hears up to a \
         fifth more, always the same. `Retry-After` is the wait in whole seconds, rounded up, from 1 to 120.\n\n\
         429: a named bound was reached. 503: nobody can be served by this process or tool now.\n",
    );
    for kind in RefusalKind::ALL {
        let (name, status, code) = (kind.as_str(), kind.http_status(), kind.code());
        write!(out, "\n## `{name}`\n\nHTTP {status}, JSON-RPC {code}. {}\n\n", kind.advice()).ok();
        out.push_str("| Layer | Stage | Scope | When | Executed | `Retry-After` | Keys |\n");
        out.push_str("|---|---|---|---|---|---|---|\n");
        kind.causes().for_each(|cause| row(&mut out, cause));
    }
    out
}

fn row(out: &mut String, cause: &Cause) {
    let keys: Vec<_> = cause.keys.iter().map(|key| format!("`{key}`")).collect();
    let executed = if cause.may_have_executed() { "maybe" } else { "never" };
    let wait = if cause.wait.is_empty() { "none" } else { cause.wait };
    let Cause { layer, stage, scope, when, .. } = cause;
    let keys = keys.join(", ");
    writeln!(out, "| `{layer}` | {stage} | `{scope}` | {when} | {executed} | {wait} | {keys} |")
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::CAUSES;

    #[test]
    fn the_reference_has_a_heading_for_every_kind_and_a_row_for_every_cause() {
        let reference = reference();
        let headings: Vec<_> =
            reference.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let names = RefusalKind::ALL.map(|kind| format!("`{}`", kind.as_str()));
        assert_eq!(headings, names);
        assert_eq!(reference.matches("\n| `").count(), CAUSES.len());
    }

    #[test]
    fn every_kind_has_a_cause_and_every_cause_one_meaning() {
        for kind in RefusalKind::ALL {
            assert!(kind.causes().next().is_some(), "{kind:?}");
        }
        for cause in CAUSES {
            let scope = cause.scope.replace("NAME", "some");
            let found = cause.kind.cause(cause.layer, &scope).expect("a cause");
            let is_first = std::ptr::eq(found, cause);
            assert!(is_first, "two causes of {:?} by {} at {scope}", cause.kind, cause.layer);
            assert!(!cause.keys.is_empty() && cause.when.ends_with('.'), "{cause:?}");
            let helps = [429, 503].contains(&cause.kind.http_status());
            assert_eq!(helps, !cause.wait.is_empty(), "{cause:?}");
        }
    }
}
