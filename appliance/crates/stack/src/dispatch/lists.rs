//! Lists: a page of the catalogue.

use protocol::json::Raw;
use protocol::{Call, Content, Fault, Method, Outcome, Param};

use crate::catalogue::Catalogue;

pub(super) const fn is_list(method: Method) -> bool {
    matches!(
        method,
        Method::ToolsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::PromptsList
    )
}

/// One page. A list whose feature nobody offers is a method that does not exist (capability gates, all revisions).
pub(super) fn list(catalogue: &Catalogue, call: &Call) -> Result<Outcome, Fault> {
    let method = call.method();
    let identity = catalogue.identity();
    let is_offered = match method {
        Method::ToolsList => identity.has_tools(),
        Method::PromptsList => identity.has_prompts(),
        _ => identity.has_resources(),
    };
    if !is_offered {
        return Err(Fault::method_not_found(method.as_str()));
    }
    let cursor = match call.envelope.param(Param::Cursor) {
        None => None,
        Some(raw) => {
            let text = Raw::as_str(raw);
            Some(text.ok_or_else(|| Fault::invalid_params("cursor must be a string"))?)
        }
    };
    let page = catalogue.pages().page(method, call.revision.era(), cursor.as_deref());
    let page = page.ok_or_else(|| {
        Fault::invalid_params(
            "This cursor is not valid here, or no longer; start again without one.",
        )
    })?;
    Ok(Outcome::Done(Content::Ready(page)))
}
