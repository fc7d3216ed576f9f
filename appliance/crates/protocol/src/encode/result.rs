//! Results: from what a plugin gave to what a revision wants to see.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{ReplyTo, ServerInfo};
use crate::META_PREFIX;
use crate::json::{Span, write_utf8_to};
use crate::method::Method;
use crate::reply::{CacheHint, Content, InputRequired};
use crate::revision::{Era, Revision};

/// What a result is made of.
#[derive(Clone, Copy)]
pub(super) enum Shape<'o> {
    Content(&'o Content),
    Questions(&'o InputRequired),
}

impl Shape<'_> {
    pub(super) fn bytes_at_least(self) -> usize {
        match self {
            // The twin as text of a structured result about doubles it.
            Self::Content(content @ Content::Structured { .. }) => content.bytes() * 2 + 64,
            Self::Content(Content::Blob { data, mime, .. }) => {
                data.len().div_ceil(3) * 4 + mime.len() + 64
            }
            Self::Content(content) => content.bytes() + content.bytes() / 32,
            Self::Questions(input) => {
                input.requests.len() + input.state.as_ref().map_or(0, Bytes::len)
            }
        }
    }
}

/// There is no way to say this to this client.
pub(super) struct Unsayable;

/// Writes the result object.
pub(super) fn write(
    out: &mut Vec<u8>,
    to: &ReplyTo,
    server: &ServerInfo,
    shape: Shape<'_>,
) -> Result<(), Unsayable> {
    let is_modern = to.revision.era() == Era::Modern;
    let mut members = Members { out, to, server, is_modern };
    match shape {
        Shape::Content(Content::Ready(json)) => members.out.extend_from_slice(json),
        Shape::Content(Content::Object { json, meta, cache }) => {
            members.object(json, *meta, *cache)
        }
        Shape::Content(Content::Text { text, is_error, mime, cache }) => {
            members.text(text, *is_error, mime.as_deref(), *cache);
        }
        Shape::Content(Content::Structured { json, is_object, is_error }) => {
            members.structured(json, *is_object, *is_error);
        }
        Shape::Content(Content::Blob { data, mime, cache }) => members.blob(data, mime, *cache),
        // A legacy client is asked by requests of its own; the transport sends them.
        Shape::Questions(_) if !is_modern => return Err(Unsayable),
        Shape::Questions(input) => members.questions(input),
    }
    Ok(())
}

struct Members<'w> {
    out: &'w mut Vec<u8>,
    to: &'w ReplyTo,
    server: &'w ServerInfo,
    is_modern: bool,
}

