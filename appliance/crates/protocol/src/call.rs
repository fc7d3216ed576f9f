//! One MCP request on its way through the stack.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use bytes::Bytes;

use crate::bound::Permit;
use crate::capabilities::ClientCapabilities;
use crate::envelope::{Envelope, Id, MetaKey, Param};
use crate::event::{EventSender, LogLevel};
use crate::json::{Kind, Raw};
use crate::lease::Lease;
use crate::method::Method;
use crate::principal::Principal;
use crate::reply::Fault;
use crate::revision::Revision;
use crate::target::Target;

/// One MCP request going in. One pointer, since every layer hands it on by value.
#[derive(Debug)]
pub struct Call(Box<Particulars>);

/// The checked message, and what the transport knows of its sender.
#[derive(Debug)]
pub struct Particulars {
    /// The message; its text is borrowed by every later step and copied by none.
    pub envelope: Envelope,
    /// The revision that the session negotiated (legacy) or the request declared (modern).
    pub revision: Revision,
    /// What the client can do, as declared for the session (legacy) or this request (modern).
    pub client: ClientCapabilities,
    /// Who it is counted against.
    pub principal: Principal,
    /// When it came in: the one reading of the clock that every layer goes by.
    pub begun: Instant,
    /// Lowest severity that the client wants to hear of; `None` for nothing at all.
    pub log_level: Option<LogLevel>,
    /// Where progress and messages go; `None` when the client cannot or does not want to hear any.
    pub events: Option<EventSender>,
    /// When the answer is due. Set by the `timeout` layer; lowered by a plugin's own limit.
    pub deadline: Option<Instant>,
    /// 0 for the first attempt, n for the n-th round of answers.
    pub round: u16,
    /// The client's answers of this round: a JSON object, name to result.
    pub answers: Option<Bytes>,
    /// What the plugin gave with its question: its own bytes, authenticated.
    pub state: Option<Bytes>,
    /// Whether the call runs as a task: its deadline is its own, the house keeps its state, and nobody hears of its
    /// progress.
    pub is_task: bool,
    /// Which item of which plugin it is for, found before the layers; `None` when no plugin answers it.
    pub target: Option<Target>,
    /// The place that it was lent; whoever runs it keeps it until the work has ended.
    pub lease: Option<Lease>,
    /// The permit that it waited for; `None` for a call that has yet to ask for one.
    pub permit: Option<Permit>,
}

impl Call {
    /// A first-round call without events or deadline.
    #[must_use]
    pub fn new(
        envelope: Envelope,
        revision: Revision,
        client: ClientCapabilities,
        principal: Principal,
    ) -> Self {
        Self(Box::new(Particulars {
            envelope,
            revision,
            client,
            principal,
            begun: Instant::now(),
            log_level: None,
            events: None,
            deadline: None,
            round: 0,
            answers: None,
            state: None,
            is_task: false,
            target: None,
            lease: None,
            permit: None,
        }))
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.envelope.method()
    }

    /// The request id. Every call has one: notifications do not go through the stack.
    #[must_use]
    pub fn id(&self) -> Id {
        self.envelope.id().unwrap_or_default()
    }

    /// The answers that the client brings (`inputResponses`), names to results; `None` when it brings none.
    ///
    /// # Errors
    /// -32602 when they are anything but an object of objects.
    pub fn input_responses(&self) -> Result<Option<Raw<'_>>, Fault> {
        let Some(answers) = self.envelope.param(Param::InputResponses) else { return Ok(None) };
        let is_map = answers.kind() == Kind::Object
            && answers.members().all(|(_, answer)| answer.kind() == Kind::Object);
        if is_map {
            Ok(Some(answers))
        } else {
            Err(Fault::invalid_params("inputResponses must be an object of result objects"))
        }
    }

    /// Whether the client wants progress.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        !self.is_task && self.envelope.meta(MetaKey::ProgressToken).is_some()
    }
}

impl Deref for Call {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        &self.0
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Particulars {
        &mut self.0
    }
}

/// A call that knows what it is for: a target of one generation, good for no other.
#[derive(Debug)]
pub struct Aimed(Call);

impl Aimed {
    /// Sets what `call` is for.
    #[must_use]
    pub fn at(target: Option<Target>, mut call: Call) -> Self {
        call.target = target;
        Self(call)
    }

    /// The call.
    #[must_use]
    pub fn into_call(self) -> Call {
        self.0
    }
}

impl Deref for Aimed {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}
