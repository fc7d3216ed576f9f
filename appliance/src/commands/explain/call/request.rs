//! The request that is asked about: HTTP as it was sent, or a message alone.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use profile::Plan;
use profile::plan::{HttpPlan, ListenerPlan, StdioPlan, TransportPlan};
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{Envelope, MetaKey, Method, Param};

/// Most bytes of a file that is read: twice what any request may have.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// A request, and where it comes in.
pub(super) struct Asked<'p> {
    pub(super) way: Way<'p>,
    /// As it would arrive on the socket or on standard input.
    pub(super) bytes: Bytes,
    /// What could be read of the message.
    pub(super) message: Option<Envelope>,
}

/// A listener.
pub(super) enum Way<'p> {
    Http { name: &'p str, plan: &'p HttpPlan },
    Stdio { name: &'p str, plan: &'p StdioPlan },
}

impl Way<'_> {
    pub(super) const fn name(&self) -> &str {
        match self {
            Self::Http { name, .. } | Self::Stdio { name, .. } => name,
        }
    }
}

impl Asked<'_> {
    /// The tool that it calls.
    pub(super) fn tool(&self) -> Option<Cow<'_, str>> {
        let call = self.message.as_ref().filter(|message| message.method() == Method::ToolsCall);
        call?.param(Param::Name)?.as_str()
    }

    /// Whether it belongs to a session, which no other process knows.
    pub(super) fn needs_session(&self) -> bool {
        let Some(message) = &self.message else { return false };
        let is_modern = message.meta(MetaKey::ProtocolVersion).is_some();
        !is_modern && message.method() != Method::Initialize
    }
}

/// Reads a request for the first listener of the plan that it fits; HTTP wins over standard input.
///
/// # Errors
/// A sentence that says how to mend it.
pub(super) fn read<'p>(
    file: &Path,
    headers: &[String],
    plan: &'p Plan,
) -> Result<Asked<'p>, String> {
    let shown = file.display();
    let unreadable =
        |error| format!("cannot read `{shown}`: {error}; name a file with a request in it");
    let size = std::fs::metadata(file).map_err(unreadable)?;
    if size.len() > FILE_BYTES_MAX {
        return Err(format!("`{shown}` is larger than any request may be"));
    }
    let text = std::fs::read(file).map_err(unreadable)?;
    let http = plan.listeners.iter().find_map(http_of);
    let stdio = plan.listeners.iter().find_map(stdio_of);
    let is_message = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let given = if is_message { None } else { Some(split(&text)) };
    let body = given.as_ref().map_or_else(|| text.trim_ascii(), |(_, body)| body);
    let message = parse(body);
    match (http, stdio, given) {
        (Some((name, plan)), _, given) => {
            let head = given.map_or_else(|| head_for(plan, message.as_ref()), |(head, _)| head);
            let bytes = whole(head, headers, body)?;
            Ok(Asked { way: Way::Http { name, plan }, bytes, message })
        }
        (None, Some((name, plan)), None) if headers.is_empty() => {
            let mut line: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\n').collect();
            line.push(b'\n');
            Ok(Asked { way: Way::Stdio { name, plan }, bytes: line.into(), message })
        }
        _ => Err(format!(
            "the profile `{}` has no HTTP listener: give a JSON message alone, and no --header",
            plan.name
        )),
    }
}

fn http_of(listener: &ListenerPlan) -> Option<(&str, &HttpPlan)> {
    match &listener.transport {
        TransportPlan::Http(plan) => Some((&*listener.name, plan)),
        TransportPlan::Stdio(_) => None,
    }
}

fn stdio_of(listener: &ListenerPlan) -> Option<(&str, &StdioPlan)> {
    match &listener.transport {
        TransportPlan::Stdio(plan) => Some((&*listener.name, plan)),
        TransportPlan::Http(_) => None,
    }
}

fn parse(body: &[u8]) -> Option<Envelope> {
    match Envelope::parse(Bytes::copy_from_slice(body), &Limits::DEFAULT) {
        Ok(Message::One(envelope)) => Some(envelope),
        _ => None,
    }
}

/// Lines of a head, and what comes after the empty line. Editors end lines as they like.
fn split(text: &[u8]) -> (Vec<String>, &[u8]) {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        // Bytes of a head are Latin-1 (RFC 9110, 5.5); each becomes a character and a byte again.
        lines.push(line.iter().map(|byte| char::from(*byte)).collect());
    }
    (lines, rest)
}

/// The head that a good client would send with a message.
fn head_for(plan: &HttpPlan, message: Option<&Envelope>) -> Vec<String> {
    let mut head = vec![
        format!("POST {} HTTP/1.1", plan.path),
        format!("Host: {}", plan.bind),
        "Content-Type: application/json".to_owned(),
        "Accept: application/json, text/event-stream".to_owned(),
    ];
    let Some(message) = message else { return head };
    let version = message.meta(MetaKey::ProtocolVersion).and_then(|raw| raw.as_str());
    if let Some(version) = version {
        head.push(format!("MCP-Protocol-Version: {version}"));
        head.push(format!("Mcp-Method: {}", message.method_name()));
        let name = [Param::Name, Param::Uri].map(|param| message.param(param));
        if let Some(name) = name.into_iter().flatten().find_map(|raw| raw.as_str()) {
            head.push(format!("Mcp-Name: {name}"));
        }
    }
    head
}

/// The request as it would be sent: `headers` take the place of those of the same name, and a length is added if none
/// was given.
fn whole(mut head: Vec<String>, headers: &[String], body: &[u8]) -> Result<Bytes, String> {
    if head.is_empty() {
        return Err(
            "the file begins with no request; write a line like `POST /mcp HTTP/1.1` first, \
                    or the JSON of a message alone"
                .to_owned(),
        );
    }
    for header in headers {
        let Some((name, _)) = header.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            return Err(format!("--header `{header}`: write it as `Name: value`"));
        };
        head.retain(|line| !is_named(line, name));
        head.push(header.clone());
    }
    let declares = |name| head.iter().any(|line| is_named(line, name));
    if !body.is_empty() && !declares("content-length") && !declares("transfer-encoding") {
        head.push(format!("Content-Length: {}", body.len()));
    }
    let mut bytes: Vec<u8> = Vec::new();
    for line in head {
        bytes.extend(line.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Ok(bytes.into())
}

fn is_named(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}
