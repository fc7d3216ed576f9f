//! `resources/read`.

use protocol::json::Raw;
use protocol::{Call, Fault, Param, Target};

use super::Found;
use crate::catalogue::{Catalogue, URI_BYTES_MAX};

pub(super) fn find<'c>(catalogue: &'c Catalogue, call: &Call) -> Result<Found<'c>, Fault> {
    if !catalogue.identity().has_resources() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let uri = call.envelope.param(Param::Uri).and_then(Raw::as_str);
    let uri = uri.ok_or_else(|| Fault::invalid_params("uri must be a string"))?;
    if uri.len() > URI_BYTES_MAX {
        return Err(Fault::invalid_params(format!("uri is longer than {URI_BYTES_MAX} bytes")));
    }
    let found = call.target.and_then(|Target { plugin, item, .. }| {
        catalogue.plugin(plugin).zip(catalogue.reading(item, &uri))
    });
    let (plugin, item) =
        found.ok_or_else(|| Fault::resource_not_found(call.revision.era(), &uri))?;
    Ok(Found { plugin, item })
}
