//! Reads the answers that a modern client sends back with its call (multi round-trip requests).

use protocol::json::Raw;
use protocol::{Call, Fault, Param};

use crate::seal::{Binding, ROUNDS_MAX, Seal};

/// Puts the client's answers and the plugin's state into `call`.
///
/// # Errors
/// When either is not what this server gave out, or not of its kind.
pub(super) fn open(call: &mut Call, seal: &Seal) -> Result<(), Fault> {
    if !call.method().may_ask() {
        return Ok(());
    }
    let answers = call.input_responses()?;
    let state = call.envelope.param(Param::RequestState);
    if answers.is_none() && state.is_none() {
        return Ok(());
    }
    let opened = match state {
        None => None,
        Some(raw) => {
            let text = Raw::as_str(raw);
            let opened = text.and_then(|text| seal.open(&Binding::of(call), &text));
            Some(opened.ok_or_else(|| {
                Fault::invalid_params("requestState is not valid for this call, or has expired; start again without it")
            })?)
        }
    };
    let answers = answers.map(|answers| call.envelope.share(answers));
    let (state, round) = match opened {
        None => (None, 0),
        Some((state, round)) => (Some(state), round),
    };
    if round >= ROUNDS_MAX {
        return Err(Fault::invalid_params("too many rounds; start again without requestState"));
    }
    call.round = round + 1;
    call.answers = answers;
    call.state = state;
    Ok(())
}
