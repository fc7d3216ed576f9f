//! S4: ids of requests at the edges of what a number is.

use std::time::Duration;

use load::wire::{self, Era, Tool};
use load::{Client, Target, answer};

use crate::stage::appliance::Setup;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::peer::Peer;

/// Ids of every kind.
pub(super) const S04: Scenario = Scenario {
    name: "s04",
    title: "ids of requests at the edges, in both eras",
    left: "a counter of our own requests that begins near 2^53: nothing outside can set it, so a unit has to prove it",
    play,
};

/// Ids that must come back as they were written.
fn legal() -> Vec<String> {
    let mut ids: Vec<_> =
        ["0", "-1", "1", "9007199254740991", "-9007199254740991", "\"\"", "\"0\""]
            .map(str::to_owned)
            .into();
    ids.push(format!("\"{}\"", "i".repeat(128)));
    ids.push("\"\\u00e4 \\\"x\\\" \\\\ \\/\"".to_owned());
    ids
}

/// Ids that would not come back as they were written, or are none.
fn illegal() -> Vec<String> {
    let mut ids: Vec<_> = [
        "9007199254740992",
        "-9007199254740992",
        "9223372036854775807",
        "18446744073709551616",
        "1e400",
        "1.5",
        "true",
        "[1]",
        "{\"a\":1}",
    ]
    .map(str::to_owned)
    .into();
    ids.push(format!("\"{}\"", "i".repeat(129)));
    ids.push("1,\"id\":2".to_owned());
    ids
}

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let rules = Rules::USUAL.keeping(&["\"sessions\""]);
    stage.with(&Setup::default(), rules, |appliance, findings| {
        let target = appliance.target();
        let session = Client::connect(target)?.open_session()?;
        let (mut echoed, mut refused, mut asked_legal, mut asked_illegal) = (0, 0, 0, 0);
        let mut wrong = Vec::new();
        for era in [Era::Session, Era::Modern] {
            for id in legal() {
                asked_legal += 1;
                let body = ask(target, era, &session, &id)?;
                let is_echoed =
                    body.contains(&format!("\"id\":{id}")) && body.contains("\"result\"");
                echoed += u64::from(is_echoed);
                if !is_echoed {
                    wrong.push(format!("{id}: {body}"));
                }
            }
            for id in illegal() {
                asked_illegal += 1;
                let body = ask(target, era, &session, &id)?;
                let is_refused = body.contains("-32600") || body.contains("-32700");
                refused += u64::from(is_refused && !body.contains("\"result\""));
                if !is_refused {
                    wrong.push(format!("{id}: {body}"));
                }
            }
        }
        findings.exactly("legal ids that came back byte for byte", echoed, asked_legal);
        findings.exactly("illegal ids that were refused", refused, asked_illegal);
        if !wrong.is_empty() {
            findings.note(wrong.join("; "));
        }
        Ok(())
    })
}

/// The body of the answer to a call with this id.
fn ask(target: &Target, era: Era, session: &str, id: &str) -> Result<String, String> {
    let tool = Tool::echo("x");
    let message = wire::call_message(era, 1, &tool).to_string();
    let message = message.replacen("\"id\":1", &format!("\"id\":{id}"), 1);
    let lines: &[(&str, &str)] = if era == Era::Modern {
        &[
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "echo"),
        ]
    } else {
        &[("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session)]
    };
    let mut peer = Peer::connect(target, None)?;
    peer.send(&wire::post_text(target, lines, &message));
    match peer.answer(Duration::from_secs(20)) {
        crate::stress::peer::Reply::Answer { bytes, .. } => {
            Ok(String::from_utf8_lossy(&answer::body(&bytes)?).into_owned())
        }
        other => Err(format!("no answer to id {id}: {other:?}")),
    }
}
