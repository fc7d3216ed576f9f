//! One entry of the catalogue of refusals.

use super::{CAUSES, RefusalKind};

/// One way in which a refusal comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What it is a cause of.
    pub kind: RefusalKind,
    /// The layer that refuses, or the room for refusals outside of layers.
    pub layer: &'static str,
    /// When: `accept` before the first byte of a connection, `edge` from the head, `body` while it is read, `call` from
    /// the parsed call, `answer` from the result.
    pub stage: &'static str,
    /// `data.scope`; `NAME` stands for a name.
    pub scope: &'static str,
    /// What has to be so.
    pub when: &'static str,
    /// What it depends on besides the request; empty: on nothing.
    pub state: &'static str,
    /// What `Retry-After` says, before the spread; empty: there is none, since a retry cannot help.
    pub wait: &'static str,
    /// What an operator can change, the key of `data.limit` first where there is one; `NAME` stands for a name.
    pub keys: &'static [&'static str],
}

impl Cause {
    /// Whether refusals with this `scope` come from here.
    #[must_use]
    pub fn covers(&self, scope: &str) -> bool {
        match self.scope.strip_suffix("NAME") {
            Some(begin) => scope.starts_with(begin),
            None => self.scope == scope,
        }
    }

    /// Whether the tool may have run.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.kind == RefusalKind::TimedOut || self.stage == "answer"
    }
}

impl RefusalKind {
    /// Every way in which this kind comes to be, the earliest first.
    pub fn causes(self) -> impl Iterator<Item = &'static Cause> {
        CAUSES.iter().filter(move |cause| cause.kind == self)
    }

    /// The cause of a refusal that says this of itself.
    #[must_use]
    pub fn cause(self, layer: &str, scope: &str) -> Option<&'static Cause> {
        self.causes().find(|cause| cause.layer == layer && cause.covers(scope))
    }
}
