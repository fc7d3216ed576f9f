//! `tools/call`: the tool, and whether its arguments fit.

use bytes::Bytes;
use plugin_host::{Item, TaskSupport};
use protocol::json::{Kind, Raw};
use protocol::{
    CacheHint, Call, ClientCapabilities, Content, Era, Fault, Outcome, Param, Revision, Target,
    TargetItem,
};

use super::Found;
use crate::catalogue::Catalogue;

/// The tool of a call's target; an `Err` is the answer.
pub(super) fn find<'c>(catalogue: &'c Catalogue, call: &Call) -> Result<Found<'c>, Outcome> {
    if !catalogue.identity().has_tools() {
        return Err(Outcome::Failed(Fault::method_not_found(call.method().as_str())));
    }
    let invalid = |message: String| Outcome::Failed(Fault::invalid_params(message));
    let found = match call.target {
        Some(Target { plugin, item: TargetItem::Tool(number), .. }) => {
            catalogue.plugin(plugin).zip(catalogue.tool(number))
        }
        _ => None,
    };
    let Some((plugin, tool)) = found else {
        let name = call.envelope.param(Param::Name).and_then(Raw::as_str);
        let name = name.ok_or_else(|| invalid("name must be a string".to_owned()))?;
        return Err(invalid(format!("Unknown tool: {name}")));
    };
    if tool.task == TaskSupport::Required && !call.is_task {
        check_knows_tasks(call)?;
    }
    let arguments = call.envelope.param(Param::Arguments);
    if arguments.is_some_and(|arguments| arguments.kind() != Kind::Object) {
        return Err(invalid("arguments must be an object".to_owned()));
    }
    if let Some(checker) = &tool.arguments {
        checker
            .check(arguments.map_or("{}", Raw::text))
            .map_err(|what| misfit(call.revision, what))?;
    }
    Ok(Found { plugin, item: Item::Tool(tool.place.index) })
}

/// Whether the client could be given a task. One that could and is not is asked something first.
fn check_knows_tasks(call: &Call) -> Result<(), Outcome> {
    let message = "This tool only runs as a task.";
    match call.revision.era() {
        Era::Modern if call.client.has(ClientCapabilities::TASKS) => Ok(()),
        Era::Modern => {
            Err(Outcome::Failed(Fault::missing_capability(message, ClientCapabilities::TASKS)))
        }
        Era::Legacy => Err(tool_error(format!("{message} It needs a client of 2026-07-28."))),
    }
}

/// Arguments that do not fit: for the model to read since 2025-11-25, a protocol error before.
fn misfit(revision: Revision, what: String) -> Outcome {
    if revision < Revision::V2025_11_25 {
        return Outcome::Failed(Fault::invalid_params(what));
    }
    tool_error(what)
}

/// A failure for the model to read.
fn tool_error(text: String) -> Outcome {
    Outcome::Done(Content::Text {
        text: Bytes::from(text),
        is_error: true,
        mime: None,
        cache: CacheHint::NONE,
    })
}
