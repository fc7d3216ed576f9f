//! An explained request, for people and for programs.

use std::fmt::Write;

use middleware::Mode;
use profile::Row;
use serde_json::{Value, json};

use super::verdict::{BoundOf, Decision, Verdict};
use super::{End, Explained};

/// For people: a line for each layer, and below it the bounds that decide.
pub(super) fn text(explained: &Explained) -> String {
    let Explained { listener, from, verdicts, end } = explained;
    let mut out =
        format!("A request to listen.{listener}, from {from}. Layers, the first meets it first:\n");
    let mut is_refused = false;
    for verdict in verdicts {
        line(&mut out, verdict, is_refused);
        is_refused |= verdict.decision == Decision::Refuses;
    }
    let said = match end {
        End::Refused => {
            "The first layer that refuses answers; those after it are not asked.".to_owned()
        }
        End::Elsewhere(what) => format!("With nothing else under way it comes to {what}."),
        End::Answered { status, message } => {
            let status = status.map_or_else(String::new, |status| format!("HTTP {status}, "));
            let what = match &message["error"] {
                Value::Null if message.is_null() => "no message".to_owned(),
                Value::Null => "a result".to_owned(),
                error => format!("the error {error}"),
            };
            format!("With nothing else under way the answer is {status}{what}.")
        }
    };
    writeln!(out, "\n{said}").ok();
    out
}

fn line(out: &mut String, verdict: &Verdict, is_refused: bool) {
    let Verdict { layer, stage, mode, decision, error, bounds } = verdict;
    let what = match decision {
        Decision::NotMet if *mode == Mode::Off => "off".to_owned(),
        Decision::NotMet => "not met: there is no head on standard input".to_owned(),
        Decision::Passes => "passes".to_owned(),
        Decision::Depends => "passes an idle appliance; depends on its state".to_owned(),
        Decision::Refuses if is_refused => "would refuse as well".to_owned(),
        Decision::Refuses => "refuses".to_owned(),
        Decision::Counts => "would refuse; in shadow mode it only counts".to_owned(),
    };
    writeln!(out, "  {stage:<7} {layer:<16} {what}").ok();
    if let Some(message) = error["message"].as_str() {
        writeln!(out, "{:27}{message}", "").ok();
    }
    bounds.iter().for_each(|bound| reason(out, bound));
}

fn reason(out: &mut String, BoundOf { cause, rows }: &BoundOf) {
    let (kind, indent) = (cause.kind, "");
    let (name, status, code) = (kind.as_str(), kind.http_status(), kind.code());
    writeln!(out, "{indent:27}{name} ({status}, {code}): {}", cause.when).ok();
    if !cause.state.is_empty() {
        writeln!(out, "{indent:29}depends on {}", cause.state).ok();
    }
    for (Row { key, value, origin }, measured) in rows {
        let has = measured.map_or_else(String::new, |measured| format!("; this has {measured}"));
        writeln!(out, "{indent:29}{key} = {value}{has}  ({origin})").ok();
    }
}

/// For programs.
pub(super) fn json(explained: &Explained) -> String {
    let Explained { listener, from, verdicts, end } = explained;
    let layers: Vec<_> = verdicts.iter().map(of_verdict).collect();
    let end = match end {
        End::Refused => json!({ "end": "refused" }),
        End::Elsewhere(what) => json!({ "end": "elsewhere", "where": what }),
        End::Answered { status, message } => {
            json!({ "end": "answered", "http_status": status, "message": message })
        }
    };
    let all =
        json!({ "listener": listener, "from": from.to_string(), "layers": layers, "then": end });
    format!("{all:#}\n")
}

fn of_verdict(verdict: &Verdict) -> Value {
    let Verdict { layer, stage, mode, decision, error, bounds } = verdict;
    let bounds: Vec<_> = bounds.iter().map(of_bound).collect();
    json!({ "layer": layer, "stage": stage, "mode": mode, "decision": decision.as_str(), "error": error,
        "bounds": bounds })
}

fn of_bound(BoundOf { cause, rows }: &BoundOf) -> Value {
    let keys: Vec<_> = rows
        .iter()
        .map(|(Row { key, value, origin }, measured)| {
            json!({ "key": key, "value": value, "origin": origin.to_string(), "measured": measured })
        })
        .collect();
    json!({
        "refusal": cause.kind.as_str(),
        "http_status": cause.kind.http_status(),
        "code": cause.kind.code(),
        "scope": cause.scope,
        "when": cause.when,
        "depends_on": (!cause.state.is_empty()).then_some(cause.state),
        "retry_after": (!cause.wait.is_empty()).then_some(cause.wait),
        "keys": keys,
    })
}
