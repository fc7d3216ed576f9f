//! Headers that mirror the body (2026-07-28, header requirements): present, decodable and equal.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName};
use plugin_host::HeaderParam;
use protocol::json::{self, Kind, Limits, Raw};
use protocol::{Envelope, Fault, Method, Param, codes};

use crate::classify::VERSION_HEADER;

// Parsed once: a name given as text is parsed at each look.
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");

fn mismatch(message: String) -> Fault {
    Fault::new(codes::HEADER_MISMATCH, message)
}

/// The one value of a header without its outer whitespace; `None` when absent, repeated or not ASCII.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first.trim_matches([' ', '\t']))
}

/// Checks that the version header is there at all.
pub(super) fn check_version_present(headers: &HeaderMap) -> Result<&str, Fault> {
    single(headers, VERSION_HEADER).ok_or_else(|| {
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
pub(super) fn check_method(headers: &HeaderMap, envelope: &Envelope) -> Result<(), Fault> {
    match single(headers, METHOD_HEADER) {
        Some(value) if value == envelope.method_name() => Ok(()),
        Some(_) => Err(mismatch("The Mcp-Method header differs from the method.".to_owned())),
        None => Err(mismatch("The Mcp-Method header is missing or repeated.".to_owned())),
    }
}

/// Checks `Mcp-Name` against the body, for the methods that have one.
pub(super) fn check_name(headers: &HeaderMap, envelope: &Envelope) -> Result<(), Fault> {
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
    let value = single(headers, NAME_HEADER)
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
        let is_present = headers.contains_key(&name);
        let value = single(headers, &name);
        let is_equal = match (argument, value) {
            (None, None) => !is_present,
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
