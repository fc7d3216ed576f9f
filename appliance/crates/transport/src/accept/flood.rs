//! Counts the frames of one HTTP/2 connection by their heads, to end the one that sends them for nothing.
//!
//! h2 answers SETTINGS and PING for as long as a client reads the answers, and forgets streams that their client resets
//! for as long as each was looked at in between: one client costs a core, and breaks no rule. Frames are counted where
//! their bytes come in, since neither h2 nor hyper tells of them. Costs a look at 9 bytes for each frame, and reads the
//! clock only at a limit.

use std::sync::Arc;
use std::time::Duration;

use middleware::http::{Config, State};
use tokio::time::Instant;

/// Length, type, flags, stream (RFC 9113, 4.1).
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
/// DATA of fewer bytes, unless it is the last of its stream, costs more than it brings.
const SMALL_DATA_BYTES: u32 = 64;
/// Frames for nothing that a request earns: windows to open, priorities, a ping for its round trip.
const CREDIT_PER_REQUEST: u32 = 8;
/// Bytes sent that earn one more: a window to open again.
const BYTES_PER_CREDIT: usize = 1024;

/// The last frame for a client that floods: GOAWAY with `ENHANCE_YOUR_CALM`. It says nothing of what was processed, so
/// it names the last stream that there could be (RFC 9113, 6.8).
pub(super) const GOAWAY: [u8; 17] =
    [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// What a connection sent in the current window.
pub(super) struct FloodGate {
    state: State,
    settings: Arc<Config>,
    /// The part of a frame's head that came, while the rest of it is on its way.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is left of the current frame.
    payload_bytes: usize,
    since: Instant,
    resets: u32,
    control_frames: u32,
    credit: u32,
    sent_bytes: usize,
    /// In shadow, once is enough.
    is_judged: bool,
}

impl FloodGate {
    /// For a connection that has sent its preface and nothing else.
    pub(super) fn new(state: State, settings: Arc<Config>) -> Self {
        Self {
            state,
            settings,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            payload_bytes: 0,
            since: Instant::now(),
            resets: 0,
            control_frames: 0,
            credit: 0,
            sent_bytes: 0,
            is_judged: false,
        }
    }

    /// Notes that the client took so many bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes;
        if self.sent_bytes >= BYTES_PER_CREDIT {
            self.earn((self.sent_bytes / BYTES_PER_CREDIT) as u32);
            self.sent_bytes %= BYTES_PER_CREDIT;
        }
    }

    /// Takes `bytes` that came in; whether they are too much.
    pub(super) fn is_flooded_by(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.payload_bytes > 0 {
                let skipped = self.payload_bytes.min(bytes.len());
                self.payload_bytes -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            let (part, rest) = bytes.split_at(taken);
            self.head[self.head_bytes..][..taken].copy_from_slice(part);
            self.head_bytes += taken;
            bytes = rest;
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                if self.is_frame_too_much() {
                    return true;
                }
            }
        }
        false
    }

    fn is_frame_too_much(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload_bytes = length as usize;
        let brings = match kind {
            HEADERS => {
                self.earn(CREDIT_PER_REQUEST);
                true
            }
            DATA => length >= SMALL_DATA_BYTES || flags & END_STREAM != 0,
            _ => false,
        };
        if brings {
            return false;
        }
        let http2 = &self.settings.http2;
        if kind == RST_STREAM {
            self.resets += 1;
            if self.resets > http2.client_resets_max {
                return self.is_judged_a_flood(http2.client_resets_max);
            }
        }
        if self.credit > 0 {
            self.credit -= 1;
            return false;
        }
        self.control_frames += 1;
        self.control_frames > http2.control_frames_max
            && self.is_judged_a_flood(http2.control_frames_max)
    }

    /// No more than a window's worth can be saved up.
    fn earn(&mut self, frames: u32) {
        self.credit =
            (self.credit.saturating_add(frames)).min(self.settings.http2.control_frames_max);
    }

    /// A count went above its limit: by a flood, or over a longer time than the window.
    fn is_judged_a_flood(&mut self, frames_max: u32) -> bool {
        let now = Instant::now();
        let window = Duration::from_millis(self.settings.http2.flood_window_ms);
        let is_within = now.duration_since(self.since) < window;
        self.since = now;
        (self.resets, self.control_frames) = (0, 0);
        if !is_within || self.is_judged {
            return false;
        }
        self.is_judged = true;
        self.state.judge_flood(&self.settings, frames_max).is_err()
    }
}

