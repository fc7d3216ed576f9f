//! The load against servers of a few lines, whose every answer is known.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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

/// Calls of `tool` from so many connections of one address.
fn workload(tool: &Tool, connections: usize) -> Workload<'_> {
    Workload {
        era: Era::Modern,
        tool,
        expected: Expected::Result,
        connections,
        addresses: 1,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: None,
    }
}

fn run(target: &Target, pace: Pace, change: impl FnOnce(&mut Workload<'_>)) -> Tally {
    let tool = Tool::echo("hi");
    let mut workload = workload(&tool, 50);
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
    assert_eq!((tally.accepted_ns.len(), tally.lateness_ns.len()), (tally.accepted, 20));
}

#[test]
fn server_sets_the_pace_of_a_closed_loop() {
    let tally = run(&serve(|_| Some((200, RESULT))), Pace::Closed, |_| {});
    assert!(tally.accepted > 50 && adds_up(&tally), "{tally:?}");
    assert_eq!((tally.connects, tally.failed(), tally.lateness_ns.len()), (0, 0, 0));
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
    let held = Arc::new(Mutex::new(()));
    let guard = Arc::clone(&held);
    let _locked = held.lock().unwrap();
    let target = serve(move |_| {
        drop(guard.lock());
        None
    });
    let tool = Tool::echo("hi");
    let workload = Workload { addresses: 2, ..workload(&tool, 2) };
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
    let workload = Workload { addresses: 2, expected: Expected::Echo("hi"), ..workload(&tool, 1) };
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
    let error = Load::open(&target, workload(&tool, 1)).err().unwrap();
    assert!(error.starts_with("connection 1: cannot reach 127.0.0.1:"), "{error}");
}

#[test]
fn answer_that_waits_for_the_generator_counts_from_when_the_kernel_had_it() {
    const LATE: Duration = Duration::from_millis(200);
    let _kernel_stamps = crate::arrival::tests::stamped();
    let target = serve(|_| Some((429, REFUSAL)));
    let tool = Tool::echo("hi");
    let mut load = Load::open(&target, workload(&tool, 1)).unwrap();
    let (tally, clocks, sent_at) = (Tally::new().unwrap(), Clocks::read(), Instant::now());
    let end = sent_at + GRACE;
    let mut run = Run { tally, end, schedule: None, clocks, waiting: 0, is_over: true };
    load.begin(0, None, &mut run);
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

/// From one call of a slow schedule to the next: so long that no machine is late by as much.
const PERIOD: Duration = Duration::from_secs(8);

/// A run of so many calls, the first due a period ago and the second now.
fn slow_run(calls: u32) -> Run {
    let (tally, clocks, now) = (Tally::new().unwrap(), Clocks::read(), Instant::now());
    let schedule = Schedule::new(1.0 / PERIOD.as_secs_f64(), now - PERIOD, PERIOD * calls);
    let (schedule, end) = (Some(schedule), now + GRACE);
    Run { tally, end, schedule, clocks, waiting: 0, is_over: false }
}

/// Goes on until nobody waits for the server.
fn read_answers(load: &mut Load<'_>, run: &mut Run) {
    let mut events = Events::with_capacity(EVENTS);
    while run.waiting > 0 {
        load.look(SLEEP_MAX, &mut events).unwrap();
        run.clocks = Clocks::read();
        for event in &events {
            load.step(event.token().0, event.is_read_closed(), run);
        }
    }
}

#[test]
fn lateness_of_the_generator_is_not_charged_to_the_server() {
    let target = serve(|_| Some((200, RESULT)));
    let tool = Tool::echo("hi");
    let mut load = Load::open(&target, workload(&tool, 1)).unwrap();
    let now = Instant::now();
    // The client is free long before the call is due, or a period after that.
    for (free_at, is_generators) in [(now - 2 * PERIOD, true), (now, false)] {
        load.lines[0].free_at = free_at;
        let mut run = slow_run(1);
        load.begin_due(Instant::now(), &mut run);
        read_answers(&mut load, &mut run);
        let Tally { accepted_ns, lateness_ns, .. } = &run.tally;
        assert_eq!((accepted_ns.len(), lateness_ns.len()), (1, 1));
        let is_long = |found_ns: u64| Duration::from_nanos(found_ns) > PERIOD / 2;
        assert_eq!(is_long(lateness_ns.max()), is_generators, "{}", lateness_ns.max());
        assert_eq!(is_long(accepted_ns.max()), !is_generators, "{}", accepted_ns.max());
    }
}

#[test]
fn call_that_waits_for_a_busy_client_is_charged_to_the_server() {
    const HELD: Duration = Duration::from_millis(200);
    // The first call is answered, or its connection is closed.
    for first in [Some((200, RESULT)), None] {
        let gate = Arc::new(Mutex::new(()));
        let guard = Arc::clone(&gate);
        let target = serve(move |number| {
            drop(guard.lock());
            if number == 0 { first } else { Some((200, RESULT)) }
        });
        let tool = Tool::echo("hi");
        let mut load = Load::open(&target, workload(&tool, 1)).unwrap();
        let locked = gate.lock().unwrap();
        let mut run = slow_run(2);
        let second_due_at = run.end - GRACE;
        load.begin_due(second_due_at, &mut run);
        assert_eq!((run.tally.offered, run.waiting), (1, 1));
        while second_due_at.elapsed() < HELD {
            std::hint::spin_loop();
        }
        drop(locked);
        read_answers(&mut load, &mut run);
        load.begin_due(second_due_at, &mut run);
        read_answers(&mut load, &mut run);
        let accepted = if first.is_some() { 2 } else { 1 };
        assert_eq!((run.tally.offered, run.tally.accepted), (2, accepted), "{:?}", run.tally);
        // The histogram keeps three digits.
        let shortest = Duration::from_nanos(run.tally.accepted_ns.min());
        assert!(shortest >= HELD * 99 / 100, "{shortest:?}");
    }
}

#[test]
fn calls_that_are_due_together_count_each_from_its_own_sending() {
    let target = serve(|_| Some((200, RESULT)));
    let tool = Tool::echo("hi");
    let mut load = Load::open(&target, workload(&tool, 2)).unwrap();
    let mut run = slow_run(2);
    let now = Instant::now();
    load.begin_due(now, &mut run);
    let sent_at: Vec<_> = load.lines.iter().map(|line| line.sent_at).collect();
    assert_eq!(run.waiting, 2);
    assert!(now < sent_at[0] && sent_at[0] < sent_at[1], "{now:?} {sent_at:?}");
}
