//! Storms of writings and orders add up to few changes, and the last content comes in.

use std::time::Duration;

use super::*;

#[test]
fn a_storm_of_writings_makes_one_change_a_second_and_ends_with_the_last() {
    let live = Live::start(&[ECHO, &deadline(1_000)]);
    let begun = Instant::now();
    let mut ms = 1_000;
    while begun.elapsed() < Duration::from_secs(4) {
        ms += 1;
        live.write(&[ECHO, &deadline(ms)]);
        // Long enough for it to be read whole.
        let written = Instant::now();
        crate::wire::until("a little later", || written.elapsed() > Duration::from_millis(200));
    }
    let written = Instant::now();
    let last = ms.to_string();
    crate::wire::until("the last comes in", || live.serves("layer.timeout.deadline_ms") == last);
    let waited = written.elapsed();
    // It is told of a moment after it serves.
    let tells = |attempt: &Value| attempt["changes"][0]["after"] == last.as_str();
    crate::wire::until("the last is told of", || live.attempts().iter().any(tells));
    let attempts = live.attempts();
    let applied = attempts.iter().filter(|attempt| attempt["result"] == "applied").count();
    // The first needs not wait.
    let most = (begun.elapsed().as_secs() + 2) as usize;
    assert!((2..=most).contains(&applied), "{applied} of {most}: {attempts:#?}");
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn an_order_waits_for_its_time_and_is_answered() {
    let live = Live::start(&["[reload]\nwatch = false\n", ECHO, &deadline(1_000)]);
    let begun = Instant::now();
    for ms in 1_001..=1_003 {
        let attempt = live.applies(&["[reload]\nwatch = false\n", ECHO, &deadline(ms)]);
        assert_eq!(attempt["generation"], ms - 999);
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}
