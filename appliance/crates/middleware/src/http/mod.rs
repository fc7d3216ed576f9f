//! Refuses heads that are too long or that two servers could read differently, and bounds what an HTTP/2 connection
//! may ask for.
//!
//! Protects the memory and the processor that a head costs before anybody knows who sent it, servers behind or before
//! this one that read a head otherwise (request smuggling), and other clients from the floods of HTTP/2. Edge stage,
//! first of its layers, every method and path.
//!
//! - 414: the address is longer than its cap. 431: too many fields, or one too long.
//! - 400 and closed: a transfer coding other than `chunked` alone (RFC 9112, 6.1), or a field name with `_`, which CGI
//!   and some proxies take for `-`.
//! - hyper itself refuses before: broken lines, unequal `Content-Length`, folded fields, a body of HTTP/1.0 without
//!   length, chunk extensions and trailers above 16 KiB. With both `Content-Length` and `Transfer-Encoding` the latter
//!   counts, and the accept loop closes after the answer to any chunked request of HTTP/1, so that no byte behind it is
//!   ever taken for a request.
//! - An HTTP/2 connection that spends its time on resets or on frames that ask for nothing is told
//!   `ENHANCE_YOUR_CALM` and closed. Frames are counted by the accept loop from their heads alone (RFC 9113, 10.5);
//!   what h2 bounds itself (CONTINUATION, small DATA, resets of its own) is set from here.
//!
//! ```toml
//! [layer.http]
//! headers_max = 64
//! http2 = { streams_max = 100 }
//! ```

mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::TRANSFER_ENCODING;
use ::http::{HeaderMap, Uri};
use arc_swap::ArcSwap;
use protocol::{Admission, Head, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;

use crate::Mode;
use crate::edge::{Edge, EdgeLayer};

pub use config::{Config, Http2};

/// The layer's name.
pub const NAME: &str = "http";

/// What outlives a generation: the settings by which the next connection is served.
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: ArcSwap<Config>,
    abused: RefusalCounter,
}

impl State {
    /// Connections begin by `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Shared {
            settings: ArcSwap::from_pointee(config.clone()),
            abused: RefusalCounter::new(NAME, RefusalKind::ConnectionAbused),
        }))
    }

    /// Follows new settings; connections that began keep theirs.
    pub fn follow(&self, config: &Config) {
        self.0.settings.store(Arc::new(config.clone()));
    }

    /// The settings for a connection that begins now.
    #[must_use]
    pub fn settings(&self) -> Arc<Config> {
        self.0.settings.load_full()
    }

    /// Judges a connection that sent more than `frames_max` of its frames within the window of `config`.
    ///
    /// # Errors
    /// The refusal, when it is to be enforced.
    pub fn judge_flood(&self, config: &Config, frames_max: u32) -> Result<(), Refusal> {
        let message = "Too many frames that ask for nothing; the connection ends.";
        let refusal = Refusal::new(RefusalKind::ConnectionAbused, NAME, "connection", message)
            .with_limit(frames_max.into())
            .with_retry_after(Duration::from_millis(config.http2.flood_window_ms));
        config.mode.judge(refusal, &self.0.abused)
    }
}

/// Makes [`Http`] services.
#[derive(Clone, Debug)]
pub struct HttpLayer {
    mode: Mode,
    uri_bytes_max: usize,
    headers_max: usize,
    name_bytes_max: usize,
    value_bytes_max: usize,
    malformed: RefusalCounter,
    uri_too_long: RefusalCounter,
    head_too_large: RefusalCounter,
}

