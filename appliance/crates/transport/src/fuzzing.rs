//! What fuzz targets reach: the judges of heads and envelopes, without a connection. Not in ordinary builds.

use ::http::HeaderMap;
use plugin_host::{HeaderKind, HeaderParam};
use protocol::Envelope;

use crate::{http, modern};

/// Whether the headers mirror the body, as a modern request's must; for a tool that wants one argument as a header.
#[must_use]
pub fn mirrors(headers: &HeaderMap, envelope: &Envelope) -> bool {
    let path = vec!["region".to_owned()];
    let declared = [HeaderParam { header: "Region".to_owned(), path, kind: HeaderKind::String }];
    http::check_method_mirrored(headers, envelope).is_ok()
        && http::check_names_mirrored(headers, envelope, |_| &declared).is_ok()
}

/// Reads what a modern request declares, and makes a call of it.
pub fn declared(envelope: Envelope) {
    if let Ok(declared) = modern::check_body(&envelope) {
        let call = declared.call(envelope);
        let _ = (call.wants_progress(), call.id());
    }
}
