//! `resources/read`.

use protocol::json::Raw;
use protocol::{Call, Fault, Param};

use crate::catalogue::{Catalogue, Reader};

/// Most bytes of a URI: what proxies in front of `https` resources accept.
const URI_BYTES_MAX: usize = 2_048;

pub(super) fn find(catalogue: &Catalogue, call: &Call) -> Result<Reader, Fault> {
    if !catalogue.identity().has_resources() {
        return Err(Fault::method_not_found(call.method().as_str()));
    }
    let uri = call.envelope.param(Param::Uri).and_then(Raw::as_str);
    let uri = uri.ok_or_else(|| Fault::invalid_params("uri must be a string"))?;
    if uri.len() > URI_BYTES_MAX {
        return Err(Fault::invalid_params(format!("uri is longer than {URI_BYTES_MAX} bytes")));
    }
    let era = call.revision.era();
    catalogue.reader(&uri).ok_or_else(|| Fault::resource_not_found(era, &uri))
}
