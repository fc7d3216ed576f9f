//! `layer.memory`: what is refused as less and less of it is left. The lane is told how much is used; nothing is taken.

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run};
use super::super::wire::Way;

const EXHAUSTED: Refusal = Refusal {
    layer: "memory",
    kind: "memory_exhausted",
    status: 503,
    code: -32017,
    says_when: true,
};
/// What the ledger is lowered to: less than one body may have.
const LEDGER_BYTES: &str = "65536";

/// Every step of the ladder, and the ledger.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.memory.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let stream = |run: &mut Run| listening(run, way);
    let call = |run: &mut Run| run.ask(way, &way.ordinary());
    let list = |run: &mut Run| run.ask(way, &way.request("tools/list", json!({})));
    type Ask<'a> = &'a dyn Fn(&mut Run) -> Seen;
    let steps: [(&str, u8, &str, Ask<'_>); 3] = [
        ("soft_percent", config.soft_percent, "a new stream", &stream),
        ("hard_percent", config.hard_percent, "a call", &call),
        ("critical_percent", config.critical_percent, "a new connection", &list),
    ];
    for (name, percent, what, ask) in steps {
        // A level is left a little below its step; from nothing it is reached at its step alone.
        run.test.press(0)?;
        run.test.press(percent - 1)?;
        let below = ask(run);
        run.test.press(percent)?;
        let attack = Attack {
            lane: &lane,
            key: &format!("layer.memory.{name}"),
            mode: config.mode,
            expected: Expected::Refusal(EXHAUSTED),
            sent: format!("{what} at {} and at {percent} percent", percent - 1),
        };
        run.attack(attack, Some(below), |run| ask(run))?;
    }
    high(run, &lane)?;
    ledger(run)
}

/// The step at which idle connections go sooner.
fn high(run: &mut Run, lane: &Lane) -> Checked {
    let config = &lane.plan.layers.memory;
    let percent = config.high_percent;
    run.test.press(0)?;
    let below = Seen::Other(run.test.press(percent - 1)?);
    let level = run.test.press(percent)?;
    run.test.press(0)?;
    let attack = Attack {
        lane,
        key: "layer.memory.high_percent",
        mode: config.mode,
        expected: Expected::Words("high".to_owned()),
        sent: format!("the level at {} and at {percent} percent", percent - 1),
    };
    run.attack(attack, Some(below), |_| Seen::Other(level))
}

/// A body that is larger than all that may be borrowed.
fn ledger(run: &mut Run) -> Checked {
    let key = "layer.memory.ledger_bytes_max";
    let lane = run.open(&[(key, LEDGER_BYTES)])?;
    let (Some(way), layers) = (lane.way(), &lane.plan.layers) else { return Ok(()) };
    let most = layers.memory.ledger_bytes_max.map_or(0, |size| size.bytes());
    if most >= layers.payload.request_bytes_max.bytes() {
        run.skip(key, "one body cannot fill it: `layer.payload.request_bytes_max` is smaller");
        return Ok(());
    }
    let below = run.ask(way, &way.ordinary());
    let head = super::super::wire::modern_headers("tools/call", &json!({ "name": "probe_answer" }));
    let request = way.posted(&head, &" ".repeat(most + 1));
    let attack = Attack {
        lane: &lane,
        key,
        mode: layers.memory.mode,
        expected: Expected::Refusal(Refusal {
            status: 413,
            code: -32600,
            kind: "payload_too_large",
            says_when: false,
            ..EXHAUSTED
        }),
        sent: format!("a body of {} bytes", most + 1),
    };
    run.attack(attack, Some(below), |run| run.ask(way, &request))
}

/// The head of a stream that has no end.
pub(super) fn listening(run: &mut Run, way: &Way) -> Seen {
    match run.connect(way) {
        Ok(mut connection) => {
            connection.send(&way.request("subscriptions/listen", json!({ "notifications": {} })));
            connection.head()
        }
        Err(failed) => failed,
    }
}
