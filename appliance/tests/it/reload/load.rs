//! Reloads under load lose no call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use super::*;
use crate::wire::{Connection, ask, echo, echo_posted};

/// Callers at once, each on a connection that it keeps.
const CALLERS: usize = 4;
const RELOADS: u32 = 50;

#[test]
fn fifty_reloads_under_load_lose_no_call_and_no_connection() {
    let tables = |reload: u32| {
        let calls = format!("[layer.concurrency]\ncalls_max = {}\n", 64 + reload % 7);
        // Every tenth one replaces the plugin that is called.
        let limits = format!("[plugin.echo.limits]\nqueue_calls = {}\n", 16 + reload / 10);
        [deadline(20_000 + reload), calls, limits]
    };
    let with = |reload: u32| {
        let [deadline, calls, limits] = tables(reload);
        [ON_REQUEST.to_owned(), ECHO.to_owned(), deadline, calls, limits].concat()
    };
    let live = Live::start(&[&with(0)]);
    let (is_over, called) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (live, is_over, called) = (&live, &is_over, &called);
            scope.spawn(move || {
                let mut connection = Connection::open(&live.program);
                for call in 0_u64.. {
                    let mark = format!("[{caller}/{call}]");
                    connection.send(&echo_posted(&live.program, &mark));
                    // Every call is answered with its own text: a refusal or a cut connection ends the test.
                    let answer = connection.until(&mark);
                    assert!(!answer.contains("\"error\""), "{answer}");
                    called.fetch_add(1, Relaxed);
                    if is_over.load(Relaxed) {
                        break;
                    }
                }
            });
        }
        let mut before = 0;
        for reload in 1..=RELOADS {
            let attempt = live.reload_with(&[&with(reload)]);
            // Left alone, the callers would call for ever.
            if attempt["result"] != "applied" {
                is_over.store(true, Relaxed);
                panic!("{attempt}");
            }
            // Calls go on between two reloads.
            crate::wire::until("calls go on", || called.load(Relaxed) > before);
            before = called.load(Relaxed);
        }
        is_over.store(true, Relaxed);
    });
    assert_eq!(live.generation(), u64::from(RELOADS) + 1);
    assert!(called.load(Relaxed) >= u64::from(RELOADS));
}

#[test]
fn no_answer_mixes_two_generations() {
    // The number of a generation is in its name, in its instructions, and in a bound.
    let stamped = |number: u64| {
        format!(
            "[server]\nname = \"g{number}\"\ninstructions = \"i{number}\"\n\
             [layer.payload]\nrequest_bytes_max = {}\n",
            2_000 + number
        )
    };
    let live = Live::start(&[ON_REQUEST, ECHO, &stamped(1)]);
    let (is_over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let found = ask(&live.program, "server/discover", json!({})).json();
                    let found = &found["result"];
                    let name =
                        found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].as_str();
                    let name = name.and_then(|name| name.strip_prefix('g')).expect("a name");
                    assert_eq!(found["instructions"], format!("i{name}"), "{found}");
                    let refused = echo(&live.program, &"x".repeat(4_000)).json();
                    let data = &refused["error"]["data"];
                    let number = data["generation"].as_u64().expect("a number");
                    assert_eq!(data["limit"], json!(2_000 + number), "{refused}");
                    answers.fetch_add(2, Relaxed);
                }
            });
        }
        let mut before = 0;
        for number in 2..=40 {
            let attempt = live.reload_with(&[ON_REQUEST, ECHO, &stamped(number)]);
            if attempt["generation"] != json!(number) {
                is_over.store(true, Relaxed);
                panic!("{attempt}");
            }
            crate::wire::until("calls go on", || answers.load(Relaxed) > before);
            before = answers.load(Relaxed);
        }
        is_over.store(true, Relaxed);
    });
}
