//! Tasks: calls whose result the client asks for later (2026-07-28, extension `io.modelcontextprotocol/tasks`).

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// Its call runs, or waits for room to run.
    Working,
    /// Its call asked something, and not everything is answered.
    InputRequired,
    /// It has a result, which may be a failure that the tool reports.
    Completed,
    /// It ended with a JSON-RPC error.
    Failed,
    /// It was given up.
    Cancelled,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Working, Self::InputRequired, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether `next` may come after it. A task works on before it completes.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Working => !matches!(next, Self::Working),
            Self::InputRequired => matches!(next, Self::Working | Self::Failed | Self::Cancelled),
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// A task as its client sees it.
#[derive(Clone, Copy, Debug)]
pub struct TaskState<'t> {
    /// Its id, which only its client has.
    pub id: &'t str,
    /// Where it is.
    pub status: TaskStatus,
    /// When it began: ISO 8601.
    pub created: &'t str,
    /// When it last changed: ISO 8601.
    pub updated: &'t str,
    /// For how long after its creation it can be asked for, in milliseconds.
    pub ttl_ms: u64,
    /// How long the client is asked to leave between two looks, in milliseconds.
    pub poll_ms: u64,
    /// What goes with the status.
    pub detail: TaskDetail<'t>,
}

/// What goes with a task's status.
#[derive(Clone, Copy, Debug)]
pub enum TaskDetail<'t> {
    /// Nothing.
    None,
    /// The questions that are open: JSON text of one object, key to `{method, params}`.
    Questions(&'t [u8]),
    /// The result: JSON text of one object.
    Result(&'t [u8]),
    /// The error: JSON text of one object.
    Error(&'t [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_terminal_stays_and_only_working_tasks_complete() {
        for from in TaskStatus::ALL {
            for to in TaskStatus::ALL {
                let may = from.may_become(to);
                assert!(!(may && (from.is_terminal() || from == to)), "{from:?} to {to:?}");
                assert!(!may || to != TaskStatus::Completed || from == TaskStatus::Working);
            }
        }
    }
}
