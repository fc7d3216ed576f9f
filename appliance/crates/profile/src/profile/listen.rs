//! `[listen.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way in: exactly one of `http` and `stdio`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// Streamable HTTP: HTTP/1.1, and HTTP/2 with prior knowledge, on one port.
    pub(crate) http: Option<Http>,
    /// Lines on standard input and output, for one client that started the process. At most one listener has it.
    pub(crate) stdio: Option<Stdio>,
}

/// A Streamable HTTP listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// `address:port`. Port 0 takes a free one, which the log names. Default: `127.0.0.1:8080`.
    pub(crate) bind: String,
    /// The path of the MCP endpoint. Default: `/mcp`.
    pub(crate) path: String,
    /// Networks of proxies that say in `X-Forwarded-For` or `Forwarded` for whom they speak: `10.0.0.0/8`, or a single
    /// address. Of a request that comes from one of them, the right-most address that is in none of them is counted as
    /// the client; every other request counts against the address that it comes from. Name proxies only: whoever is in
    /// these networks can choose whom its requests count against. Default: none.
    pub(crate) trusted_proxies: Vec<String>,
    /// Most connections at once. At the limit: 503 and closed. Default: 10000.
    pub(crate) connections_max: u64,
    /// Milliseconds from the connection to its first byte. At the limit: closed. Default: 5000.
    pub(crate) first_byte_ms: u64,
    /// Milliseconds from the first byte of a request to the end of its head. At the limit: closed. Default: 10000.
    pub(crate) head_ms: u64,
    /// Milliseconds for a whole request body. At the limit: 408. Default: 60000.
    pub(crate) body_ms: u64,
    /// Least bytes per second of a request body that is on its way, so that nobody holds a place for `body_ms` with a
    /// byte now and then. Below: 408. From 0, which is no bound, to 1000000000. Default: 1024.
    pub(crate) body_bytes_per_sec_min: u64,
    /// Milliseconds over which that rate is measured. Default: 5000.
    pub(crate) body_window_ms: u64,
    /// Milliseconds between two requests on a connection. At the limit, or up to a tenth earlier so that those of one
    /// moment do not return in one moment: closed. Default: 75000, longer than the pools of common proxies keep one.
    pub(crate) idle_ms: u64,
    /// Milliseconds for which a client may take no byte of an answer. At the limit: closed. Default: 20000.
    pub(crate) write_ms: u64,
    /// Milliseconds between two comment lines on a silent stream, which keep proxies from closing it. Default: 15000.
    pub(crate) heartbeat_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8080".to_owned(),
            path: "/mcp".to_owned(),
            trusted_proxies: Vec::new(),
            connections_max: 10_000,
            first_byte_ms: 5_000,
            head_ms: 10_000,
            body_ms: 60_000,
            body_bytes_per_sec_min: 1_024,
            body_window_ms: 5_000,
            idle_ms: 75_000,
            write_ms: 20_000,
            heartbeat_ms: 15_000,
        }
    }
}

/// The stdio listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stdio {
    /// Most requests of the client that run at once. At the limit: an error that says so. Default: 64.
    pub(crate) calls_max: u64,
}

impl Default for Stdio {
    fn default() -> Self {
        Self { calls_max: 64 }
    }
}
