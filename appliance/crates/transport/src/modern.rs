//! The stateless era: what a 2026-07-28 request must carry, whatever it came over.

use std::borrow::Cow;

use protocol::json::{Kind, Raw};
use protocol::{
    Call, ClientCapabilities, Envelope, Fault, LogLevel, MetaKey, Param, Principal, Revision,
    codes, encode,
};

/// What a modern request says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    client: ClientCapabilities,
    log_level: Option<LogLevel>,
}

/// The revision in `_meta`, and that the members which every request must carry are of their kind.
///
/// # Errors
/// -32602, before anything else about the revision is judged.
pub(crate) fn declared_version(envelope: &Envelope) -> Result<Cow<'_, str>, Fault> {
    let incomplete = |what: &str| Fault::invalid_params(format!("_meta of this request: {what}"));
    let meta = envelope.param(Param::Meta).ok_or_else(|| incomplete("missing"))?;
    if meta.kind() != Kind::Object {
        return Err(incomplete("must be an object"));
    }
    let version = envelope.meta(MetaKey::ProtocolVersion).and_then(Raw::as_str);
    let version = version
        .ok_or_else(|| incomplete("io.modelcontextprotocol/protocolVersion must be a string"))?;
    let capabilities = envelope.meta(MetaKey::ClientCapabilities).map(Raw::kind);
    if capabilities != Some(Kind::Object) {
        return Err(incomplete("io.modelcontextprotocol/clientCapabilities must be an object"));
    }
    Ok(version)
}

/// Checks that `version` is served.
///
/// # Errors
/// -32022 with what is served.
pub(crate) fn check_version(version: &str) -> Result<(), Fault> {
    if Revision::parse(version) == Some(Revision::MODERN) {
        return Ok(());
    }
    let mut data = format!("{{\"supported\":{},\"requested\":", Revision::all_as_json());
    protocol::json::write_string(&mut data, version);
    data.push('}');
    Err(Fault::new(codes::UNSUPPORTED_VERSION, "Unsupported protocol version").with_data(data))
}

/// Checks that the method exists in this era.
///
/// # Errors
/// -32601; over HTTP on 404.
pub(crate) fn check_method(envelope: &Envelope) -> Result<(), Fault> {
    if envelope.method().exists_in(Revision::MODERN) {
        return Ok(());
    }
    Err(Fault::method_not_found(&envelope.method_name()))
}

/// Reads what the request declares of its client.
///
/// # Errors
/// -32602 for a log level that does not exist.
pub(crate) fn declared(envelope: &Envelope) -> Result<Declared, Fault> {
    let client =
        envelope.meta(MetaKey::ClientCapabilities).map(encode::capabilities).unwrap_or_default();
    let log_level = match envelope.meta(MetaKey::LogLevel) {
        None => None,
        Some(raw) => {
            let level = Raw::as_str(raw).and_then(|text| LogLevel::parse(&text));
            Some(level.ok_or_else(|| Fault::invalid_params("_meta: logLevel is not a level"))?)
        }
    };
    Ok(Declared { client, log_level })
}

impl Declared {
    /// The call that `envelope` asks for, counted against `principal`.
    pub(crate) fn call(self, envelope: Envelope, principal: Principal) -> Call {
        let mut call = Call::new(envelope, Revision::MODERN, self.client, principal);
        call.log_level = self.log_level;
        call
    }
}

/// The checks that need no HTTP head, in their order: what stdio does.
///
/// # Errors
/// The first that fails.
pub(crate) fn check_body(envelope: &Envelope) -> Result<Declared, Fault> {
    check_version(&declared_version(envelope)?)?;
    check_method(envelope)?;
    declared(envelope)
}
