//! The comparison: whole names, never prefixes.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use protocol::{Head, Refusal, RefusalKind};

use super::{Config, NAME};

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A host name or address in lower case, with an optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// Reads `name`, `name:port`, `[v6]` or `[v6]:port`; one trailing dot of a name is dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text.ends_with(']') => {
                let digits = &text[colon + 1..];
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                (&text[..colon], Some(is_number.then(|| digits.parse().ok()).flatten()?))
            }
            _ => (text, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        let inner = if is_v6 { &host[1..host.len() - 1] } else { host };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || (is_v6 && b == b':');
        let is_host = !inner.is_empty() && inner.bytes().all(fits);
        is_host.then(|| Self { host: host.to_ascii_lowercase(), port })
    }

    fn is_loopback(&self) -> bool {
        LOOPBACK_NAMES.contains(&self.host.as_str())
    }

    /// Whether `self`, from a request, is what `allowed` names.
    fn is(&self, allowed: &Self) -> bool {
        self.host == allowed.host && (allowed.port.is_none() || allowed.port == self.port)
    }
}

/// Reads `scheme://host[:port]`; the scheme's own port is left out, so that both spellings are equal.
pub(super) fn parse_origin(text: &str) -> Option<(String, HostPort)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if scheme.is_empty() || !is_scheme {
        return None;
    }
    let mut host = HostPort::parse(rest)?;
    let scheme = scheme.to_ascii_lowercase();
    let own_port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    if host.port == own_port {
        host.port = None;
    }
    Some((scheme, host))
}

/// The lists, parsed once.
#[derive(Debug)]
pub(super) struct Rules {
    hosts: Vec<HostPort>,
    origins: Vec<(String, HostPort)>,
}

impl Rules {
    /// Entries that do not parse were refused with the profile ([`Config::problems`]).
    pub(super) fn new(config: &Config) -> Self {
        Self {
            hosts: config.allowed_hosts.iter().filter_map(|host| HostPort::parse(host)).collect(),
            origins: config
                .allowed_origins
                .iter()
                .filter_map(|origin| parse_origin(origin))
                .collect(),
        }
    }

    pub(super) fn check(&self, head: &Head) -> Result<(), Refusal> {
        let on_loopback = head.peer.local.ip().is_loopback();
        let host = host_of(head)
            .ok_or_else(|| refusal("The Host header is missing, repeated or malformed."))?;
        let host_allowed = (on_loopback && host.is_loopback())
            || self.hosts.iter().any(|allowed| host.is(allowed));
        if !host_allowed {
            return Err(refusal("This host name is not served here."));
        }
        let Some(origin) = single(&head.parts.headers, ORIGIN).transpose() else {
            return Ok(());
        };
        let origin = origin.ok().and_then(parse_origin);
        let origin_allowed = origin.is_some_and(|origin| {
            let is_web = matches!(origin.0.as_str(), "http" | "https");
            (on_loopback && is_web && origin.1.is_loopback()) || self.origins.contains(&origin)
        });
        if origin_allowed { Ok(()) } else { Err(refusal("This origin may not call this server.")) }
    }
}

/// The authority that the request names: the URI's in HTTP/2 and absolute form, else `Host`. Both must agree.
fn host_of(head: &Head) -> Option<HostPort> {
    let from_uri = match head.parts.uri.authority() {
        // Userinfo has no business here.
        Some(authority) if authority.as_str().contains('@') => return None,
        Some(authority) => Some(HostPort::parse(authority.as_str())?),
        None => None,
    };
    let from_header = match single(&head.parts.headers, HOST).ok()? {
        Some(text) => Some(HostPort::parse(text)?),
        None => None,
    };
    match (from_uri, from_header) {
        (Some(uri), Some(header)) => (uri == header).then_some(uri),
        (uri, header) => uri.or(header),
    }
}

/// The one value of a header, `None` when absent, an error when repeated or not text.
fn single(headers: &HeaderMap, name: http::HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

fn refusal(message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::OriginForbidden, NAME, "request", message)
}
