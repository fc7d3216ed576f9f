//! Cuts what was read into lines without copying them.

use bytes::{Bytes, BytesMut};

/// Room that is made for each read.
const READ_BYTES: usize = 64 * 1024;

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Bytes),
    /// Longer than it may be: thrown away up to its end.
    TooLong,
}

/// What was read and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no line end.
    searched: usize,
    /// The line that is being read was too long already.
    skipping: bool,
}

impl Lines {
    /// Where the next read goes.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next line, if its end has been read. Empty lines are passed over.
    pub(super) fn next(&mut self, bytes_max: usize) -> Option<Line> {
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.searched..]);
            let Some(at) = found else {
                self.searched = self.buffer.len();
                return self.overflow(bytes_max);
            };
            let end = self.searched + at;
            self.searched = 0;
            let mut line = self.buffer.split_to(end + 1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if line.len() > bytes_max {
                return Some(Line::TooLong);
            }
            return Some(Line::Whole(line.freeze()));
        }
    }

    /// Throws away the beginning of a line that is too long already, and says so once.
    fn overflow(&mut self, bytes_max: usize) -> Option<Line> {
        if self.skipping {
            self.buffer.clear();
            self.searched = 0;
            return None;
        }
        if self.buffer.len() <= bytes_max {
            return None;
        }
        self.buffer.clear();
        self.searched = 0;
        self.skipping = true;
        Some(Line::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut cut = Vec::new();
        for chunk in chunks {
            lines.buffer().extend_from_slice(chunk);
            cut.extend(std::iter::from_fn(|| lines.next(bytes_max)));
        }
        cut
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn cuts_lines_across_reads_and_passes_over_empty_ones() {
        assert_eq!(cut(&[b"on", b"e\n\r\n  \ntwo\r\nth"], 99), [whole("one"), whole("two")]);
    }

    #[test]
    fn reports_a_long_line_once_and_goes_on_after_it() {
        assert_eq!(cut(&[b"0123456789", b"0123", b"\nok\n"], 5), [Line::TooLong, whole("ok")]);
        assert_eq!(cut(&[b"0123456789\nok\n"], 5), [Line::TooLong, whole("ok")]);
    }

    proptest! {
        #[test]
        fn the_cut_does_not_depend_on_the_reads(text in "[ab\n]{0,64}", size in 1usize..9) {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(cut(&chunks, 999), cut(&[text.as_bytes()], 999));
        }
    }
}
