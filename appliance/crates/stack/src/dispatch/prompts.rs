//! `prompts/get` and `completion/complete`.

use std::borrow::Cow;

use plugin_host::Item;
use protocol::json::Raw;
use protocol::{Call, Fault, Param, Target, TargetItem};

use super::Found;
use crate::catalogue::Catalogue;

pub(super) fn find<'c>(catalogue: &'c Catalogue, call: &Call) -> Result<Found<'c>, Fault> {
    if !catalogue.identity().has_prompts() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let found = match call.target {
        Some(Target { plugin, item: TargetItem::Prompt(number), .. }) => {
            catalogue.plugin(plugin).zip(catalogue.prompt(number))
        }
        _ => None,
    };
    let Some((plugin, prompt)) = found else {
        let name = call.envelope.param(Param::Name).and_then(Raw::as_str);
        let name = name.ok_or_else(|| Fault::invalid_params("name must be a string"))?;
        return Err(Fault::invalid_params(format!("Unknown prompt: {name}")));
    };
    prompt.arguments.check(call.envelope.param(Param::Arguments)).map_err(Fault::invalid_params)?;
    Ok(Found { plugin, item: Item::Prompt(prompt.place.index) })
}

/// The plugin that owns what is to be completed.
pub(super) fn find_completer<'c>(
    catalogue: &'c Catalogue,
    call: &Call,
) -> Result<Found<'c>, Fault> {
    if !catalogue.identity().has_completions() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let argument = call.envelope.param(Param::Argument);
    if member(argument, "name").is_none() || member(argument, "value").is_none() {
        return Err(Fault::invalid_params(
            "argument must be an object with the strings name and value",
        ));
    }
    let found = match call.target {
        Some(Target { plugin, item: TargetItem::Completer, .. }) => catalogue.plugin(plugin),
        _ => None,
    };
    match found {
        Some(plugin) => Ok(Found { plugin, item: Item::Complete }),
        None => Err(no_completer(call.envelope.param(Param::Ref))),
    }
}

/// Why nothing completes what `reference` names.
fn no_completer(reference: Option<Raw<'_>>) -> Fault {
    let (kind, key) = match member(reference, "type").as_deref() {
        Some("ref/prompt") => ("prompt", "name"),
        Some("ref/resource") => ("resource", "uri"),
        _ => return Fault::invalid_params("ref.type must be ref/prompt or ref/resource"),
    };
    match member(reference, key) {
        Some(named) => Fault::invalid_params(format!("Nothing completes the {kind} {named}")),
        None => Fault::invalid_params(format!("ref.{key} must be a string")),
    }
}

fn member<'m>(raw: Option<Raw<'m>>, key: &str) -> Option<Cow<'m, str>> {
    raw?.get(key)?.as_str()
}
