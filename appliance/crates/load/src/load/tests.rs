//! The load against servers of a few lines, whose every answer is known.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::tally::Expected;
use crate::wire::{Era, Tool};

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
const REFUSAL: &str =
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32013,"data":{"refusal":"overloaded"}}}"#;

/// Answers each request on a connection by `answer`, which is told the number of the request; `None` hangs up.
fn serve(answer: impl Fn(usize) -> Option<(u16, &'static str)> + Send + Sync + 'static) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
            std::thread::spawn(move || converse(stream, &*answer, &count));
        }
    });
    Target::resolve(&url).unwrap()
}

fn converse(
    mut stream: TcpStream,
    answer: &(dyn Fn(usize) -> Option<(u16, &'static str)> + Sync),
    count: &AtomicUsize,
) {
    let mut part = [0; 4096];
    // A request is one write, and small.
    while let Ok(got @ 1..) = stream.read(&mut part) {
        let Some((status, body)) = answer(count.fetch_add(1, Ordering::Relaxed)) else { return };
        let closes = part[..got].windows(17).any(|found| found == b"Connection: close");
        let connection = if closes { "Connection: close\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} X\r\n{connection}Content-Length: {}\r\n", body.len());
        if stream.write_all(format!("{head}\r\n{body}").as_bytes()).is_err() || closes {
            return;
        }
    }
}

fn run(target: &Target, pace: Pace, change: impl FnOnce(&mut Workload<'_>)) -> Tally {
    let tool = Tool::echo("hi");
    let mut workload = Workload {
        era: Era::Modern,
        tool: &tool,
        expected: Expected::Result,
        connections: 50,
        addresses: 1,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    };
    change(&mut workload);
    let mut load = Load::open(target, workload).unwrap();
    let tally = load.run(pace, Duration::from_millis(200), &mut |_| ControlFlow::Continue(()));
    load.close();
    tally.unwrap()
}

fn adds_up(tally: &Tally) -> bool {
    tally.offered == tally.accepted + tally.refused() + tally.failed() + tally.not_sent
}

#[test]
fn clock_sets_the_pace_of_an_open_loop() {
    let tally = run(&serve(|_| Some((200, RESULT))), Pace::Open { calls_per_sec: 100.0 }, |_| {});
    assert_eq!(tally.offered, 20);
    assert!(adds_up(&tally), "{tally:?}");
    assert_eq!(tally.accepted_ns.len(), tally.accepted);
}

#[test]
fn server_sets_the_pace_of_a_closed_loop() {
    let tally = run(&serve(|_| Some((200, RESULT))), Pace::Closed, |_| {});
    assert!(tally.accepted > 50 && adds_up(&tally), "{tally:?}");
    assert_eq!((tally.connects, tally.failed()), (0, 0));
}

#[test]
fn refusals_are_told_apart_from_errors() {
    let answers = [(200, RESULT), (429, REFUSAL), (500, "oh")];
    let target = serve(move |number| Some(answers[number % 3]));
    let tally = run(&target, Pace::Open { calls_per_sec: 150.0 }, |load| load.connections = 30);
    assert_eq!((tally.accepted, tally.refused(), tally.failed()), (10, 10, 10));
    assert_eq!((tally.refusals["overloaded"], tally.errors["status_500"]), (10, 10));
    assert_eq!(tally.first_error.as_deref().map(|text| text.ends_with("oh")), Some(true));
}

#[test]
fn calls_without_a_free_connection_are_counted() {
    let gate = std::sync::Mutex::new(());
    let held = Arc::new(gate);
    let guard = Arc::clone(&held);
    let _locked = held.lock().unwrap();
    let target = serve(move |_| {
        drop(guard.lock());
        None
    });
    let tool = Tool::echo("hi");
    let workload = Workload {
        era: Era::Modern,
        tool: &tool,
        expected: Expected::Result,
        connections: 2,
        addresses: 2,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    };
    let mut load = Load::open(&target, workload).unwrap();
    let begun = Instant::now();
    let pace = Pace::Open { calls_per_sec: 1_000.0 };
    let tally =
        load.run(pace, Duration::from_millis(100), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(begun.elapsed() >= GRACE);
    assert_eq!((tally.offered, tally.not_sent, tally.errors["no_answer"]), (100, 98, 2));
}

#[test]
fn latency_counts_from_the_moment_that_a_call_was_due() {
    // The one connection is taken for 3 ms by each call, and a call is due each millisecond.
    let target = serve(|_| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        Some((200, RESULT))
    });
    let tally = run(&target, Pace::Open { calls_per_sec: 1_000.0 }, |load| load.connections = 1);
    assert!(adds_up(&tally) && tally.not_sent > 0, "{tally:?}");
    assert!(tally.accepted_ns.value_at_quantile(0.5) > 5_000_000, "{tally:?}");
}

#[test]
fn asked_share_of_calls_gets_new_connections() {
    let target = serve(|_| Some((200, RESULT)));
    let tally = run(&target, Pace::Open { calls_per_sec: 200.0 }, |load| {
        load.connections = 20;
        load.calls_per_connection = Some(1);
    });
    // Each of the twenty has called twice.
    assert!(tally.connects == 20 && tally.failed() == 0 && adds_up(&tally), "{tally:?}");
}

#[test]
fn server_that_hangs_up_is_an_error_of_each_call() {
    let target = serve(|number| (number > 0).then_some((200, RESULT)));
    let tally = run(&target, Pace::Open { calls_per_sec: 100.0 }, |_| {});
    assert_eq!((tally.accepted, tally.errors["closed"]), (19, 1));
}

#[test]
fn watcher_ends_a_run_that_has_much_to_do() {
    let target = serve(|_| Some((200, RESULT)));
    let tool = Tool::echo("hi");
    let workload = Workload {
        era: Era::Modern,
        tool: &tool,
        expected: Expected::Echo("hi"),
        connections: 1,
        addresses: 2,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    };
    let mut load = Load::open(&target, workload).unwrap();
    let pace = Pace::Open { calls_per_sec: 10.0 };
    let tally =
        load.run(pace, Duration::from_secs(3_600), &mut |_| ControlFlow::Break(())).unwrap();
    assert!(tally.elapsed < Duration::from_secs(60) && adds_up(&tally), "{tally:?}");
}

#[test]
fn nobody_there_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::resolve(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let tool = Tool::echo("hi");
    let workload = Workload {
        era: Era::Modern,
        tool: &tool,
        expected: Expected::Result,
        connections: 1,
        addresses: 1,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    };
    let error = Load::open(&target, workload).err().unwrap();
    assert!(error.starts_with("connection 1: cannot reach 127.0.0.1:"), "{error}");
}

#[test]
fn answer_that_waits_for_the_generator_counts_from_when_the_kernel_had_it() {
    const LATE: Duration = Duration::from_millis(200);
    let _kernel_stamps = crate::arrival::tests::stamped();
    let target = serve(|_| Some((429, REFUSAL)));
    let tool = Tool::echo("hi");
    let workload = Workload {
        era: Era::Modern,
        tool: &tool,
        expected: Expected::Result,
        connections: 1,
        addresses: 1,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    };
    let mut load = Load::open(&target, workload).unwrap();
    let (tally, clocks, sent_at) = (Tally::new().unwrap(), Clocks::read(), Instant::now());
    let end = sent_at + GRACE;
    let mut run = Run { tally, end, schedule: None, clocks, waiting: 0, is_over: true };
    load.begin(0, sent_at, sent_at, &mut run);
    let mut events = Events::with_capacity(EVENTS);
    while !events.iter().any(|event| event.token() == Token(0) && event.is_readable()) {
        load.look(SLEEP_MAX, &mut events).unwrap();
    }
    let seen_at = Instant::now();
    while seen_at.elapsed() < LATE {
        std::hint::spin_loop();
    }
    load.step(0, false, &mut run);
    assert_eq!((run.tally.refused(), run.waiting), (1, 0));
    let bound = seen_at - sent_at + LATE / 2;
    for latency_ns in [&run.tally.refused_ns, &run.tally.refusal_answer_ns] {
        let latency = Duration::from_nanos(latency_ns.max());
        assert!(latency < bound, "{latency:?} {bound:?}");
    }
}
