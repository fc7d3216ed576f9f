//! From what a plugin gave to what a client may hear: checked, mapped to the revision, or rejected.

use std::time::Duration;

use bytes::Bytes;
use plugin_abi::{format, status};
use protocol::json::{Kind, Limits, Raw, check, check_object};
use protocol::{
    CacheHint, CacheScope, Call, Content, Fault, InputRequired, Method, Outcome, Param, Refusal,
    RefusalKind, Revision,
};

use crate::line::one_line_bytes;
use crate::older;
use crate::slots::Completion;

/// The member of `_meta` that names the server (2026-07-28).
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Most of a plugin's own words about its fault that go to the log.
const LOG_BYTES_MAX: usize = 4_096;

/// What of a call its outcome depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'c> {
    pub(crate) method: Method,
    pub(crate) revision: Revision,
    /// Name or URI, for messages: JSON text.
    pub(crate) name: &'c [u8],
}

/// The same, of a call that is elsewhere.
#[derive(Debug)]
pub(crate) struct AskedBefore {
    method: Method,
    revision: Revision,
    name: Bytes,
}

impl<'c> Asked<'c> {
    pub(crate) fn of(call: &'c Call) -> Self {
        let name = call.envelope.param(Self::name_of(call.method()));
        let name = name.map(|raw| raw.text().as_bytes()).unwrap_or_default();
        Self { method: call.method(), revision: call.revision, name }
    }

    const fn name_of(method: Method) -> Param {
        match method {
            Method::ResourcesRead => Param::Uri,
            _ => Param::Name,
        }
    }
}

impl AskedBefore {
    pub(crate) fn of(call: &Call) -> Self {
        let Asked { method, revision, .. } = Asked::of(call);
        let name = call.envelope.param(Asked::name_of(method));
        let name = name.map(|raw| call.envelope.share(raw)).unwrap_or_default();
        Self { method, revision, name }
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { method: self.method, revision: self.revision, name: &self.name }
    }
}

/// Why a result is not passed on: for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) String);

/// What a completion means.
pub(crate) fn judge(
    asked: Asked<'_>,
    completion: Completion,
    plugin: &str,
    response_bytes_max: usize,
) -> Result<Result<Outcome, Refusal>, Rejected> {
    let Completion { status, body, state, .. } = &completion;
    let outcome = match *status {
        status::OK => Outcome::Done(content(asked, completion, false)?),
        status::TOOL_ERROR if asked.method == Method::ToolsCall => {
            Outcome::Done(content(asked, completion, true)?)
        }
        // Only a tool's result has room for a failure: elsewhere it would be read as the content that was asked for.
        status::TOOL_ERROR => Outcome::Failed(Fault::internal(text(body)?)),
        status::INPUT_REQUIRED => {
            let requests = questions(body)?;
            let state = (!state.is_empty()).then(|| state.clone());
            Outcome::InputRequired(InputRequired { requests, state })
        }
        status::INVALID_PARAMS => misfit(asked, text(body)?),
        status::NOT_FOUND => Outcome::Failed(not_found(asked)),
        status::INTERNAL => {
            let what = String::from_utf8_lossy(&body[..body.len().min(LOG_BYTES_MAX)]);
            tracing::error!(plugin, method = asked.method.as_str(), %what, "Plugin failed.");
            Outcome::Failed(Fault::internal("The tool failed internally."))
        }
        status::CANCELLED => Outcome::Failed(Fault::internal("The call was cancelled.")),
        status::UNAVAILABLE => return Ok(Err(unavailable(plugin))),
        status::TOO_LARGE => return Ok(Err(too_large(response_bytes_max))),
        unknown => return Err(Rejected(format!("unknown status {unknown}"))),
    };
    Ok(Ok(outcome))
}

/// What a client hears of a plugin that cannot serve now, or was stopped.
pub(crate) fn unavailable(plugin: &str) -> Refusal {
    let message = "This tool cannot serve now; try again later.";
    let scope = format!("plugin:{plugin}");
    Refusal::new(RefusalKind::PluginUnavailable, "plugin", scope, message)
        .with_retry_after(Duration::from_secs(2))
}

/// What a client hears when the plugin had no room for what it asked for: that says nothing against the plugin.
fn too_large(response_bytes_max: usize) -> Refusal {
    let message = "The result is larger than this tool may return; ask for less.";
    Refusal::new(RefusalKind::PayloadTooLarge, "plugin", "response", message)
        .with_limit(response_bytes_max as u64)
}

fn text(body: &Bytes) -> Result<String, Rejected> {
    let text =
        simdutf8::basic::from_utf8(body).map_err(|_| Rejected("text is not UTF-8".to_owned()))?;
    Ok(text.to_owned())
}

