//! What a million keys cost, and that it is given back. A program of its own: others' memory would count as well.

use std::time::{Duration, Instant};

use middleware::buckets::{Buckets, Rate, SWEEPS};

/// Bytes of this process that are in RAM.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).expect("a second number").parse().expect("a number");
    pages * 4096
}

#[test]
fn a_million_keys_cost_at_most_32_mib_and_are_given_back() {
    let rate = Rate::new("client", 1, Duration::from_secs(1), 10).expect("a limit");
    let buckets = Buckets::new("keys", 1_000_000);
    let start = Instant::now();
    let before = resident_bytes();
    for number in 0..1_000_000_u64 {
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        buckets.take(key, &rate, start).expect("the first call of a key");
    }
    assert_eq!(buckets.keys().used(), 1_000_000);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= 32 << 20, "{grown} bytes");
    for _ in 0..SWEEPS {
        buckets.sweep(start + Duration::from_secs(1));
    }
    assert_eq!(buckets.keys().used(), 0);
    let left = resident_bytes().saturating_sub(before);
    assert!(left <= grown / 10, "{left} of {grown} bytes");
}
