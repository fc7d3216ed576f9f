//! S17: many writers of sessions.

use std::collections::BTreeSet;

use load::wire::{self, Era, Tool};
use load::{Client, answer};

use crate::stage::appliance::Setup;
use crate::stage::clients::together;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Sessions under many writers.
pub(super) const S17: Scenario = Scenario {
    name: "s17",
    title: "sessions begun, used and ended by many at once",
    left: "kills at any moment and what is there afterwards, once sessions outlive a process",
    play,
};

/// What one writer saw.
#[derive(Default)]
struct Seen {
    ids: Vec<String>,
    operations: u64,
    wrong: Vec<String>,
}

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (writers, sessions, calls) = stage.pick((8, 60, 5), (64, 500, 30));
    let setup = Setup::of(&["session.sessions_max=50000"]);
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let target = appliance.target();
        let all = together(writers, |number| {
            let mut seen = Seen::default();
            let mut client = Client::connect(target)?;
            for turn in 0..sessions {
                let session = client.open_session()?;
                for call in 0..calls {
                    let text = format!("{number} {turn} {call}");
                    seen.operations += 1;
                    let tool = Tool::echo(&text);
                    let request = wire::call(target, Era::Session, Some(&session), &tool, false);
                    let answer = client.exchange(&request)?;
                    let message = answer::message(&answer::body(&answer.bytes)?);
                    if !message.is_some_and(|message| answer::echoes(&message, &text)) {
                        seen.wrong.push(format!("a call got status {}", answer.status));
                    }
                }
                // Ended by two at once: that is counted once, and nobody finds it afterwards.
                let mut other = Client::connect(target)?;
                let delete = wire::delete(target, &session);
                other.send(&delete)?;
                let first = client.exchange(&delete)?.status;
                let second = other.receive()?.status;
                let is_ended = [204, 404].contains(&first) && [204, 404].contains(&second);
                let request =
                    wire::call(target, Era::Session, Some(&session), &Tool::echo("x"), false);
                let afterwards = client.exchange(&request)?.status;
                if !is_ended || afterwards != 404 {
                    seen.wrong.push(format!("ended with {first} and {second}, then {afterwards}"));
                }
                seen.operations += 4;
                seen.ids.push(session);
            }
            Ok(seen)
        })?;
        let ids: BTreeSet<_> = all.iter().flat_map(|seen| &seen.ids).collect();
        let wrong: Vec<_> = all.iter().flat_map(|seen| &seen.wrong).collect();
        findings.show("operations", all.iter().map(|seen| seen.operations).sum::<u64>() as f64, "");
        findings.exactly(
            "sessions with an id of their own",
            ids.len() as u64,
            (writers * sessions) as u64,
        );
        let ended = appliance.metric_by_now("toolrack_sessions_ended_total{reason=\"client\"}")?;
        let begun = (writers * sessions) as u64;
        findings.exactly("sessions counted as ended", ended as u64, begun);
        findings.exactly("operations that went wrong", wrong.len() as u64, 0);
        wrong.into_iter().take(3).for_each(|said| findings.note(said.clone()));
        Ok(())
    })
}
