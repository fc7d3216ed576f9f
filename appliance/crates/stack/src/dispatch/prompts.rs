//! `prompts/get` and `completion/complete`.

use std::sync::Arc;

use plugin_host::{Item, Plugin};
use protocol::json::Raw;
use protocol::{Call, Fault, Param};

use super::Found;
use crate::catalogue::Catalogue;

pub(super) fn find<'c>(catalogue: &'c Catalogue, call: &Call) -> Result<Found<'c>, Fault> {
    if !catalogue.identity().has_prompts() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let name = call.envelope.param(Param::Name).and_then(Raw::as_str);
    let name = name.ok_or_else(|| Fault::invalid_params("name must be a string"))?;
    let prompt = catalogue
        .prompt(&name)
        .ok_or_else(|| Fault::invalid_params(format!("Unknown prompt: {name}")))?;
    prompt.arguments.check(call.envelope.param(Param::Arguments)).map_err(Fault::invalid_params)?;
    Ok(Found { plugin: &prompt.plugin, item: Item::Prompt(prompt.index) })
}

/// The plugin that owns what is to be completed.
pub(super) fn find_completer<'c>(
    catalogue: &'c Catalogue,
    call: &Call,
) -> Result<&'c Arc<Plugin>, Fault> {
    if !catalogue.identity().has_completions() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let member = |raw: Option<Raw<'_>>, key: &str| raw?.get(key)?.as_str().map(String::from);
    let argument = call.envelope.param(Param::Argument);
    if member(argument, "name").is_none() || member(argument, "value").is_none() {
        return Err(Fault::invalid_params(
            "argument must be an object with the strings name and value",
        ));
    }
    let reference = call.envelope.param(Param::Ref);
    let unknown = |what: &str| Fault::invalid_params(format!("Nothing completes {what}"));
    match member(reference, "type").as_deref() {
        Some("ref/prompt") => {
            let name = member(reference, "name")
                .ok_or_else(|| Fault::invalid_params("ref.name must be a string"))?;
            catalogue.prompt_completer(&name).ok_or_else(|| unknown(&format!("the prompt {name}")))
        }
        Some("ref/resource") => {
            let uri = member(reference, "uri")
                .ok_or_else(|| Fault::invalid_params("ref.uri must be a string"))?;
            catalogue
                .template_completer(&uri)
                .ok_or_else(|| unknown(&format!("the resource {uri}")))
        }
        _ => Err(Fault::invalid_params("ref.type must be ref/prompt or ref/resource")),
    }
}
