//! Buckets in interleavings by chance of callers and the sweep.

use protocol::sync::{explore, thread};

use super::*;

/// Two keys of the first map, which the first sweep looks through, and one of another.
const KEYS: [u64; 2] = [1, 2];
const ELSEWHERE: u64 = 1 << 31;

fn rate(burst: u32) -> Rate {
    Rate::new("client", 1, Duration::from_secs(1), burst).expect("a limit")
}

fn taking(buckets: &Arc<Buckets>, key: u64, rate: Rate, now: Instant) -> thread::JoinHandle<usize> {
    let buckets = Arc::clone(buckets);
    thread::spawn(move || usize::from(buckets.take(key, &rate, now).is_ok()))
}

#[test]
fn one_bucket_never_gives_more_than_its_burst_though_it_is_swept_meanwhile() {
    explore(|| {
        let buckets = Arc::new(Buckets::new("keys", 2));
        let now = Instant::now();
        let threads = [(); 3].map(|()| taking(&buckets, KEYS[0], rate(2), now));
        buckets.sweep(now);
        let admitted: usize = threads.map(|thread| thread.join().expect("no panic")).iter().sum();
        assert_eq!(admitted, 2);
        assert_eq!(buckets.keys().used(), 1);
        // Full again: the sweep that comes round forgets it.
        (0..SWEEPS).for_each(|_| buckets.sweep(now + Duration::from_secs(2)));
        assert_eq!(buckets.keys().used(), 0);
    });
}

#[test]
fn keys_that_come_at_once_keep_the_cap_and_each_has_its_burst() {
    explore(|| {
        let buckets = Arc::new(Buckets::new("keys", 2));
        let now = Instant::now();
        let threads = [KEYS[0], KEYS[1], ELSEWHERE].map(|key| taking(&buckets, key, rate(1), now));
        assert!(buckets.keys().used() <= 2);
        let admitted: usize = threads.map(|thread| thread.join().expect("no panic")).iter().sum();
        assert_eq!(admitted, 3, "one of them in a bucket for all that found no place");
        assert_eq!((buckets.keys().used(), buckets.keys().refused()), (2, 1));
    });
}
