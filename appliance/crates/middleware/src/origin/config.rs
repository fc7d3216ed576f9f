//! Settings of the `origin` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// Which hosts and origins may speak to this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a request from elsewhere. Default: `enforce`.
    pub mode: Mode,
    /// Names that may stand in `Host`, besides the loopback names on a loopback listener: `mcp.example.com`, or
    /// `mcp.example.com:8443` to demand the port as well. Default: none.
    pub allowed_hosts: Vec<String>,
    /// Origins that may stand in `Origin`, besides loopback origins on a loopback listener:
    /// `https://chat.example.com`, with the port unless it is the scheme's own. Default: none.
    pub allowed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Enforce, allowed_hosts: Vec::new(), allowed_origins: Vec::new() }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let hosts =
            self.allowed_hosts.iter().filter(|host| super::rule::HostPort::parse(host).is_none());
        let origins = self
            .allowed_origins
            .iter()
            .filter(|origin| super::rule::parse_origin(origin).is_none());
        hosts
            .map(|host| {
                ("allowed_hosts", format!("`{host}` is not a host; write a name or address, for example `mcp.example.com` or `mcp.example.com:8443`"))
            })
            .chain(origins.map(|origin| {
                ("allowed_origins", format!("`{origin}` is not an origin; write scheme, host and port without a path, for example `https://chat.example.com`"))
            }))
            .collect()
    }
}
