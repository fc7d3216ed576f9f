//! The protocol revisions that are served, and the era each belongs to.

/// A published revision of the protocol, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Revision {
    /// 2024-11-05, the first.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, batches, annotations.
    V2025_03_26,
    /// 2025-06-18: version header, structured results, elicitation; no batches.
    V2025_06_18,
    /// 2025-11-25: icons, polling, argument failures as tool errors.
    V2025_11_25,
    /// 2026-07-28: stateless.
    V2026_07_28,
}

/// How a client and this server converse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Handshake and sessions: 2024-11-05 to 2025-11-25.
    Legacy,
    /// Stateless, metadata in every request: 2026-07-28.
    Modern,
}

impl Revision {
    /// All revisions, newest first: the order in which they are advertised.
    pub const ALL: [Self; 5] = [
        Self::V2026_07_28,
        Self::V2025_11_25,
        Self::V2025_06_18,
        Self::V2025_03_26,
        Self::V2024_11_05,
    ];
    /// Number of revisions.
    pub const COUNT: usize = Self::ALL.len();
    /// What `initialize` offers when the client asks for something unknown.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;
    /// The stateless revision.
    pub const MODERN: Self = Self::V2026_07_28;

    /// Reads a revision as it stands on the wire, for example `2025-11-25`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// The revision as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// All revisions as clients are told of them: a JSON array, newest first.
    #[must_use]
    pub fn all_as_json() -> String {
        let quoted: Vec<_> = Self::ALL.iter().map(|revision| format!("\"{revision}\"")).collect();
        format!("[{}]", quoted.join(","))
    }

    /// The era of this revision.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
        }
    }

    /// A dense index, for tables with one entry for each revision.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_clients_of_every_revision_newest_first() {
        let told = Revision::all_as_json();
        assert!(
            told.starts_with("[\"2026-07-28\",\"2025-11-25\",") && told.ends_with(']'),
            "{told}"
        );
        assert_eq!(told.matches('"').count(), 2 * Revision::COUNT);
    }

    #[test]
    fn reads_back_what_it_writes() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
        }
        assert_eq!(Revision::parse("2025-11-2"), None);
    }
}
