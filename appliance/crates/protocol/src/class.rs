//! What a request is worth when not everything can be served: four classes, a function of the method alone.

use crate::method::Method;

/// A class of requests, the most worthy first. What arrives on the control listener stands above all of them and has
/// no class: it shares nothing with the data plane.
///
/// A function of the method alone, so that a client cannot buy itself into a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Class {
    /// Keeps the protocol going, and mostly frees what others hold: cancellations, answers to questions, pings.
    Control,
    /// Costs little: handshakes, lists, prompts, completions, looks at a task.
    Read,
    /// Runs in a plugin for as long as it likes: tools and resources.
    Work,
    /// Stays for as long as its client does.
    Stream,
}

impl Class {
    /// Every class, in the order of their worth.
    pub const ALL: [Self; 4] = [Self::Control, Self::Read, Self::Work, Self::Stream];

    /// The class of a method. What does not exist is answered with an error, which is a light read.
    #[must_use]
    pub const fn of(method: Method) -> Self {
        match method {
            Method::Ping
            | Method::Initialized
            | Method::Cancelled
            | Method::Progress
            | Method::RootsListChanged
            | Method::ResourcesUnsubscribe
            | Method::TasksUpdate
            | Method::TasksCancel => Self::Control,
            Method::Initialize
            | Method::Discover
            | Method::ToolsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::ResourcesSubscribe
            | Method::PromptsList
            | Method::PromptsGet
            | Method::Complete
            | Method::SetLevel
            | Method::TasksGet
            | Method::Unknown => Self::Read,
            Method::ToolsCall | Method::ResourcesRead => Self::Work,
            Method::Listen => Self::Stream,
        }
    }

    /// The name: in a refusal's `scope` and as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Read => "read",
            Self::Work => "work",
            Self::Stream => "stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_keeps_the_protocol_going() {
        let is_notification = |method: &&Method| method.as_str().starts_with("notifications/");
        for method in Method::ALL.iter().filter(is_notification) {
            assert_eq!(Class::of(*method), Class::Control, "{method:?}");
        }
    }

    #[test]
    fn what_runs_in_a_plugin_for_long_is_work_and_lists_are_not() {
        for method in Method::ALL {
            let is_list = method.as_str().ends_with("/list");
            assert!(!is_list || Class::of(*method) == Class::Read, "{method:?}");
        }
        assert_eq!(Class::of(Method::ToolsCall), Class::Work);
        assert_eq!(Class::of(Method::Listen), Class::Stream);
    }

    #[test]
    fn classes_are_ordered_by_their_worth() {
        assert!(Class::ALL.is_sorted());
    }
}
