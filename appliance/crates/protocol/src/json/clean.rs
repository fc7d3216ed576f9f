//! How far a string goes on without anything special in it: the inner loop of reading and writing JSON.

use wide::u8x16;

const BLOCK: usize = 16;
/// Blocks that are judged together in a long string.
const BLOCKS: usize = 4;

/// How many bytes of `bytes` stand for themselves in a JSON string: no quote, backslash or control character.
#[inline]
pub(super) fn clean_run(bytes: &[u8]) -> usize {
    // Keys and names end within a block or two.
    match bytes.first_chunk() {
        Some(block) => match specials(*block) {
            0 => BLOCK + long_run(&bytes[BLOCK..]),
            specials => specials.trailing_zeros() as usize,
        },
        None => short_run(bytes),
    }
}

#[inline(never)]
fn long_run(bytes: &[u8]) -> usize {
    let mut clean = 0;
    while let Some(block) = bytes[clean..].first_chunk() {
        match specials(*block) {
            0 => clean += BLOCK,
            specials => return clean + specials.trailing_zeros() as usize,
        }
        if clean >= BLOCKS * BLOCK {
            clean += very_long_run(&bytes[clean..]);
        }
    }
    clean + short_run(&bytes[clean..])
}

/// The same in steps of several blocks, and therefore perhaps too short.
fn very_long_run(bytes: &[u8]) -> usize {
    let groups = bytes.as_chunks::<{ BLOCKS * BLOCK }>().0;
    let is_clean = |group: &&[u8; BLOCKS * BLOCK]| {
        let blocks = group.as_chunks::<BLOCK>().0.iter();
        !blocks.map(|block| special(*block)).fold(u8x16::ZERO, |all, block| all | block).any()
    };
    groups.iter().take_while(is_clean).count() * BLOCKS * BLOCK
}

/// Of less than a block.
fn short_run(bytes: &[u8]) -> usize {
    // What stands behind the end is special too, and ends the run there.
    let mut block = [0; BLOCK];
    // Names are this short, and a copy of any length is a call: their halves, which may overlap, are two moves.
    if !copy_halves::<8>(bytes, &mut block) && !copy_halves::<4>(bytes, &mut block) {
        block[..bytes.len()].copy_from_slice(bytes);
    }
    specials(block).trailing_zeros() as usize
}

/// Copies `bytes` as their first and their last `HALF`; `false` when they have fewer.
#[inline]
fn copy_halves<const HALF: usize>(bytes: &[u8], block: &mut [u8; BLOCK]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<HALF>(), bytes.last_chunk::<HALF>())
    else {
        return false;
    };
    block[..HALF].copy_from_slice(first);
    block[bytes.len() - HALF..][..HALF].copy_from_slice(last);
    true
}

/// A bit for each byte of `block` that is special, the first byte's lowest.
#[inline]
fn specials(block: [u8; BLOCK]) -> u32 {
    special(block).to_bitmask()
}

/// All ones in each special byte.
#[inline]
fn special(block: [u8; BLOCK]) -> u8x16 {
    let block = u8x16::new(block);
    let control = block.min(u8x16::splat(0x1F)).simd_eq(block);
    control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::clean_run;

    const fn is_special(byte: u8) -> bool {
        byte == b'"' || byte == b'\\' || byte < 0x20
    }

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
