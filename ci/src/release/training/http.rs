//! Clients over HTTP/1.1 that call as fast as they are answered.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;

use load::tally::Expected;
use load::wire::{self, Tool};
use load::{Era, Load, Pace, Tally, Target, Workload};

use super::Amount;
use crate::Outcome;
use crate::bench::{Process, serve_with};

/// Clients at once.
const CONNECTIONS: usize = 32;
/// Bytes of text: a short answer, and one that fills a page.
pub(super) const SIZES: [usize; 2] = [64, 4096];

/// Has `body` speak to the program under a profile of this training, and ends it in good order: only then does it say
/// what it counted.
pub(super) fn serve(
    program: &Path,
    profile: &str,
    body: impl FnOnce(&Target) -> Outcome,
) -> Outcome {
    let process = Process::start(&argv(program, profile), None)?;
    body(process.target()).map_err(|error| format!("{profile}: {error}"))?;
    let status = process.terminate()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{profile}: the program ended with {status}"))
    }
}

/// How the program is started with a profile of this training.
pub(super) fn argv(program: &Path, profile: &str) -> Vec<String> {
    serve_with(program, &format!("ci/release/{profile}.toml"))
}

/// Echoes of both sizes in both eras; all must be accepted.
pub(super) fn loads(target: &Target, amount: Amount) -> Outcome {
    for era in [Era::Session, Era::Modern] {
        for bytes in SIZES {
            let tally = echo(target, era, bytes, amount)?;
            if tally.accepted == 0 || tally.failed() + tally.refused() > 0 {
                return Err(format!("{} of {bytes} B: {}", era.name(), said(&tally)));
            }
        }
    }
    Ok(())
}

/// More echoes than the quota allows: some must be accepted, and most refused.
pub(super) fn refusals(target: &Target, amount: Amount) -> Outcome {
    for era in [Era::Session, Era::Modern] {
        let tally = echo(target, era, SIZES[0], amount)?;
        if tally.failed() > 0 || tally.refused() == 0 {
            return Err(format!("{}: {}", era.name(), said(&tally)));
        }
    }
    Ok(())
}

fn echo(target: &Target, era: Era, bytes: usize, amount: Amount) -> Result<Tally, String> {
    let text = wire::text(bytes);
    let tool = Tool::echo(&text);
    let workload = Workload {
        era,
        tool: &tool,
        expected: Expected::Echo(&text),
        connections: CONNECTIONS,
        addresses: 1,
        first_address: Ipv4Addr::LOCALHOST,
        calls_per_connection: Some(1_000),
    };
    let mut load = Load::open(target, workload)?;
    let tally = load.run(Pace::Closed, amount.load, &mut |_| ControlFlow::Continue(()))?;
    load.close();
    Ok(tally)
}

fn said(tally: &Tally) -> String {
    format!(
        "{} accepted, {} refused, {} failed, first with {}",
        tally.accepted,
        tally.refused(),
        tally.failed(),
        tally.first_error.as_deref().unwrap_or("nothing")
    )
}
