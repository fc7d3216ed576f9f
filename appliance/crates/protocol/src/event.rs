//! What a running call may tell its client before the answer.

/// Severity of a message to the client, RFC 5424 order, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LogLevel {
    /// Detail for debugging.
    Debug,
    /// General information.
    Info,
    /// Normal but significant.
    Notice,
    /// Warning.
    Warning,
    /// Error.
    Error,
    /// Critical.
    Critical,
    /// Action must be taken at once.
    Alert,
    /// The system is unusable.
    Emergency,
}

impl LogLevel {
    /// All levels, lowest first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Reads a level as it stands on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// The level as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

/// One message of a running call to its client.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Progress; `progress` strictly increases within a call (checked by the plugin host).
    Progress {
        /// How far.
        progress: f64,
        /// Of how much, when known.
        total: Option<f64>,
        /// For people.
        message: Option<Box<str>>,
    },
    /// A log message for the client, already at or above the level that the client asked for.
    Log {
        /// Severity.
        level: LogLevel,
        /// Who says it.
        logger: Option<Box<str>>,
        /// One JSON value, checked.
        data: Box<str>,
    },
    /// The plugin lets the connection go: a 2025-11-25 client comes back for the result with
    /// `Last-Event-ID` after `retry_ms`. Without effect for every other client.
    Detach {
        /// Milliseconds that the client is asked to wait.
        retry_ms: u32,
    },
}

/// Where a running call puts its events. Bounded: a full channel drops progress, never blocks.
pub type EventSender = tokio::sync::mpsc::Sender<Event>;
/// Where the transport takes them from.
pub type EventReceiver = tokio::sync::mpsc::Receiver<Event>;
