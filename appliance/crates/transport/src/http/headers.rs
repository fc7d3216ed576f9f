//! Headers that mirror the body (2026-07-28, header requirements): present, decodable and equal.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use plugin_host::HeaderParam;
use protocol::json::{self, Kind, Limits, Raw};
use protocol::{Envelope, Fault, Field, Method, Param, codes};

use crate::classify::VERSION_HEADER;

fn mismatch(message: String) -> Fault {
    Fault::new(codes::HEADER_MISMATCH, message)
}

/// The headers by which a request says again what its body says, found in one pass over the head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mirrors<'h> {
    pub(crate) version: Field<'h>,
    method: Field<'h>,
    name: Field<'h>,
}

impl<'h> Mirrors<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut mirrors = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                VERSION_HEADER => mirrors.version.add(value),
                "mcp-method" => mirrors.method.add(value),
                "mcp-name" => mirrors.name.add(value),
                _ => {}
            }
        }
        mirrors
    }
}

/// Checks that the version header is there at all.
pub(super) fn check_version_present<'h>(head: &Mirrors<'h>) -> Result<&'h str, Fault> {
    head.version.text().ok_or_else(|| {
        mismatch("The MCP-Protocol-Version header is missing or repeated.".to_owned())
    })
}

/// Checks that the version header is what the body declares.
pub(super) fn check_version_equal(header: &str, declared: &str) -> Result<(), Fault> {
    if header == declared {
        return Ok(());
    }
    Err(mismatch("The MCP-Protocol-Version header differs from _meta.".to_owned()))
}

/// Checks `Mcp-Method` against the body.
pub(super) fn check_method(head: &Mirrors<'_>, envelope: &Envelope) -> Result<(), Fault> {
    match head.method.text() {
        Some(value) if value == envelope.method_name() => Ok(()),
        Some(_) => Err(mismatch("The Mcp-Method header differs from the method.".to_owned())),
        None => Err(mismatch("The Mcp-Method header is missing or repeated.".to_owned())),
    }
}

/// Checks `Mcp-Name` against the body, for the methods that have one.
pub(super) fn check_name(head: &Mirrors<'_>, envelope: &Envelope) -> Result<(), Fault> {
    let param = match envelope.method() {
        Method::ToolsCall | Method::PromptsGet => Param::Name,
        Method::ResourcesRead => Param::Uri,
        method if method.is_of_tasks() => Param::TaskId,
        _ => return Ok(()),
    };
    // A body without the member is a fault of its params, judged later.
    let Some(expected) = envelope.param(param).and_then(Raw::as_str) else {
        return Ok(());
    };
    let value = head
        .name
        .text()
        .ok_or_else(|| mismatch("The Mcp-Name header is missing or repeated.".to_owned()))?;
    match decode(value) {
        Some(decoded) if decoded == expected => Ok(()),
        _ => Err(mismatch("The Mcp-Name header differs from the body.".to_owned())),
    }
}

/// Checks every `Mcp-Param-…` header that the tool declares against the arguments. Others are ignored.
pub(super) fn check_params(
    headers: &HeaderMap,
    envelope: &Envelope,
    declared: &[HeaderParam],
) -> Result<(), Fault> {
    for param in declared {
        let name = format!("mcp-param-{}", param.header.to_ascii_lowercase());
        let argument = argument(envelope, &param.path).filter(|raw| raw.kind() != Kind::Null);
        let mut field = Field::default();
        headers.get_all(&name).iter().for_each(|value| field.add(value));
        let is_equal = match (argument, field.text()) {
            (None, None) => field.is_absent(),
            (Some(argument), Some(value)) => {
                decode(value).is_some_and(|value| equals(argument, &value))
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !is_equal {
            return Err(mismatch(format!(
                "The Mcp-Param-{} header and its argument differ, or one of them is missing.",
                param.header
            )));
        }
    }
    Ok(())
}

fn argument<'e>(envelope: &'e Envelope, path: &[String]) -> Option<Raw<'e>> {
    path.iter().try_fold(envelope.param(Param::Arguments)?, |value, key| value.get(key))
}

/// Whether a header's text means the argument: numbers by value, everything else by text.
fn equals(argument: Raw<'_>, header: &str) -> bool {
    match argument.kind() {
        Kind::String => argument.as_str().is_some_and(|text| text == header),
        Kind::Bool => argument.text() == header,
        Kind::Number => argument.as_i64().is_some_and(|value| {
            let header = json::check(header.as_bytes(), &Limits::DEFAULT);
            header.ok().and_then(Raw::as_i64) == Some(value)
        }),
        Kind::Object | Kind::Array | Kind::Null => false,
    }
}

/// Undoes the `=?base64?…?=` form; text without the whole prefix and suffix stands for itself. `None` when it cannot
/// be decoded: standard alphabet, with padding.
fn decode(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let Some(inner) = inner else {
        return Some(value.into());
    };
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_only_the_whole_sentinel() {
        assert_eq!(decode("=?base64?SGVsbG8=?=").as_deref(), Some("Hello"));
        for broken in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?="] {
            assert_eq!(decode(broken), None, "{broken}");
        }
        for literal in ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?BASE64?SGVsbG8=?="] {
            assert_eq!(decode(literal).as_deref(), Some(literal));
        }
    }
}
