//! Frames of HTTP/2 as bytes (RFC 9113, 4.1), for peers that a library would not be, or need not be.

/// What a client with prior knowledge sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// The last frame of a head.
pub(crate) const END_HEADERS: u8 = 4;
/// The last frame of a message.
pub(crate) const END_STREAM: u8 = 1;
/// Bytes before the payload of a frame.
pub(crate) const HEAD_BYTES: usize = 9;

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut frame = length.get(1..).unwrap_or_default().to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_its_length_kind_flags_and_stream() {
        assert_eq!(frame(PING, 1, 3, &[9, 8]), [0, 0, 2, PING, 1, 0, 0, 0, 3, 9, 8]);
    }
}