impl HttpLayer {
    /// A layer that follows `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            mode: config.mode,
            uri_bytes_max: config.uri_bytes_max.bytes(),
            headers_max: config.headers_max,
            name_bytes_max: config.header_name_bytes_max.bytes(),
            value_bytes_max: config.header_value_bytes_max.bytes(),
            malformed: RefusalCounter::new(NAME, RefusalKind::HeadMalformed),
            uri_too_long: RefusalCounter::new(NAME, RefusalKind::UriTooLong),
            head_too_large: RefusalCounter::new(NAME, RefusalKind::HeadTooLarge),
        }
    }

    /// The first thing that is wrong with a head, as the refusal that says so.
    fn fault(&self, head: &Head<'_>) -> Option<Refusal> {
        let headers = &head.parts.headers;
        if uri_bytes(&head.parts.uri) > self.uri_bytes_max {
            let message = "The address of the request is too long.";
            let refusal = Refusal::new(RefusalKind::UriTooLong, NAME, "request", message);
            return Some(refusal.with_limit(self.uri_bytes_max as u64));
        }
        if headers.len() > self.headers_max {
            return Some(too_large("The request has too many header fields.", self.headers_max));
        }
        // A body of known length has no transfer coding.
        if head.declared_bytes.is_none() && !is_plainly_chunked(headers) {
            return Some(malformed("The only transfer coding understood is `chunked`, once."));
        }
        let mut has_underscore = false;
        for (name, value) in headers {
            let name = name.as_str().as_bytes();
            if name.len() > self.name_bytes_max {
                let message = "The name of a header field is too long.";
                return Some(too_large(message, self.name_bytes_max));
            }
            if value.len() > self.value_bytes_max {
                let message = "The value of a header field is too long.";
                return Some(too_large(message, self.value_bytes_max));
            }
            has_underscore |= contains_underscore(name);
        }
        has_underscore
            .then(|| malformed("The name of a header field has a `_`; write it with `-`."))
    }

    fn enforce(&self, refusal: Refusal) -> Result<(), Refusal> {
        let counter = match refusal.kind {
            RefusalKind::UriTooLong => &self.uri_too_long,
            RefusalKind::HeadTooLarge => &self.head_too_large,
            _ => &self.malformed,
        };
        self.mode.judge(refusal, counter)
    }
}

fn too_large(message: &'static str, limit: usize) -> Refusal {
    Refusal::new(RefusalKind::HeadTooLarge, NAME, "request", message).with_limit(limit as u64)
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::HeadMalformed, NAME, "request", message)
}

/// Whether a name has a `_`, eight bytes at a time: names are too short for a search that prepares itself, and there are
/// ten in every request.
#[inline]
fn contains_underscore(name: &[u8]) -> bool {
    let (words, rest) = name.as_chunks();
    let Some(last) = name.last_chunk() else {
        return rest.contains(&b'_');
    };
    let mut found = has_underscore_byte(u64::from_ne_bytes(*last));
    for word in words {
        found |= has_underscore_byte(u64::from_ne_bytes(*word));
    }
    found
}

/// A byte that is zero after the mask borrows from its neighbour (Warren, Hacker's Delight, 6-1).
const fn has_underscore_byte(word: u64) -> bool {
    let masked = word ^ u64::from_ne_bytes([b'_'; 8]);
    let (lows, highs) = (u64::from_ne_bytes([1; 8]), u64::from_ne_bytes([0x80; 8]));
    masked.wrapping_sub(lows) & !masked & highs != 0
}

/// The length of the address as it was sent, without its scheme.
fn uri_bytes(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    path + uri.authority().map_or(0, |authority| authority.as_str().len())
}

/// Whether the transfer coding is absent, or `chunked` and nothing else: what every server reads the same way.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked =
        codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && codings.next().is_none()
}

impl<S> Layer<S> for HttpLayer {
    type Service = Http<S>;

    fn layer(&self, inner: S) -> Http<S> {
        Edge::new(self.clone(), inner)
    }
}

/// Admits only heads that are short enough and mean one thing.
pub type Http<S> = Edge<HttpLayer, S>;

impl EdgeLayer for HttpLayer {
    fn judge(&self, head: &Head<'_>, _: &mut Admission) -> Result<(), Refusal> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        self.fault(head).map_or(Ok(()), |refusal| self.enforce(refusal))
    }
}
