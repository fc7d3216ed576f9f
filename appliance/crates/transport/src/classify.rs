//! Which era a message belongs to: a pure function of its head and its envelope.

use protocol::{Envelope, Era, Field, MetaKey, Method, Revision};

/// Header with the protocol revision.
pub(crate) const VERSION_HEADER: &str = "mcp-protocol-version";

/// The era of a message that came over HTTP.
///
/// Modern when the body says so, when the header names something that no legacy client can mean, or when the method
/// exists in no legacy revision. A session id decides nothing. The caller refuses modern messages that are incomplete.
#[must_use]
pub(crate) fn era_of_http(version: Field<'_>, envelope: &Envelope) -> Era {
    let names_legacy =
        |text: &str| Revision::parse(text).is_some_and(|revision| revision.era() == Era::Legacy);
    if version.is_absent() || version.text().is_some_and(names_legacy) {
        era_of_body(envelope)
    } else {
        Era::Modern
    }
}

/// The era of a message by its body alone: all there is on stdio.
#[must_use]
pub(crate) fn era_of_body(envelope: &Envelope) -> Era {
    let declares = envelope.meta(MetaKey::ProtocolVersion).is_some();
    if declares || envelope.method() == Method::Discover { Era::Modern } else { Era::Legacy }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use protocol::envelope::Message;
    use protocol::json::Limits;

    use super::*;
    use crate::http::Mirrors;

    fn era(header: Option<&str>, body: &'static str) -> Era {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(VERSION_HEADER, value.parse().expect("header value"));
        }
        match Envelope::parse(Bytes::from_static(body.as_bytes()), &Limits::DEFAULT) {
            Ok(Message::One(envelope)) => era_of_http(Mirrors::of(&headers).version, &envelope),
            other => panic!("not one message: {other:?}"),
        }
    }

    const PLAIN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;

    #[test]
    fn the_body_wins_over_a_legacy_header() {
        assert_eq!(era(Some("2025-11-25"), MODERN), Era::Modern);
        assert_eq!(era(None, MODERN), Era::Modern);
    }

    #[test]
    fn an_unknown_or_modern_header_is_enough() {
        for header in ["2026-07-28", "1900-01-01", "", "nonsense"] {
            assert_eq!(era(Some(header), PLAIN), Era::Modern, "{header}");
        }
    }

    #[test]
    fn everything_else_is_legacy_unless_only_modern_clients_say_it() {
        assert_eq!(era(None, PLAIN), Era::Legacy);
        for header in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", " 2025-06-18 "] {
            assert_eq!(era(Some(header), PLAIN), Era::Legacy, "{header}");
        }
        assert_eq!(era(None, DISCOVER), Era::Modern);
    }
}
