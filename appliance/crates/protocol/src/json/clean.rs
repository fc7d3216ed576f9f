//! How far a string goes on without anything special in it: the inner loop of reading and writing JSON.

/// Bytes that are judged together. The compiler makes vector comparisons of a block.
const BLOCK: usize = 32;
const WORD: usize = 8;

/// How many bytes of `bytes` stand for themselves in a JSON string: no quote, backslash or control character.
pub(super) fn clean_run(bytes: &[u8]) -> usize {
    // Keys and names end within a few words; only long strings are worth a block.
    let mut clean = 0;
    for word in bytes.as_chunks::<WORD>().0.iter().take(BLOCK / WORD) {
        match first_special(*word) {
            Some(at) => return clean + at,
            None => clean += WORD,
        }
    }
    for block in bytes[clean..].as_chunks::<BLOCK>().0 {
        if !is_clean(block) {
            break;
        }
        clean += BLOCK;
    }
    let (words, rest) = bytes[clean..].as_chunks::<WORD>();
    for word in words {
        match first_special(*word) {
            Some(at) => return clean + at,
            None => clean += WORD,
        }
    }
    clean + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// No short cut in the middle: a branch for each byte would forbid vectors.
fn is_clean(block: &[u8; BLOCK]) -> bool {
    let special = block.iter().fold(0, |special, byte| {
        special | u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < 0x20)
    });
    special == 0
}

/// The first special byte of a word. A byte's high bit marks it; borrows run only upwards, so the lowest mark is
/// always true (Hacker's Delight, section 6-1).
fn first_special(word: [u8; WORD]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; WORD]);
    const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);
    let word = u64::from_le_bytes(word);
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * limit as u64) & !word;
    let equal = |byte: u8| below(1, word ^ (ONES * byte as u64));
    let marks = (below(0x20, word) | equal(b'"') | equal(b'\\')) & HIGH;
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{clean_run, is_special};

    fn one_by_one(bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len())
    }

    #[test]
    fn finds_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..100 {
                let mut text = [b'a'; 100];
                text[at] = byte;
                assert_eq!(clean_run(&text), one_by_one(&text), "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_look_at_each_byte(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(clean_run(&bytes), one_by_one(&bytes));
        }

        #[test]
        fn agrees_where_special_bytes_are_rare(
            mut bytes in proptest::collection::vec(0x20_u8..0x7F, 0..200),
            at in 0_usize..200,
            byte in any::<u8>(),
        ) {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            prop_assert_eq!(clean_run(&bytes), one_by_one(&bytes));
        }
    }
}
