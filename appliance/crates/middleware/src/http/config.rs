//! Settings of the `http` layer.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Mode};

/// What the head of a request may be, and what an HTTP/2 connection may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a head or a flood above its cap. Buffers, windows and streams keep their sizes in every mode,
    /// and without this table their defaults: nothing in the house is without a limit. Default: `enforce`.
    pub mode: Mode,
    /// Most bytes of an HTTP/1 head, read before anything of it is judged. At the limit: 431 and closed. From 8 KiB to
    /// 1 MiB. Default: 32 KiB.
    pub head_bytes_max: ByteSize,
    /// Most bytes of the address in a request. At the limit: 414. From 256 to 65534. Default: 8 KiB, as in nginx and
    /// Apache.
    pub uri_bytes_max: ByteSize,
    /// Most header fields of a request. At the limit: 431. From 8 to 100. Default: 64; clients of MCP send about ten.
    pub headers_max: usize,
    /// Most bytes of a field's name. At the limit: 431. From 32 to 65536. Default: 128.
    pub header_name_bytes_max: ByteSize,
    /// Most bytes of a field's value. At the limit: 431. From 256 to 1 MiB. Default: 8 KiB, which holds a token of any
    /// issuer.
    pub header_value_bytes_max: ByteSize,
    /// What an HTTP/2 connection may ask for.
    pub http2: Http2,
}

/// What an HTTP/2 connection may ask for. A connection that asks for more hears `ENHANCE_YOUR_CALM` and is closed,
/// unless its key says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http2 {
    /// Most streams at once. At the limit: the stream is refused, and may be asked for again. From 1 to 10000.
    /// Default: 100, the least that RFC 9113 recommends.
    pub streams_max: u32,
    /// Most bytes of a head, unpacked. At the limit: 431. From 1 KiB to 1 MiB. Default: 16 KiB. Also bounds
    /// CONTINUATION frames.
    pub header_list_bytes_max: ByteSize,
    /// Bytes of a request body that its client may send ahead of us, on one stream. From 16 KiB to 16 MiB.
    /// Default: 64 KiB.
    pub stream_window_bytes: ByteSize,
    /// The same on all streams of a connection together. From 64 KiB to 64 MiB. Default: 1 MiB.
    pub connection_window_bytes: ByteSize,
    /// Most bytes of one frame. From 16 KiB to 1 MiB. Default: 16 KiB, the least that RFC 9113 allows.
    pub frame_bytes_max: ByteSize,
    /// Milliseconds of silence after which the client is pinged. From 10 to 3600000. Default: 20000.
    pub ping_ms: u64,
    /// Milliseconds in which it has to answer. At the limit: closed. From 10 to 3600000. Default: 10000.
    pub ping_answer_ms: u64,
    /// Requests after which a connection ends in order: GOAWAY, and what is in flight is answered. From 1 to
    /// 1000000000. Default: 10000.
    pub requests_max: u32,
    /// Milliseconds over which `client_resets_max` and `control_frames_max` count. From 100 to 3600000.
    /// Default: 10000.
    pub flood_window_ms: u64,
    /// Most streams that the client resets itself, in one window: rapid reset, CVE-2023-44487. From 1 to 1000000.
    /// Default: 100.
    pub client_resets_max: u32,
    /// Most frames that ask for nothing, in one window: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, CONTINUATION, unknown
    /// ones, and DATA of a few bytes (CVE-2019-9512, -9515, -9518). Each request earns a client 8 more, and each KiB
    /// that it is sent one. From 10 to 1000000. Default: 1000.
    pub control_frames_max: u32,
    /// Most streams that are reset before they were looked at, at one moment. From 1 to 10000. Default: 20.
    pub pending_resets_max: usize,
    /// Most streams of a connection that this server resets because of what its client sent: MadeYouReset,
    /// CVE-2025-8671. From 1 to 10000. Default: 128.
    pub local_resets_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            head_bytes_max: ByteSize::kib(32),
            uri_bytes_max: ByteSize::kib(8),
            headers_max: 64,
            header_name_bytes_max: ByteSize(128),
            header_value_bytes_max: ByteSize::kib(8),
            http2: Http2::default(),
        }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams_max: 100,
            header_list_bytes_max: ByteSize::kib(16),
            stream_window_bytes: ByteSize::kib(64),
            connection_window_bytes: ByteSize::mib(1),
            frame_bytes_max: ByteSize::kib(16),
            ping_ms: 20_000,
            ping_answer_ms: 10_000,
            requests_max: 10_000,
            flood_window_ms: 10_000,
            client_resets_max: 100,
            control_frames_max: 1_000,
            pending_resets_max: 20,
            local_resets_max: 128,
        }
    }
}

/// A key, its value and its range.
type Ranged<T> = (&'static str, T, RangeInclusive<T>);

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let (size, kib, mib) = (ByteSize, ByteSize::kib, ByteSize::mib);
        let sizes = [
            ("head_bytes_max", self.head_bytes_max, kib(8)..=mib(1)),
            // hyper reads no longer one.
            ("uri_bytes_max", self.uri_bytes_max, size(256)..=size(65_534)),
            ("header_name_bytes_max", self.header_name_bytes_max, size(32)..=kib(64)),
            ("header_value_bytes_max", self.header_value_bytes_max, size(256)..=mib(1)),
        ];
        // hyper reads 100 without an allocation of its own.
        let counts = [("headers_max", self.headers_max as u64, 8..=100)];
        outside(sizes)
            .chain(outside(counts))
            .chain(outside(self.http2.sizes()))
            .chain(outside(self.http2.counts()))
            .collect()
    }
}

impl Http2 {
    fn sizes(&self) -> [Ranged<ByteSize>; 4] {
        let (kib, mib) = (ByteSize::kib, ByteSize::mib);
        [
            ("http2.header_list_bytes_max", self.header_list_bytes_max, kib(1)..=mib(1)),
            ("http2.stream_window_bytes", self.stream_window_bytes, kib(16)..=mib(16)),
            ("http2.connection_window_bytes", self.connection_window_bytes, kib(64)..=mib(64)),
            ("http2.frame_bytes_max", self.frame_bytes_max, kib(16)..=mib(1)),
        ]
    }

    fn counts(&self) -> [Ranged<u64>; 9] {
        let hour_ms = 3_600_000;
        [
            ("http2.streams_max", self.streams_max.into(), 1..=10_000),
            ("http2.ping_ms", self.ping_ms, 10..=hour_ms),
            ("http2.ping_answer_ms", self.ping_answer_ms, 10..=hour_ms),
            ("http2.requests_max", self.requests_max.into(), 1..=1_000_000_000),
            ("http2.flood_window_ms", self.flood_window_ms, 100..=hour_ms),
            ("http2.client_resets_max", self.client_resets_max.into(), 1..=1_000_000),
            ("http2.control_frames_max", self.control_frames_max.into(), 10..=1_000_000),
            ("http2.pending_resets_max", self.pending_resets_max as u64, 1..=10_000),
            ("http2.local_resets_max", self.local_resets_max as u64, 1..=10_000),
        ]
    }
}

fn outside<T, const N: usize>(keys: [Ranged<T>; N]) -> impl Iterator<Item = (&'static str, String)>
where
    T: PartialOrd + std::fmt::Display,
{
    keys.into_iter().filter(|(_, value, range)| !range.contains(value)).map(
        |(key, value, range)| {
            (key, format!("{value} is outside of {} to {}", range.start(), range.end()))
        },
    )
}
