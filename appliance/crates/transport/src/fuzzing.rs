//! What fuzz targets reach: the judges of heads and envelopes, without a connection. Not in ordinary builds.

use ::http::HeaderMap;
use plugin_host::{HeaderKind, HeaderParam};
use protocol::{Envelope, Era, Principal};

use crate::{classify, http, modern};

/// The era of a message that came over HTTP.
#[must_use]
pub fn era(headers: &HeaderMap, envelope: &Envelope) -> Era {
    classify::era_of_http(http::Mirrors::of(headers).version, envelope)
}

/// The era of a message by its body alone.
#[must_use]
pub fn era_of_body(envelope: &Envelope) -> Era {
    classify::era_of_body(envelope)
}

/// Whether the headers mirror the body, as a modern request's must; for a tool that wants one argument as a header.
#[must_use]
pub fn mirrors(headers: &HeaderMap, envelope: &Envelope) -> bool {
    let path = vec!["region".to_owned()];
    let declared = [HeaderParam { header: "Region".to_owned(), path, kind: HeaderKind::String }];
    http::mirrors(headers, envelope, &declared)
}

/// Reads what a modern request declares, and makes a call of it.
pub fn declared(envelope: Envelope) {
    if let Ok(declared) = modern::check_body(&envelope) {
        let call = declared.call(envelope, Principal::local());
        let _ = (call.wants_progress(), call.id());
    }
}
