//! What a request comes to once its body was read.
//!
//! One future serves every request, and every idle connection keeps room for it: whatever is rare is boxed, and no
//! step hands a whole call on through futures inside of futures.

use std::future::Future;
use std::pin::Pin;

use http::Response;
use protocol::encode::ReplyTo;
use protocol::{Aimed, Held};

use super::Admitted;
use crate::body::ReplyBody;
use crate::outcome;

/// What is left to do.
// The large one is the common one: boxing it would cost every call an allocation.
#[allow(clippy::large_enum_variant)]
pub(super) enum Step {
    /// Nothing.
    Answer(Response<ReplyBody>),
    /// To run a call that is answered in one piece, and dropped with its connection.
    Call(Once),
    /// Everything else that takes time.
    Later(Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>>),
}

/// A call that is answered in one piece.
pub(super) struct Once {
    pub(super) held: Held,
    pub(super) to: ReplyTo,
    pub(super) call: Aimed,
}

impl Step {
    pub(super) fn call(admitted: Admitted, call: Aimed) -> Self {
        let Admitted { generation, mut held, .. } = admitted;
        held.add(generation.in_flight().take_anyway().0);
        Self::Call(Once { to: outcome::reply_to(&call), held, call })
    }

    pub(super) fn later(
        future: impl Future<Output = Response<ReplyBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl From<Response<ReplyBody>> for Step {
    fn from(response: Response<ReplyBody>) -> Self {
        Self::Answer(response)
    }
}
