//! What a client can do.

/// What a client declared that it can do: a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCapabilities(u16);

impl ClientCapabilities {
    /// Nothing declared.
    pub const NONE: Self = Self(0);
    /// `elicitation`, forms: also declared by the empty object.
    pub const ELICITATION_FORM: Self = Self(1);
    /// `elicitation.url`.
    pub const ELICITATION_URL: Self = Self(1 << 1);
    /// `sampling`.
    pub const SAMPLING: Self = Self(1 << 2);
    /// `sampling.tools`.
    pub const SAMPLING_TOOLS: Self = Self(1 << 3);
    /// `sampling.context`.
    pub const SAMPLING_CONTEXT: Self = Self(1 << 4);
    /// `roots`.
    pub const ROOTS: Self = Self(1 << 5);
    /// Extension `io.modelcontextprotocol/tasks`.
    pub const TASKS: Self = Self(1 << 6);

    /// From [`ClientCapabilities::bits`]; flags that there are not say nothing.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether everything in `other` is declared.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What of `self` is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is declared.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags as a number, for the plugin boundary.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// A `ClientCapabilities` object that declares exactly this, as JSON text.
    #[must_use]
    pub fn to_json(self) -> String {
        let mut members = Vec::new();
        if self.has(Self::ELICITATION_URL) {
            members.push(if self.has(Self::ELICITATION_FORM) {
                r#""elicitation":{"form":{},"url":{}}"#
            } else {
                r#""elicitation":{"url":{}}"#
            });
        } else if self.has(Self::ELICITATION_FORM) {
            members.push(r#""elicitation":{}"#);
        }
        let sampling = match (self.has(Self::SAMPLING_TOOLS), self.has(Self::SAMPLING_CONTEXT)) {
            (true, true) => Some(r#""sampling":{"context":{},"tools":{}}"#),
            (true, false) => Some(r#""sampling":{"tools":{}}"#),
            (false, true) => Some(r#""sampling":{"context":{}}"#),
            (false, false) => self.has(Self::SAMPLING).then_some(r#""sampling":{}"#),
        };
        members.extend(sampling);
        if self.has(Self::ROOTS) {
            members.push(r#""roots":{}"#);
        }
        if self.has(Self::TASKS) {
            members.push(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#);
        }
        format!("{{{}}}", members.join(","))
    }
}
