//! A small process under a thousand uploads.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;

use super::group::Group;
use crate::program::{PATIENCE, Program, modern_call, modern_headers, profile, toolrack};

const LIMIT_BYTES: u64 = 512 << 20;
const UPLOAD_BYTES: usize = 16 << 20;
const UPLOADS: usize = 1_000;
const AT_ONCE: usize = 64;

/// Tells whoever reads what the tests say.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Starts the program under a limit of the kernel's, or under one of its own where no group can be made.
fn start() -> (Program, Option<Group>) {
    let settings = ["--set", "layer.payload.request_bytes_max=17MiB"];
    match Group::new(LIMIT_BYTES) {
        Ok(group) => {
            (Program::start_by(group.command(&toolrack()), &profile(""), &settings), Some(group))
        }
        Err(reason) => {
            say(&format!("skipped: the limit of a control group, for there is none: {reason}"));
            let own = ["--set", "layer.memory.limit_bytes=512MiB"];
            (Program::start(&profile(""), &[settings, own].concat()), None)
        }
    }
}

/// Sends one upload but for its last byte, waits until `is_time` for that, and returns the status of the answer.
fn uploaded(program: &Program, request: &[u8], is_time: impl Fn() -> bool) -> u16 {
    let mut stream = TcpStream::connect(&program.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
    let (last, most) = request.split_last().expect("a request");
    // A refusal comes before the body was read, and ends the connection.
    stream.write_all(most).ok();
    let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
    let (begun, mut has_sent) = (Instant::now(), false);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() != ErrorKind::WouldBlock => break,
            Err(_) if !has_sent && is_time() => {
                stream.write_all(&[*last]).ok();
                has_sent = true;
            }
            Err(_) => assert!(begun.elapsed() < PATIENCE, "no answer"),
        }
    }
    let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {:?}", String::from_utf8_lossy(&answer)))
}

/// A call of a tool that answers in a few words, with so much beside what it reads.
fn request(program: &Program) -> Vec<u8> {
    let call = modern_call("test_simple_text", &json!({ "ballast": "x".repeat(UPLOAD_BYTES) }));
    let body = call.to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n{}\r\n",
        program.address,
        body.len(),
        modern_headers("tools/call", Some("test_simple_text"))
    );
    (head + &body).into_bytes()
}

#[test]
fn a_thousand_large_uploads_do_not_kill_a_small_process() {
    let (mut program, group) = start();
    let request = request(&program);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let statuses = Mutex::new(BTreeMap::<u16, usize>::new());
    let begun = Instant::now();
    let probes = std::thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut probes = 0;
            while !is_over.load(Relaxed) {
                assert_eq!(program.control("/livez").status, 200);
                probes += 1;
            }
            probes
        });
        let clients: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    // Whatever gets in stays until all have tried: as much is held as ever can be.
                    while next.fetch_add(1, Relaxed) < UPLOADS {
                        let status = uploaded(&program, &request, || next.load(Relaxed) >= UPLOADS);
                        *statuses
                            .lock()
                            .expect("nobody panics with it")
                            .entry(status)
                            .or_default() += 1;
                    }
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Relaxed);
        assert!(results.iter().all(Result::is_ok), "an upload without an answer");
        prober.join().expect("the control listener answers all through")
    });
    let statuses = statuses.into_inner().expect("nobody panics with it");
    let peak_bytes = group.as_ref().and_then(Group::peak_bytes);
    say(&format!(
        "{statuses:?} in {:?}; {probes} probes; peak {peak_bytes:?} of {LIMIT_BYTES} bytes",
        begun.elapsed()
    ));
    assert_eq!(statuses.values().sum::<usize>(), UPLOADS);
    assert!(statuses.keys().all(|status| [200, 413, 429, 503].contains(status)), "{statuses:?}");
    // Seven eighths of a quarter of the limit hold six of them, and what is around their text.
    assert_eq!(statuses.get(&200), Some(&6), "{statuses:?}");
    if let Some(peak_bytes) = peak_bytes {
        assert!((64 << 20..LIMIT_BYTES).contains(&peak_bytes), "{peak_bytes}");
    }
    assert!(probes > 0);
    // Whoever is served afterwards was not killed meanwhile.
    let afterwards = Instant::now();
    while program.call("echo", &json!({ "text": "still here" })).status != 200 {
        assert!(
            afterwards.elapsed() < PATIENCE,
            "it never recovers: {}",
            program.control("/metrics").body
        );
    }
    if let Some(group) = &group {
        assert_eq!(group.kills(), 0);
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}
