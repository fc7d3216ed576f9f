//! The comparison: whole names, never prefixes.

use protocol::{Field, Head, Refusal, RefusalKind};

use super::{Config, NAME};

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A host name or address as somebody wrote it, with an optional port.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostPort<'t> {
    host: &'t str,
    port: Option<u16>,
}

impl<'t> HostPort<'t> {
    /// Reads `name`, `name:port`, `[v6]` or `[v6]:port`; one trailing dot of a name is dropped.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        Self::split(text).filter(|parsed| parsed.is_well_formed())
    }

    /// The same without a look at the characters of the name: enough to compare it with one that is well formed.
    fn split(text: &'t str) -> Option<Self> {
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let before = &text[..text.len() - digits];
        let (host, port) = match before.strip_suffix(':') {
            Some(host) => (host, Some(text[before.len()..].parse().ok()?)),
            None => (text, None),
        };
        Some(Self { host: host.strip_suffix('.').unwrap_or(host), port })
    }

    fn is_well_formed(&self) -> bool {
        let inner = self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_v6 = inner.is_some();
        let inner = inner.unwrap_or(self.host);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || (is_v6 && b == b':');
        !inner.is_empty() && inner.bytes().all(fits)
    }

    fn is_loopback(&self) -> bool {
        LOOPBACK_NAMES.iter().any(|name| self.host.eq_ignore_ascii_case(name))
    }

    /// Whether both name the same.
    fn equals(&self, other: &HostPort<'_>) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }
}

/// A name on a list.
#[derive(Debug)]
struct Allowed {
    host: Box<str>,
    port: Option<u16>,
}

impl Allowed {
    fn new(name: HostPort<'_>) -> Self {
        Self { host: name.host.into(), port: name.port }
    }

    /// Whether it names `asked`; without a port, any port.
    fn names(&self, asked: &HostPort<'_>) -> bool {
        (self.port.is_none() || self.port == asked.port)
            && self.host.eq_ignore_ascii_case(asked.host)
    }
}

/// Reads `scheme://host[:port]`; the scheme's own port is left out, so that both spellings are equal.
pub(super) fn parse_origin(text: &str) -> Option<(String, HostPort<'_>)> {
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
    hosts: Vec<Allowed>,
    origins: Vec<(String, Allowed)>,
}

impl Rules {
    /// Entries that do not parse were refused with the profile ([`Config::problems`]).
    pub(super) fn new(config: &Config) -> Self {
        Self {
            hosts: config
                .allowed_hosts
                .iter()
                .filter_map(|host| HostPort::parse(host))
                .map(Allowed::new)
                .collect(),
            origins: config
                .allowed_origins
                .iter()
                .filter_map(|origin| parse_origin(origin))
                .map(|(scheme, host)| (scheme, Allowed::new(host)))
                .collect(),
        }
    }

    pub(super) fn check(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let on_loopback = head.peer.local.ip().is_loopback();
        let host = host_of(head).ok_or_else(malformed_host)?;
        let host_allowed = (on_loopback && host.is_loopback())
            || self.hosts.iter().any(|allowed| allowed.names(&host));
        if !host_allowed {
            return Err(if host.is_well_formed() {
                refusal("This host name is not served here.")
            } else {
                malformed_host()
            });
        }
        let Some(origin) = single(head.fields.origin).transpose() else {
            return Ok(());
        };
        let origin = origin.ok().and_then(parse_origin);
        let origin_allowed = origin.is_some_and(|origin| {
            let is_web = matches!(origin.0.as_str(), "http" | "https");
            let is_listed = |(scheme, host): &(String, Allowed)| {
                *scheme == origin.0 && host.port == origin.1.port && host.names(&origin.1)
            };
            (on_loopback && is_web && origin.1.is_loopback()) || self.origins.iter().any(is_listed)
        });
        if origin_allowed { Ok(()) } else { Err(refusal("This origin may not call this server.")) }
    }
}

/// The authority that the request names: the URI's in HTTP/2 and absolute form, else `Host`. Both must agree.
fn host_of<'r>(head: &Head<'r>) -> Option<HostPort<'r>> {
    let from_uri = match head.parts.uri.authority() {
        // Userinfo has no business here.
        Some(authority) if authority.as_str().contains('@') => return None,
        Some(authority) => Some(HostPort::split(authority.as_str())?),
        None => None,
    };
    let from_header = match single(head.fields.host).ok()? {
        Some(text) => Some(HostPort::split(text)?),
        None => None,
    };
    match (from_uri, from_header) {
        (Some(uri), Some(header)) => uri.equals(&header).then_some(uri),
        (uri, header) => uri.or(header),
    }
}

/// The one value of a header, `None` when absent, an error when repeated or not text.
fn single(field: Field<'_>) -> Result<Option<&str>, ()> {
    match field {
        Field::Absent => Ok(None),
        Field::One(value) => value.to_str().map(Some).map_err(|_| ()),
        Field::Repeated => Err(()),
    }
}

fn malformed_host() -> Refusal {
    refusal("The Host header is missing, repeated or malformed.")
}

fn refusal(message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::OriginForbidden, NAME, "request", message)
}
