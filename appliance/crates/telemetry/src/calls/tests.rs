use std::sync::Barrier;

use protocol::{CacheHint, Fault, RefusalKind};

use super::*;

fn rendered(meter: &CallMeter) -> String {
    let mut out = String::new();
    meter.render(&mut out);
    out
}

#[test]
fn methods_are_counted_under_their_own_names() {
    let meter = CallMeter::new();
    for method in Method::ALL.iter().chain([&Method::Unknown]) {
        drop(meter.start(*method, Era::Legacy, Instant::now()));
    }
    let out = rendered(&meter);
    for method in Method::ALL.iter().chain([&Method::Unknown]) {
        let line = format!(
            "toolrack_calls_total{{era=\"legacy\",method=\"{}\",result=\"dropped\"}} 1\n",
            method.as_str()
        );
        assert!(out.contains(&line), "{line} is not in {out}");
    }
    assert!(!out.contains("modern"), "{out}");
}

#[test]
fn ends_are_told_apart() {
    let text = |is_error| {
        Outcome::Done(Content::Text {
            text: bytes::Bytes::new(),
            is_error,
            mime: None,
            cache: CacheHint::NONE,
        })
    };
    let fault = Fault::new(-32602, "no");
    let refusal = Refusal::new(RefusalKind::Overloaded, "concurrency", "process", "no");
    let results: [(&str, Result<Reply, Refusal>); 4] = [
        ("result", Ok(text(false).into())),
        ("tool_error", Ok(text(true).into())),
        ("error", Ok(Outcome::Failed(fault).into())),
        ("refused", Err(refusal)),
    ];
    for (name, result) in results {
        let meter = CallMeter::new();
        meter.start(Method::ToolsCall, Era::Modern, Instant::now()).end(&result);
        let out = rendered(&meter);
        let counted: Vec<_> =
            out.lines().filter(|line| line.starts_with("toolrack_calls_total")).collect();
        let labels = format!("era=\"modern\",method=\"tools/call\",result=\"{name}\"");
        assert_eq!(counted, [format!("toolrack_calls_total{{{labels}}} 1")]);
    }
}

#[test]
fn a_reading_tells_what_failed_from_what_was_refused_or_asked_wrongly() {
    let meter = CallMeter::new();
    let end = |result| meter.start(Method::ToolsCall, Era::Modern, Instant::now()).end(&result);
    let failed = |is_error| {
        Outcome::Done(Content::Text {
            text: bytes::Bytes::new(),
            is_error,
            mime: None,
            cache: CacheHint::NONE,
        })
    };
    end(Ok(failed(false).into()));
    end(Ok(failed(true).into()));
    end(Ok(Outcome::Failed(Fault::internal("it broke")).into()));
    end(Ok(Outcome::Failed(Fault::invalid_params("no such tool")).into()));
    end(Err(Refusal::new(RefusalKind::Overloaded, "concurrency", "process", "no")));
    let reading = meter.reading();
    assert_eq!((reading.passed, reading.failed), (4, 2));
    assert_eq!(reading.times.iter().sum::<u64>(), 5);
}

#[test]
fn a_time_counts_in_its_bucket_and_in_all_above() {
    let meter = CallMeter::new();
    for took_ns in [10_000, 10_001, 30_000_000_001] {
        let took = Duration::from_nanos(took_ns);
        meter.count(Method::ToolsCall, Era::Modern, End::Result, took);
    }
    let out = rendered(&meter);
    let labels = "era=\"modern\",method=\"tools/call\"";
    for line in [
        format!("toolrack_call_seconds_bucket{{{labels},le=\"0.00001\"}} 1\n"),
        format!("toolrack_call_seconds_bucket{{{labels},le=\"0.000025\"}} 2\n"),
        format!("toolrack_call_seconds_bucket{{{labels},le=\"30\"}} 2\n"),
        format!("toolrack_call_seconds_bucket{{{labels},le=\"+Inf\"}} 3\n"),
        format!("toolrack_call_seconds_sum{{{labels}}} 30.000020002\n"),
        format!("toolrack_call_seconds_count{{{labels}}} 3\n"),
    ] {
        assert!(out.contains(&line), "{line} is not in {out}");
    }
}

#[test]
fn counts_of_many_threads_add_up() {
    let meter = CallMeter::new();
    let (threads, calls) = (8, 1_000);
    let together = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                together.wait();
                for _ in 0..calls {
                    drop(meter.start(Method::Ping, Era::Legacy, Instant::now()));
                }
            });
        }
    });
    let labels = "era=\"legacy\",method=\"ping\"";
    let line = format!("toolrack_call_seconds_count{{{labels}}} {}\n", threads * calls);
    assert!(rendered(&meter).contains(&line));
}
