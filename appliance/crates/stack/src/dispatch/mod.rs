//! The innermost service: has a call answered by what it is for.

mod lists;
mod prompts;
mod questions;
mod resources;
mod rounds;
mod tools;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use plugin_host::{Invocation, Item, PendingCall, Plugin};
use protocol::{Call, ClientCapabilities, Content, Era, Fault, Method, Outcome, Refusal, Reply};
use tower_service::Service;

use crate::catalogue::Catalogue;
use crate::seal::{Binding, Seal};

/// Has calls answered.
#[derive(Clone)]
pub struct Dispatch {
    catalogue: Arc<Catalogue>,
    seal: Arc<Seal>,
}

/// A call that found its plugin.
struct Found<'c> {
    plugin: &'c Arc<Plugin>,
    item: Item,
}

impl Dispatch {
    pub(crate) fn new(catalogue: Arc<Catalogue>, seal: Arc<Seal>) -> Self {
        Self { catalogue, seal }
    }

    fn start(&self, call: Call) -> Dispatched {
        let outcome = match call.method() {
            Method::Discover => {
                Ok(Outcome::Done(Content::Ready(self.catalogue.identity().discover())))
            }
            method if lists::is_list(method) => lists::list(&self.catalogue, &call),
            Method::ToolsCall => match tools::find(&self.catalogue, &call) {
                Ok(found) => return self.invoke(found, call),
                Err(outcome) => Ok(outcome),
            },
            Method::PromptsGet => match prompts::find(&self.catalogue, &call) {
                Ok(found) => return self.invoke(found, call),
                Err(fault) => Err(fault),
            },
            Method::ResourcesRead => match resources::find(&self.catalogue, &call) {
                Ok(found) => return self.invoke(found, call),
                Err(fault) => Err(fault),
            },
            Method::Complete => match prompts::find_completer(&self.catalogue, &call) {
                Ok(found) => return self.invoke(found, call),
                Err(fault) => Err(fault),
            },
            _ => Err(Fault::method_not_found(&call.envelope.method_name())),
        };
        Dispatched::ready(Ok(outcome.unwrap_or_else(Outcome::Failed)))
    }

    fn invoke(&self, Found { plugin, item }: Found<'_>, mut call: Call) -> Dispatched {
        // In later rounds the house itself brings the answers.
        if call.revision.era() == Era::Modern
            && call.round == 0
            && let Err(fault) = rounds::open(&mut call, &self.seal)
        {
            return Dispatched::ready(Ok(Outcome::Failed(fault)));
        }
        match plugin.call(item, call, |call| Asker::new(call, &self.seal)) {
            Invocation::Ready(result) => Dispatched::ready(result),
            Invocation::Asks(input, asker) => {
                Dispatched::ready(Ok(questions::settle(&asker, input)))
            }
            Invocation::Pending(pending, asker) => {
                Dispatched::Pending { pending, asker: Some(Box::new(asker)) }
            }
        }
    }
}

impl Service<Call> for &Dispatch {
    type Response = Reply;
    type Error = Refusal;
    type Future = Dispatched;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Dispatched {
        self.start(call)
    }
}

/// What must be known of a call when its plugin asks the client something.
pub struct Asker {
    client: ClientCapabilities,
    era: Era,
    method: Method,
    round: u16,
    is_task: bool,
    binding: Binding,
    seal: Arc<Seal>,
}

impl Asker {
    fn new(call: &Call, seal: &Arc<Seal>) -> Self {
        Self {
            client: call.client,
            era: call.revision.era(),
            method: call.method(),
            round: call.round,
            is_task: call.is_task,
            binding: Binding::of(call),
            seal: Arc::clone(seal),
        }
    }

    /// Lets a question out only in the form that this client can answer.
    fn settle(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::InputRequired(input) => questions::settle(&self, input),
            outcome @ (Outcome::Done(_) | Outcome::Failed(_)) => outcome,
        }
    }
}

pin_project_lite::pin_project! {
    /// An answer that is there, or a plugin at work.
    #[project = Project]
    #[allow(missing_docs)] // Generated accessors.
    pub enum Dispatched {
        Ready { result: Option<Result<Outcome, Refusal>> },
        Pending { #[pin] pending: PendingCall, asker: Option<Box<Asker>> },
    }
}

impl Dispatched {
    fn ready(result: Result<Outcome, Refusal>) -> Self {
        Self::Ready { result: Some(result) }
    }
}

impl Future for Dispatched {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.project() {
            Project::Ready { result } => {
                result.take().expect("a future is not polled after it is ready")
            }
            Project::Pending { pending, asker } => {
                let result = ready!(pending.poll(cx));
                let asker = asker.take().expect("a future is not polled after it is ready");
                result.map(|outcome| asker.settle(outcome))
            }
        };
        Poll::Ready(result.map(Reply::from))
    }
}
