//! Upgrades under load lose no call, no connection and no session.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use super::*;
use crate::wire::{Connection, echo, echo_posted, posted, request, text};

/// Callers at once, each on a connection that it keeps for as long as it may.
const CALLERS: usize = 4;

/// Fifty at full length: `LONG=1 cargo test`.
fn rounds() -> usize {
    if std::env::var_os("LONG").is_some() { 50 } else { 3 }
}

#[test]
fn upgrades_under_load_lose_no_call_no_connection_and_no_session() {
    let mut upgraded = Upgraded::start("");
    let session = upgraded.program.session("2025-11-25", json!({}));
    let (is_over, called) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (program, is_over, called, session) = (&upgraded.program, &is_over, &called, &session);
        let until_over = move |call: &dyn Fn(u64)| {
            for number in 0.. {
                call(number);
                called.fetch_add(1, Relaxed);
                if is_over.load(Relaxed) {
                    break;
                }
            }
        };
        for caller in 0..CALLERS {
            scope.spawn(move || keep_calling(program, caller, is_over, called));
        }
        scope.spawn(move || {
            until_over(&|call| {
                let mark = format!("[new/{call}]");
                let answer = echo(program, &mark);
                assert_eq!((answer.status, text(&answer.json())), (200, &*mark), "{answer:?}");
            });
        });
        scope.spawn(move || {
            until_over(&|_| {
                let answer = program.post(session, &request("ping", &json!({})));
                assert_eq!(answer.status, 200, "{answer:?}");
            });
        });
        scope.spawn(move || {
            let connection = std::cell::RefCell::new(Connection::open(program));
            until_over(&|_| begin_and_use_a_session(program, &mut connection.borrow_mut()));
        });
        let mut before = 0;
        for _ in 0..rounds() {
            let upgrade = std::panic::AssertUnwindSafe(|| upgraded.upgrade());
            // Left alone, the callers would call for ever.
            if let Err(panic) = std::panic::catch_unwind(upgrade) {
                is_over.store(true, Relaxed);
                std::panic::resume_unwind(panic);
            }
            // Every kind of caller has called since.
            until("calls go on", || is_over.load(Relaxed) || called.load(Relaxed) > before + 50);
            before = called.load(Relaxed);
        }
        is_over.store(true, Relaxed);
    });
    upgraded.initial_ends();
    let heirs = upgraded.heirs.lock().expect("no test panics with it").clone();
    heirs[..heirs.len() - 1].iter().for_each(|heir| until_gone(*heir));
}

/// Calls on one connection until an answer says that it is the last.
fn keep_calling(program: &Program, caller: usize, is_over: &AtomicBool, called: &AtomicU64) {
    let mut connection = Connection::open(program);
    for call in 0_u64.. {
        let mark = format!("[{caller}/{call}]");
        connection.send(&echo_posted(program, &mark));
        let answer = connection.until(&mark);
        assert!(!answer.contains("\"error\""), "{answer}");
        called.fetch_add(1, Relaxed);
        if is_over.load(Relaxed) {
            break;
        }
        if answer.to_lowercase().contains("connection: close") {
            connection = Connection::open(program);
        }
    }
}

/// Shakes hands on a connection that stays, and uses the session on another one at once.
fn begin_and_use_a_session(program: &Program, connection: &mut Connection) {
    let hello = request(
        "initialize",
        &json!({ "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } }),
    );
    connection.send(&posted(program, "", &hello));
    let welcome = connection.until("serverInfo");
    let header = |wanted: &str| {
        welcome.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then_some(value)
        })
    };
    let session = format!("Mcp-Session-Id: {}\r\n", header("mcp-session-id").expect("an id"));
    let answer = program.post(&session, &request("ping", &json!({})));
    assert_eq!(answer.status, 200, "{answer:?}");
    let end = format!("DELETE /mcp HTTP/1.1\r\nHost: {}\r\n{session}", program.address);
    assert_eq!(program.request(&end, "").status, 204);
    if header("connection") == Some("close") {
        *connection = Connection::open(program);
    }
}
