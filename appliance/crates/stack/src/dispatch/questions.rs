//! Lets a plugin's questions out: only those that this client can answer, with a sealed state.

use bytes::Bytes;
use protocol::json::{Kind, Limits, Raw, check, write_string};
use protocol::{
    CacheHint, ClientCapabilities, Content, Era, Fault, InputRequired, Method, Outcome,
};

use super::Asker;
use crate::seal::ROUNDS_MAX;

/// What the client hears: the questions, or why it cannot be asked.
pub(super) fn settle(asker: &Asker, input: InputRequired) -> Outcome {
    if !asker.method.may_ask() || asker.round >= ROUNDS_MAX {
        return Outcome::Failed(Fault::internal("The tool asks for more than it may."));
    }
    let Ok(questions) = check(&input.requests, &Limits::DEFAULT) else {
        return Outcome::Failed(Fault::internal("The tool asks for something malformed."));
    };
    let total = questions.members().count();
    let mut missing = ClientCapabilities::NONE;
    let mut kept = String::from("{");
    let mut kept_count = 0;
    for (name, question) in questions.members() {
        let lacking = needs(question).without(asker.client);
        if !lacking.is_empty() {
            missing = missing.with(lacking);
            continue;
        }
        if kept_count > 0 {
            kept.push(',');
        }
        kept_count += 1;
        write_string(&mut kept, &name);
        kept.push(':');
        kept.push_str(question.text());
    }
    kept.push('}');
    if kept_count == 0 && total > 0 {
        return cannot_ask(asker, missing);
    }
    let requests = if kept_count == total { input.requests } else { Bytes::from(kept) };
    if asker.era == Era::Legacy || asker.is_task {
        // The client never sees the state: who asks on its stream, or keeps the task, has it meanwhile.
        return Outcome::InputRequired(InputRequired { requests, state: input.state });
    }
    match input.state {
        None => Outcome::InputRequired(InputRequired { requests, state: None }),
        Some(state) => match asker.seal.seal(&asker.binding, asker.round, &state) {
            Some(sealed) => {
                let state = Some(Bytes::from(sealed));
                Outcome::InputRequired(InputRequired { requests, state })
            }
            None => Outcome::Failed(Fault::internal("No random bytes to seal the state with.")),
        },
    }
}

/// What a client must have declared to be asked `question`.
fn needs(question: Raw<'_>) -> ClientCapabilities {
    let params = question.get("params");
    let member = |key| params.and_then(|params| params.get(key));
    match question.get("method").and_then(Raw::as_str).as_deref() {
        Some("elicitation/create") => match member("mode").and_then(Raw::as_str).as_deref() {
            Some("url") => ClientCapabilities::ELICITATION_URL,
            _ => ClientCapabilities::ELICITATION_FORM,
        },
        Some("sampling/createMessage") => {
            let uses_tools = member("tools").is_some_and(|tools| tools.kind() != Kind::Null);
            if uses_tools {
                ClientCapabilities::SAMPLING.with(ClientCapabilities::SAMPLING_TOOLS)
            } else {
                ClientCapabilities::SAMPLING
            }
        }
        _ => ClientCapabilities::ROOTS,
    }
}

fn cannot_ask(asker: &Asker, missing: ClientCapabilities) -> Outcome {
    let message = "This call needs something of the client that it did not declare.";
    match (asker.era, asker.method) {
        (Era::Modern, _) => Outcome::Failed(Fault::missing_capability(message, missing)),
        (Era::Legacy, Method::ToolsCall) => Outcome::Done(Content::Text {
            text: Bytes::from(format!("{message} Needed: {}", missing.to_json())),
            is_error: true,
            mime: None,
            cache: CacheHint::NONE,
        }),
        (Era::Legacy, _) => Outcome::Failed(Fault::internal(message)),
    }
}
