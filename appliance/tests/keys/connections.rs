//! `layer.connections`: who gets in, and for how long.

use crate::program::{Program, profile, toolrack_with_descriptors};
use crate::wire::{Connection, echo, echo_posted, refusal, serve, until_metric};

/// A connection that was answered and stays.
fn kept(program: &Program) -> Connection {
    let mut connection = Connection::with(program, &echo_posted(program, "x"));
    connection.until("\"complete\"");
    connection
}

pub(crate) fn connections_of_all_listeners_together_are_bounded() {
    for (connections_max, status) in [(1, 503), (2, 200)] {
        let program = serve(&[&format!("layer.connections.connections_max={connections_max}")]);
        let _inside = kept(&program);
        let answer = echo(&program, "x");
        assert_eq!(answer.status, status);
        if status != 200 {
            assert_eq!(refusal(&answer).1, "connections_exhausted");
            assert_eq!(answer.json()["error"]["data"]["scope"], "process");
        }
    }
}

pub(crate) fn connections_of_one_address_are_bounded() {
    for (per_address_max, expected) in [(1, (429, "address_exhausted")), (2, (200, ""))] {
        let program = serve(&[&format!("layer.connections.per_address_max={per_address_max}")]);
        let _inside = kept(&program);
        let (status, kind) = refusal(&echo(&program, "x"));
        assert_eq!((status, &*kind), expected);
    }
}

pub(crate) fn connections_are_refused_counted_or_let_in() {
    for (mode, status, counted) in [("enforce", 429, 1), ("shadow", 200, 1), ("off", 200, 0)] {
        let mode = format!("layer.connections.mode={mode}");
        let program = serve(&["layer.connections.per_address_max=1", &mode]);
        let _inside = kept(&program);
        assert_eq!(echo(&program, "x").status, status, "{mode}");
        let metrics = program.control("/metrics").body;
        let series = "toolrack_refusals_total{layer=\"connections\",kind=\"address_exhausted\"";
        let of_layer = metrics.lines().filter(|line| line.starts_with(series));
        assert_eq!(of_layer.filter(|line| line.ends_with("} 1")).count(), counted, "{metrics}");
    }
}

pub(crate) fn descriptors_that_are_not_there_keep_it_from_starting() {
    let (file, plugins) = (profile(""), crate::program::plugins());
    let reserve = |count: u32| format!("layer.connections.descriptors_reserve={count}");
    drop(Program::start_by(toolrack_with_descriptors(600), &file, &["--set", &reserve(100)]));
    let mut refused = toolrack_with_descriptors(600);
    refused.args(["serve", "--profile"]).arg(&file).args(["--set", &reserve(101)]);
    let output = refused.current_dir(plugins).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("only 600 files") && said.contains("to 601"), "{said}");
}

pub(crate) fn a_connection_of_age_is_ended() {
    let [hasty, patient] =
        [50, 3_600_000].map(|ms| serve(&[&format!("layer.connections.age_max_ms={ms}")]));
    let mut stays = kept(&patient);
    kept(&hasty).rest();
    until_metric(&hasty, "toolrack_connections_closed_total{listener=\"public\",reason=\"age\"} 1");
    stays.send(&echo_posted(&patient, "again"));
    stays.until("again");
}
