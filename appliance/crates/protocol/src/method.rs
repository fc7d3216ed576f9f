//! The methods of the protocol, and the revisions in which each exists.

use crate::revision::Revision;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $since:ident ..= $until:ident;)*) => {
        /// A method or notification that a client may send.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
            /// Anything else.
            Unknown,
        }

        impl Method {
            /// Every known method.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Reads a method name. Names are case-sensitive.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// The name on the wire; `unknown` for [`Method::Unknown`], which also makes it fit as a
            /// metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown => "unknown",
                }
            }

            /// Whether clients of `revision` may send this method.
            #[must_use]
            pub fn exists_in(self, revision: Revision) -> bool {
                match self {
                    $(Self::$variant => (Revision::$since..=Revision::$until).contains(&revision),)*
                    Self::Unknown => false,
                }
            }
        }
    };
}

methods! {
    /// Legacy handshake.
    Initialize = "initialize", V2024_11_05 ..= V2025_11_25;
    /// End of the legacy handshake.
    Initialized = "notifications/initialized", V2024_11_05 ..= V2025_11_25;
    /// Modern discovery.
    Discover = "server/discover", V2026_07_28 ..= V2026_07_28;
    /// Liveness of the peer.
    Ping = "ping", V2024_11_05 ..= V2025_11_25;
    /// Lists tools.
    ToolsList = "tools/list", V2024_11_05 ..= V2026_07_28;
    /// Runs a tool.
    ToolsCall = "tools/call", V2024_11_05 ..= V2026_07_28;
    /// Lists resources.
    ResourcesList = "resources/list", V2024_11_05 ..= V2026_07_28;
    /// Lists resource templates.
    ResourceTemplatesList = "resources/templates/list", V2024_11_05 ..= V2026_07_28;
    /// Reads a resource.
    ResourcesRead = "resources/read", V2024_11_05 ..= V2026_07_28;
    /// Asks for updates of one resource.
    ResourcesSubscribe = "resources/subscribe", V2024_11_05 ..= V2025_11_25;
    /// Ends updates of one resource.
    ResourcesUnsubscribe = "resources/unsubscribe", V2024_11_05 ..= V2025_11_25;
    /// Lists prompts.
    PromptsList = "prompts/list", V2024_11_05 ..= V2026_07_28;
    /// Renders a prompt.
    PromptsGet = "prompts/get", V2024_11_05 ..= V2026_07_28;
    /// Completes an argument.
    Complete = "completion/complete", V2024_11_05 ..= V2026_07_28;
    /// Sets the level of log messages of a session.
    SetLevel = "logging/setLevel", V2024_11_05 ..= V2025_11_25;
    /// Opens a stream of change notifications.
    Listen = "subscriptions/listen", V2026_07_28 ..= V2026_07_28;
    /// Reads the state of a task (extension `io.modelcontextprotocol/tasks`).
    TasksGet = "tasks/get", V2026_07_28 ..= V2026_07_28;
    /// Answers questions of a task.
    TasksUpdate = "tasks/update", V2026_07_28 ..= V2026_07_28;
    /// Gives up on a task.
    TasksCancel = "tasks/cancel", V2026_07_28 ..= V2026_07_28;
    /// The client gave up on a request.
    Cancelled = "notifications/cancelled", V2024_11_05 ..= V2026_07_28;
    /// Progress on a request that the server sent.
    Progress = "notifications/progress", V2024_11_05 ..= V2025_11_25;
    /// The client's roots changed.
    RootsListChanged = "notifications/roots/list_changed", V2024_11_05 ..= V2025_11_25;
}

impl Method {
    /// Whether complete modern results carry `ttlMs` and `cacheScope` (2026-07-28, caching).
    #[must_use]
    pub const fn is_cacheable(self) -> bool {
        matches!(
            self,
            Self::Discover
                | Self::ToolsList
                | Self::ResourcesList
                | Self::ResourceTemplatesList
                | Self::ResourcesRead
                | Self::PromptsList
        )
    }

    /// Whether a modern result may be `input_required` (2026-07-28, multi round-trip requests).
    #[must_use]
    pub const fn may_ask(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// Whether this method belongs to the extension `io.modelcontextprotocol/tasks`.
    #[must_use]
    pub const fn is_of_tasks(self) -> bool {
        matches!(self, Self::TasksGet | Self::TasksUpdate | Self::TasksCancel)
    }
}
