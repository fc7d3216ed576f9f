//! What each path answers.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use protocol::MemoryLevel;

use super::*;

#[test]
fn livez_says_ok_while_the_data_plane_beats() {
    let (control, address) = started(sources(), WIDE);
    let answer = get(address, "/livez");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert!(answer.head.contains("\r\ncache-control: no-store"), "{}", answer.head);
    assert!(answer.head.contains("\r\nx-content-type-options: nosniff"), "{}", answer.head);
    control.stop();
}

#[test]
fn a_dead_data_plane_is_neither_alive_nor_ready() {
    let (control, address) = started(sources(), Limits { dead_after: Duration::ZERO, ..WIDE });
    let answer = get(address, "/livez");
    assert_eq!((answer.status, answer.body.as_str()), (503, "the data plane stands still\n"));
    let answer = get(address, "/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("\"status\":\"not ready\""), "{}", answer.body);
    control.stop();
}

#[test]
fn readyz_shows_phase_generation_and_plugins() {
    let (control, address) = started(sources(), WIDE);
    let answer = get(address, "/readyz");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["status"], "ready");
    assert_eq!(body["phase"], "ready");
    assert_eq!(body["generation"], 3);
    assert_eq!(body["plugins"], serde_json::json!([{ "name": "echo", "state": "ready" }]));
    assert!(body["heartbeat_age_ms"].is_u64() && body["uptime_ms"].is_u64(), "{body}");
    control.stop();
}

#[test]
fn readyz_says_no_before_and_after_serving() {
    let phases =
        [(Phase::Starting, "starting"), (Phase::Leaving, "leaving"), (Phase::Draining, "draining")];
    for (phase, name) in phases {
        let sources = sources();
        sources.vitals.enter(phase);
        let (control, address) = started(sources, WIDE);
        let answer = get(address, "/readyz");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains(&format!("\"phase\":\"{name}\"")), "{}", answer.body);
        assert_eq!(get(address, "/livez").status, 200, "{name} is alive");
        control.stop();
    }
}

#[test]
fn readyz_says_no_when_one_plugin_is_not_ready() {
    let plugins = Arc::new(|| vec![plugin("echo", true), plugin("time", false)]);
    let (control, address) = started(Sources { plugins, ..sources() }, WIDE);
    let answer = get(address, "/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("{\"name\":\"time\",\"state\":\"stopped\"}"), "{}", answer.body);
    control.stop();
}

#[test]
fn readyz_says_no_only_when_memory_is_critical() {
    for level in MemoryLevel::ALL {
        let sources = sources();
        sources.memory.set(level, 0);
        let (control, address) = started(sources, WIDE);
        let answer = get(address, "/readyz");
        assert_eq!(answer.status == 503, level == MemoryLevel::Critical, "{level:?}");
        let memory = format!("\"memory\":\"{}\"", level.as_str());
        assert!(answer.body.contains(&memory), "{}", answer.body);
        assert_eq!(get(address, "/livez").status, 200, "{level:?} is alive");
        control.stop();
    }
}

#[test]
fn scrapes_that_follow_one_another_share_a_snapshot() {
    let rendered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rendered);
    let metrics = Arc::new(move || format!("scrapes_total {}\n", count.fetch_add(1, Relaxed)));
    let (control, address) = started(Sources { metrics, ..sources() }, WIDE);
    let begun = std::time::Instant::now();
    let bodies: Vec<_> = (0..50).map(|_| get(address, "/metrics").body).collect();
    let seconds = begun.elapsed().as_secs() as usize;
    assert_eq!(bodies[0], "scrapes_total 0\n");
    assert!(rendered.load(Relaxed) <= 1 + seconds, "at most one a second");
    control.stop();
}

#[test]
fn metrics_have_the_type_that_prometheus_asks_for() {
    let (control, address) = started(sources(), WIDE);
    let answer = get(address, "/metrics");
    assert_eq!((answer.status, answer.body.as_str()), (200, "some_total 1\n"));
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.head.contains(kind), "{}", answer.head);
    control.stop();
}

#[test]
fn the_plan_is_answered_as_it_was_given() {
    let (control, address) = started(sources(), WIDE);
    let answer = get(address, "/admin/plan");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"profile\":\"dev\"}"));
    control.stop();
}

#[test]
fn the_index_names_every_path_and_so_does_a_wrong_one() {
    let (control, address) = started(sources(), WIDE);
    let index = get(address, "/");
    assert_eq!(index.status, 200);
    let paths = index.body.lines().filter_map(|line| line.split([' ', '?']).next());
    let paths: Vec<_> = paths.filter(|path| path.starts_with('/')).collect();
    assert_eq!(paths.len(), 9, "{}", index.body);
    for path in paths {
        assert_ne!(get(address, path).status, 404, "{path}");
    }
    let wrong = get(address, "/health");
    assert_eq!((wrong.status, wrong.body), (404, index.body));
    control.stop();
}

#[test]
fn only_get_is_allowed() {
    let (control, address) = started(sources(), WIDE);
    for method in ["POST", "HEAD", "DELETE", "OPTIONS", "BREW"] {
        let answer = ask(address, &format!("{method} /livez"), "localhost");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("\r\nallow: get"), "{}", answer.head);
    }
    control.stop();
}

#[test]
fn a_foreign_host_is_refused_on_loopback() {
    let (control, address) = started(sources(), WIDE);
    for path in ["/", "/livez", "/admin/plan"] {
        let answer = ask(address, &format!("GET {path}"), "attacker.example");
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.body.contains("dev"), "{}", answer.body);
    }
    assert_eq!(ask(address, "GET /livez", &address.to_string()).status, 200);
    control.stop();
}

#[test]
fn a_source_that_panics_costs_one_answer() {
    let metrics = Arc::new(|| panic!("a fault of ours"));
    let (control, address) = started(Sources { metrics, ..sources() }, WIDE);
    assert_eq!(get(address, "/metrics").status, 500);
    assert_eq!(get(address, "/livez").status, 200);
    control.stop();
}

#[test]
fn a_refusal_is_explained_by_its_id_alone() {
    let (control, address) = started(sources(), WIDE);
    let known = get(address, &format!("/admin/explain?request={KNOWN_ID}"));
    assert_eq!((known.status, known.body.as_str()), (200, "{\"refusal\":\"overloaded\"}"));
    assert!(known.head.contains("content-type: application/json"), "{}", known.head);
    let unknown = get(address, "/admin/explain?request=0000000000000001");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("control.refusals_kept"), "{}", unknown.body);
    let twice = format!("?request={KNOWN_ID}&request={KNOWN_ID}");
    for query in ["", "?", "?request=", "?request=ff", "?other=00000000000000ff", &twice] {
        let answer = get(address, &format!("/admin/explain{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains("16 hexadecimal digits"), "{}", answer.body);
    }
    control.stop();
}
