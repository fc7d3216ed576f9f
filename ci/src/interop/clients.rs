//! The official clients, and what each cannot speak.

/// How the appliance is reached.
#[derive(Clone, Copy)]
pub(super) enum Transport {
    Http,
    Stdio,
}

impl Transport {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stdio => "stdio",
        }
    }
}

/// Which of the protocol's eras is spoken.
#[derive(Clone, Copy)]
pub(super) enum Era {
    /// 2025-11-25, with a handshake.
    Legacy,
    /// 2026-07-28, without.
    Modern,
}

impl Era {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// What runs a client.
#[derive(Clone, Copy)]
pub(super) enum Runtime {
    Node,
    Python,
    Native,
}

/// A client in `ci/interop`.
pub(super) struct Client {
    /// Its folder, which names it too.
    pub(super) name: &'static str,
    /// The file that has its version, and the text before the version in it.
    pub(super) pinned: (&'static str, &'static str),
    pub(super) runtime: Runtime,
    /// Why it does not speak the modern era, if it does not. It is tried all the same: a reason that has become wrong
    /// fails.
    pub(super) no_modern: Option<&'static str>,
}

impl Client {
    pub(super) const fn not_spoken(&self, era: Era) -> Option<&'static str> {
        match era {
            Era::Legacy => None,
            Era::Modern => self.no_modern,
        }
    }
}

pub(super) const CLIENTS: [Client; 4] = [
    Client {
        name: "typescript-1",
        pinned: ("package.json", "\"@modelcontextprotocol/sdk\": \""),
        runtime: Runtime::Node,
        no_modern: Some("2025-11-25 is the newest revision of the first generation"),
    },
    Client {
        name: "typescript-2",
        pinned: ("package.json", "\"@modelcontextprotocol/client\": \""),
        runtime: Runtime::Node,
        no_modern: None,
    },
    Client {
        name: "python",
        pinned: ("requirements.txt", "\nmcp=="),
        runtime: Runtime::Python,
        no_modern: None,
    },
    Client {
        name: "rmcp",
        pinned: ("Cargo.toml", "rmcp = { version = \"="),
        runtime: Runtime::Native,
        no_modern: None,
    },
];