#[cfg(test)]
mod tests {
    use middleware::Mode;
    use middleware::http::Http2;

    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn gate(mode: Mode) -> FloodGate {
        let http2 = Http2 { client_resets_max: 3, control_frames_max: 10, ..Http2::default() };
        let settings = Config { mode, http2, ..Config::default() };
        FloodGate::new(State::new(&settings), Arc::new(settings))
    }

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + length, 0);
        frame
    }

    /// How many of these frames pass.
    fn passing(gate: &mut FloodGate, frame: &[u8]) -> usize {
        (0..1_000).take_while(|_| !gate.is_flooded_by(frame)).count()
    }

    #[tokio::test]
    async fn lets_as_many_control_frames_pass_as_its_limit() {
        for (kind, length) in [(PING, 8), (4, 0), (2, 5), (9, 100), (0x42, 7)] {
            assert_eq!(passing(&mut gate(Mode::Enforce), &frame(kind, 0, length)), 10, "{kind}");
        }
    }

    #[tokio::test]
    async fn counts_resets_by_a_limit_of_their_own_whatever_requests_earn() {
        let pair = [frame(HEADERS, 5, 30), frame(RST_STREAM, 0, 4)].concat();
        assert_eq!(passing(&mut gate(Mode::Enforce), &pair), 3);
    }

    #[tokio::test]
    async fn counts_data_only_when_it_is_small_and_not_the_last() {
        let passing =
            |flags, length| passing(&mut gate(Mode::Enforce), &frame(DATA, flags, length));
        assert_eq!((passing(0, 0), passing(0, 63)), (10, 10));
        assert_eq!((passing(0, 64), passing(END_STREAM, 0)), (1_000, 1_000));
    }

    #[tokio::test]
    async fn requests_and_bytes_that_were_taken_earn_more_frames() {
        let mut asking = gate(Mode::Enforce);
        assert!(!asking.is_flooded_by(&frame(HEADERS, 5, 30)));
        assert_eq!(passing(&mut asking, &frame(WINDOW_UPDATE, 0, 4)), 18);
        let mut reading = gate(Mode::Enforce);
        (0..4).for_each(|_| reading.sent(1_536));
        assert_eq!(passing(&mut reading, &frame(WINDOW_UPDATE, 0, 4)), 16);
        let mut reading = gate(Mode::Enforce);
        reading.sent(1 << 30);
        assert_eq!(passing(&mut reading, &frame(WINDOW_UPDATE, 0, 4)), 20, "not more than twice");
    }

    #[tokio::test]
    async fn finds_heads_wherever_a_read_ends() {
        let frames = [frame(PING, 0, 8), frame(DATA, 0, 300), frame(4, 0, 6)].concat();
        for size in 1..frames.len() {
            let mut gate = gate(Mode::Enforce);
            let mut chunks = frames.chunks(size);
            assert!(!chunks.any(|chunk| gate.is_flooded_by(chunk)));
            assert_eq!((gate.control_frames, gate.payload_bytes, gate.head_bytes), (2, 0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_what_came_before_the_window() {
        let mut gate = gate(Mode::Enforce);
        let ping = frame(PING, 0, 8);
        assert!(!(0..10).any(|_| gate.is_flooded_by(&ping)));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(passing(&mut gate, &ping), 11);
    }

    #[tokio::test]
    async fn shadow_and_off_let_everything_pass() {
        for mode in [Mode::Shadow, Mode::Off] {
            assert_eq!(passing(&mut gate(mode), &frame(PING, 0, 8)), 1_000);
        }
    }
}