fn content(asked: Asked<'_>, completion: Completion, is_error: bool) -> Result<Content, Rejected> {
    let Completion { body, mime, is_public, ttl_ms, .. } = completion;
    let scope = if is_public { CacheScope::Public } else { CacheScope::Private };
    let cache = CacheHint { ttl_ms, scope };
    match completion.format {
        format::RESULT_JSON => object(asked, one_line_bytes(body), cache, is_error),
        _ if asked.method == Method::Complete => {
            Err(Rejected("a completion that is not a whole result".to_owned()))
        }
        format::TEXT => {
            if simdutf8::basic::from_utf8(&body).is_err() {
                return Err(Rejected("text is not UTF-8".to_owned()));
            }
            Ok(Content::Text { text: body, is_error, mime, cache })
        }
        format::STRUCTURED if asked.method == Method::ToolsCall => {
            let value =
                check(&body, &Limits::DEFAULT).map_err(|error| Rejected(error.to_string()))?;
            let is_object = value.kind() == Kind::Object;
            Ok(Content::Structured { json: one_line_bytes(body), is_object, is_error })
        }
        format::BLOB => match mime {
            Some(mime) => Ok(Content::Blob { data: body, mime, cache }),
            None => Err(Rejected("bytes without a MIME type".to_owned())),
        },
        unknown => Err(Rejected(format!("unknown format {unknown}"))),
    }
}

/// The member that a whole result must have, and its kind.
fn required(method: Method) -> (&'static str, Kind) {
    match method {
        Method::ResourcesRead => ("contents", Kind::Array),
        Method::PromptsGet => ("messages", Kind::Array),
        Method::Complete => ("completion", Kind::Object),
        _ => ("content", Kind::Array),
    }
}

fn object(
    asked: Asked<'_>,
    body: Bytes,
    cache: CacheHint,
    is_error: bool,
) -> Result<Content, Rejected> {
    let (member, kind) = required(asked.method);
    // The host alone writes the first three; the last must be there.
    let wanted = ["resultType", "ttlMs", "cacheScope", "_meta", "isError", member];
    let [result_type, ttl, scope, meta, flag, found] =
        check_object(&body, &Limits::DEFAULT, wanted)
            .map_err(|error| Rejected(error.to_string()))?;
    if result_type.or(ttl).or(scope).is_some() {
        return Err(Rejected(
            "resultType, ttlMs and cacheScope are for the host to write".to_owned(),
        ));
    }
    let kind_at = |start: u32| match body.get(start as usize) {
        Some(b'[') => Some(Kind::Array),
        Some(b'{') => Some(Kind::Object),
        _ => None,
    };
    if found.and_then(|span| kind_at(span.start)) != Some(kind) {
        return Err(Rejected(format!("`{member}` is missing or of the wrong kind")));
    }
    if is_error && flag.map(|span| &body[span.range()]) != Some(b"true") {
        return Err(Rejected("a failure whose `isError` is not true".to_owned()));
    }
    if let Some(span) = meta {
        let reserved = check_object(&body[span.range()], &Limits::DEFAULT, [SERVER_INFO])
            .map_err(|_| Rejected("`_meta` is not an object".to_owned()))?;
        // The host writes it beside the plugin's members: it would be there twice.
        if reserved != [None] {
            return Err(Rejected(format!("`_meta.{SERVER_INFO}` is for the host to write")));
        }
    }
    // Spans count from the first byte; the object must begin there.
    if body.first() != Some(&b'{') || body.last() != Some(&b'}') {
        return Err(Rejected("space around the result object".to_owned()));
    }
    if asked.revision < Revision::V2025_06_18 {
        let result = check(&body, &Limits::DEFAULT).map_err(|error| Rejected(error.to_string()))?;
        if let Some(json) = older::rewrite(asked.method, asked.revision, &body, result) {
            // Only modern answers look at `_meta`, which stands elsewhere now.
            return Ok(Content::Object { json, meta: None, cache });
        }
    }
    Ok(Content::Object { json: body, meta, cache })
}

fn questions(body: &Bytes) -> Result<Bytes, Rejected> {
    let all = check(body, &Limits::DEFAULT).map_err(|error| Rejected(error.to_string()))?;
    let is_question = |question: Raw<'_>| {
        let method = question.get("method").and_then(Raw::as_str);
        matches!(
            method.as_deref(),
            Some("elicitation/create" | "sampling/createMessage" | "roots/list")
        )
    };
    if all.kind() != Kind::Object || !all.members().all(|(_, question)| is_question(question)) {
        return Err(Rejected("questions must be an object of {method, params}".to_owned()));
    }
    Ok(one_line_bytes(body.clone()))
}

/// Arguments that do not fit: for the model to read since 2025-11-25, a protocol error before and elsewhere.
fn misfit(asked: Asked<'_>, what: String) -> Outcome {
    if asked.method == Method::ToolsCall && asked.revision >= Revision::V2025_11_25 {
        let text = Bytes::from(what);
        return Outcome::Done(Content::Text {
            text,
            is_error: true,
            mime: None,
            cache: CacheHint::NONE,
        });
    }
    Outcome::Failed(Fault::invalid_params(what))
}

fn not_found(asked: Asked<'_>) -> Fault {
    let name = check(asked.name, &Limits::DEFAULT).ok().and_then(Raw::as_str);
    let name = name.as_deref().unwrap_or_default();
    match asked.method {
        Method::ResourcesRead => Fault::resource_not_found(asked.revision.era(), name),
        _ => Fault::invalid_params(format!("Not found: {name}")),
    }
}

/// What a client hears of a result that was rejected.
pub(crate) fn rejected() -> Outcome {
    Outcome::Failed(Fault::internal("The tool returned something that cannot be passed on."))
}
