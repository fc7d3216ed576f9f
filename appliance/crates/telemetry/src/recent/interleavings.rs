//! One slot in every interleaving, and with all that weak orderings let a reader see.

use std::sync::Arc;

use protocol::sync::{explore, thread};

use super::Slot;

/// Enough to be torn.
const WORDS: usize = 2;

#[test]
fn a_reader_sees_a_whole_refusal_or_none_while_it_is_overwritten() {
    explore(|| {
        let slot = Arc::new(Slot::<WORDS>::default());
        slot.put(&[1, 10]);
        let writer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.put(&[2, 20]))
        };
        for id in [1, 2] {
            if let Some(words) = slot.get(id) {
                assert_eq!(words, [id, id * 10], "torn");
            }
        }
        writer.join().expect("no thread panics");
        assert_eq!((slot.get(1), slot.get(2)), (None, Some([2, 20])));
    });
}

#[test]
fn of_two_that_write_at_once_one_is_remembered_whole() {
    explore(|| {
        let slot = Arc::new(Slot::<WORDS>::default());
        let writer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.put(&[1, 10]))
        };
        slot.put(&[2, 20]);
        writer.join().expect("no thread panics");
        match (slot.get(1), slot.get(2)) {
            (Some(words), None) => assert_eq!(words, [1, 10]),
            (None, Some(words)) => assert_eq!(words, [2, 20]),
            other => panic!("{other:?}"),
        }
    });
}