impl Members<'_> {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Begins the result with what only modern results have. Ends before the first member of the content.
    fn open(&mut self, cache: CacheHint) {
        self.push("{");
        if !self.is_modern {
            return;
        }
        self.push("\"resultType\":\"complete\",");
        if self.to.method.is_cacheable() {
            let CacheHint { ttl_ms, scope } = cache;
            self.push(&format!("\"ttlMs\":{ttl_ms},\"cacheScope\":\"{}\",", scope.as_str()));
        }
    }

    /// Ends a result that has no `_meta` of its own.
    fn close(&mut self) {
        if self.is_modern {
            self.push(",\"_meta\":{");
            self.server_info();
            self.push("}");
        }
        self.push("}");
    }

    fn server_info(&mut self) {
        self.push(concat!("\"", "io.modelcontextprotocol/", "serverInfo\":"));
        debug_assert_eq!(META_PREFIX, "io.modelcontextprotocol/");
        self.out.extend_from_slice(&self.server.0);
    }

    fn object(&mut self, json: &[u8], meta: Option<Span>, cache: CacheHint) {
        if !self.is_modern {
            self.out.extend_from_slice(json);
            return;
        }
        self.open(cache);
        // The host checked that this is one object: what stands between its braces is its members.
        let inner = json.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        let inner = inner.unwrap_or_default().trim_ascii();
        if inner.is_empty() {
            // No member to follow the comma that `open` wrote.
            self.out.pop();
            self.close();
            return;
        }
        let Some(meta) = meta else {
            self.out.extend_from_slice(inner);
            self.close();
            return;
        };
        let after_brace = meta.start as usize + 1;
        self.out.extend_from_slice(&json[1..after_brace]);
        self.server_info();
        if !json[after_brace..meta.end as usize - 1].trim_ascii().is_empty() {
            self.push(",");
        }
        self.out.extend_from_slice(&json[after_brace..]);
    }

    fn text(&mut self, text: &[u8], is_error: bool, mime: Option<&str>, cache: CacheHint) {
        self.open(cache);
        match self.to.method {
            Method::ResourcesRead => {
                self.open_contents(mime);
                self.push(",\"text\":");
                write_utf8_to(self.out, text);
                self.push("}]");
            }
            Method::PromptsGet => {
                self.push("\"messages\":[{\"role\":\"user\",\"content\":");
                self.text_block(text);
                self.push("}]");
            }
            _ => {
                self.push("\"content\":[");
                self.text_block(text);
                self.push("]");
                self.error_flag(is_error);
            }
        }
        self.close();
    }

    fn structured(&mut self, json: &[u8], is_object: bool, is_error: bool) {
        self.open(CacheHint::NONE);
        self.push("\"content\":[");
        self.text_block(json);
        self.push("]");
        let is_known = self.to.revision >= Revision::V2025_06_18;
        if self.is_modern || (is_object && is_known) {
            self.push(",\"structuredContent\":");
            self.out.extend_from_slice(json);
        }
        self.error_flag(is_error);
        self.close();
    }

    fn blob(&mut self, data: &[u8], mime: &str, cache: CacheHint) {
        self.open(cache);
        match self.to.method {
            Method::ResourcesRead => {
                self.open_contents(Some(mime));
                self.push(",\"blob\":");
                self.base64(data);
                self.push("}]");
            }
            method => {
                let is_prompt = method == Method::PromptsGet;
                self.push(if is_prompt {
                    "\"messages\":[{\"role\":\"user\",\"content\":"
                } else {
                    "\"content\":["
                });
                self.blob_block(data, mime);
                self.push(if is_prompt { "}]" } else { "]" });
            }
        }
        self.close();
    }

    /// An image or a sound is a block of its own; everything else travels as an embedded resource, whose URI names
    /// nothing that can be read again.
    fn blob_block(&mut self, data: &[u8], mime: &str) {
        let kind = mime.split('/').next().unwrap_or_default();
        let has_sounds = self.to.revision >= Revision::V2025_03_26;
        if kind == "image" || (kind == "audio" && has_sounds) {
            self.push(&format!("{{\"type\":\"{kind}\",\"data\":"));
            self.base64(data);
            self.push(",\"mimeType\":");
            write_utf8_to(self.out, mime.as_bytes());
            self.push("}");
        } else {
            self.push("{\"type\":\"resource\",\"resource\":{\"uri\":\"data:\",\"mimeType\":");
            write_utf8_to(self.out, mime.as_bytes());
            self.push(",\"blob\":");
            self.base64(data);
            self.push("}}");
        }
    }

    fn questions(&mut self, input: &InputRequired) {
        self.push("{\"resultType\":\"input_required\",\"inputRequests\":");
        self.out.extend_from_slice(&input.requests);
        if let Some(state) = &input.state {
            self.push(",\"requestState\":");
            write_utf8_to(self.out, state);
        }
        self.close();
    }

    fn open_contents(&mut self, mime: Option<&str>) {
        self.push("\"contents\":[{\"uri\":");
        self.out.extend_from_slice(&self.to.uri);
        if let Some(mime) = mime {
            self.push(",\"mimeType\":");
            write_utf8_to(self.out, mime.as_bytes());
        }
    }

    fn text_block(&mut self, text: &[u8]) {
        self.push("{\"type\":\"text\",\"text\":");
        write_utf8_to(self.out, text);
        self.push("}");
    }

    fn error_flag(&mut self, is_error: bool) {
        if is_error {
            self.push(",\"isError\":true");
        }
    }

    fn base64(&mut self, data: &[u8]) {
        let start = self.out.len() + 1;
        self.push("\"");
        // One pass into the answer itself.
        self.out.resize(start + data.len().div_ceil(3) * 4, 0);
        let written = STANDARD.encode_slice(data, &mut self.out[start..]).unwrap_or(0);
        self.out.truncate(start + written);
        self.push("\"");
    }
}
