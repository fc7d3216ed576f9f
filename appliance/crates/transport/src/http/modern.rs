//! 2026-07-28 over HTTP: every request stands alone, and its stream is its life.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode};
use plugin_host::HeaderParam;
use protocol::encode::ReplyTo;
use protocol::json::Raw;
use protocol::{
    Call, Envelope, Event, EventReceiver, Fault, Held, MetaKey, Method, Param, Refusal, Reply,
    Revision, Shape,
};
use runtime::{Generation, Tasks};

use super::step::Step;
use super::{Admitted, HttpEndpoint, Mirrors, answer, headers, not_a_request};
use crate::body::{Messages, ReplyBody};
use crate::modern::{self, Declared};
use crate::outcome::{self, EVENTS_MAX};
use crate::session::sse;
use crate::task;

type Running = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

impl HttpEndpoint {
    /// Goes on with a message whose head and body were judged.
    pub(super) fn modern(
        self: &Arc<Self>,
        admitted: &mut Admitted,
        declared: Result<Declared, Fault>,
        envelope: Envelope,
    ) -> Step {
        let declared = match declared {
            Ok(declared) => declared,
            Err(fault) => {
                return answer::fault(&envelope.id().unwrap_or_default(), &fault).into();
            }
        };
        if envelope.shape() == Shape::Notification {
            // A modern client has nothing to notify of over HTTP: it cancels by closing its stream.
            return answer::status(StatusCode::ACCEPTED).into();
        }
        if envelope.method() == Method::Listen {
            return Arc::clone(self).listen(admitted.take(), &envelope).into();
        }
        let call = declared.call(envelope, admitted.principal);
        if task::concerns(&admitted.generation, &call) {
            return Step::later(Arc::clone(self).of_tasks(admitted.take(), call));
        }
        if call.wants_progress() || call.log_level.is_some() {
            return Step::later(Arc::clone(self).run_with_events(admitted.take(), call));
        }
        let call = admitted.generation.stack().aim(call);
        Step::call(admitted, call)
    }

    /// Answers at once: what a task has to say comes when it is asked.
    async fn of_tasks(self: Arc<Self>, mut admitted: Admitted, call: Call) -> Response<ReplyBody> {
        let to = outcome::reply_to(&call);
        let result = task::answer(&self.endpoint.tasks, &admitted.generation, &call).await;
        let Admitted { generation, headers, held, .. } = &mut admitted;
        answer::once(generation, &to, held, headers, result)
    }

    /// Answers with JSON unless the call says something before it ends.
    async fn run_with_events(
        self: Arc<Self>,
        admitted: Admitted,
        mut call: Call,
    ) -> Response<ReplyBody> {
        let Admitted { generation, principal, mut headers, mut held, heartbeat } = admitted;
        held.add(generation.in_flight().take_anyway().0);
        let to = outcome::reply_to(&call);
        let (sender, mut events) = tokio::sync::mpsc::channel(EVENTS_MAX);
        call.events = Some(sender);
        let token = call.envelope.meta(MetaKey::ProgressToken);
        let token = token.map(|token| call.envelope.share(token)).unwrap_or_default();
        let mut running: Running = {
            let generation = Arc::clone(&generation);
            Box::pin(async move { generation.stack().call(call).await })
        };
        let first = tokio::select! {
            biased;
            Some(event) = events.recv() => event,
            result = &mut running => {
                // What was said in the same breath as the answer still goes out before it.
                match events.try_recv() {
                    Err(_) => {
                        return answer::once(&generation, &to, &mut held, &mut headers, result);
                    },
                    Ok(event) => {
                        running = Box::pin(std::future::ready(result));
                        event
                    }
                }
            }
        };
        match self.endpoint.take_stream() {
            Ok(permit) => held.add(permit),
            Err(refusal) => {
                let refusal = refusal.for_principal(principal);
                return answer::refusal(&to.id, &refusal, &generation);
            }
        }
        let state = Speaking {
            running: Some(running),
            events,
            token,
            to,
            generation,
            held: Held::default(),
        };
        answer::events(state.messages(first, heartbeat), held)
    }
}

/// What a message declares, once head and body agree.
pub(super) fn judge(
    tasks: &Tasks,
    admitted: &Admitted,
    head: &Mirrors<'_>,
    envelope: &Envelope,
) -> Result<Declared, Fault> {
    if let Some(fault) = not_a_request(envelope) {
        return Err(fault);
    }
    let catalogue = admitted.generation.stack().catalogue();
    check_method_mirrored(head, envelope)?;
    task::check(tasks, &admitted.generation, envelope)?;
    headers::check_name(head, envelope)?;
    check_params_mirrored(&admitted.headers, envelope, |tool| catalogue.tool_headers(tool))?;
    modern::declared(envelope)
}

/// Checks that the head says which revision and which method the body speaks, and that they exist.
fn check_method_mirrored(head: &Mirrors<'_>, envelope: &Envelope) -> Result<(), Fault> {
    let version = headers::check_version_present(head)?;
    let declared_version = modern::declared_version(envelope)?;
    headers::check_version_equal(version, &declared_version)?;
    modern::check_version(&declared_version)?;
    headers::check_method(head, envelope)?;
    modern::check_method(envelope)
}

/// Checks that the head repeats the arguments that a tool wants as headers, its `tool_headers`.
fn check_params_mirrored<'d>(
    headers: &HeaderMap,
    envelope: &Envelope,
    tool_headers: impl FnOnce(&str) -> &'d [HeaderParam],
) -> Result<(), Fault> {
    if envelope.method() == Method::ToolsCall
        && let Some(name) = envelope.param(Param::Name).and_then(Raw::as_str)
    {
        headers::check_params(headers, envelope, tool_headers(&name))?;
    }
    Ok(())
}

/// Whether the headers mirror the body, for a tool with these `tool_headers`.
#[cfg(fuzzing)]
pub(crate) fn mirrors(
    headers: &HeaderMap,
    envelope: &Envelope,
    tool_headers: &[HeaderParam],
) -> bool {
    let head = Mirrors::of(headers);
    check_method_mirrored(&head, envelope).is_ok()
        && headers::check_name(&head, envelope).is_ok()
        && check_params_mirrored(headers, envelope, |_| tool_headers).is_ok()
}

/// A call that has begun to speak. It runs while its body is read, and ends with it.
struct Speaking {
    running: Option<Running>,
    events: EventReceiver,
    token: Bytes,
    to: ReplyTo,
    generation: Arc<Generation>,
    held: Held,
}

impl Speaking {
    fn messages(self, first: Event, heartbeat: std::time::Duration) -> Messages {
        Box::pin(stream::unfold((self, Some(first)), move |(mut speaking, first)| async move {
            let message = match first {
                Some(event) => speaking.event(&event),
                None => None,
            };
            if let Some(message) = message {
                return Some((sse::event(None, None, &message), (speaking, None)));
            }
            speaking.next(heartbeat).await.map(|bytes| (bytes, (speaking, None)))
        }))
    }

    async fn next(&mut self, heartbeat: std::time::Duration) -> Option<Bytes> {
        loop {
            let running = self.running.as_mut()?;
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => {
                    if let Some(message) = self.event(&event) {
                        return Some(sse::event(None, None, &message));
                    }
                }
                result = running => {
                    self.running = None;
                    return Some(self.last(result));
                }
                () = tokio::time::sleep(heartbeat) => return Some(Bytes::from_static(sse::COMMENT)),
            }
        }
    }

    fn event(&self, event: &Event) -> Option<Bytes> {
        outcome::event_message(event, &self.token, Revision::MODERN)
    }

    /// The response, with everything that was said before it.
    fn last(&mut self, result: Result<Reply, Refusal>) -> Bytes {
        let mut out = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let Some(message) = self.event(&event) {
                out.extend_from_slice(&sse::event(None, None, &message));
            }
        }
        let (response, held) = outcome::response(&self.generation, &self.to, result);
        self.held.absorb(held);
        out.extend_from_slice(&sse::event(None, None, &response));
        out.into()
    }
}
