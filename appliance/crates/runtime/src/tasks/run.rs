//! Runs the call of a task, with all its rounds of questions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use protocol::encode::{self, ReplyTo};
use protocol::json::{Limits, check};
use protocol::{
    Call, ClientCapabilities, Content, Envelope, Fault, Id, Outcome, Permit, Principal, Refusal,
    RefusalKind, Reply, Revision,
};
use tokio::time::Instant;

use super::record::{End, NoRoom};
use super::task::Task;
use crate::generation::Generation;

/// A round at work.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

/// How long to leave a full house alone when it does not say for itself.
const PAUSE: Duration = Duration::from_secs(1);

/// What every round of a task's call needs.
pub(super) struct Run {
    generation: Arc<Generation>,
    envelope: Envelope,
    client: ClientCapabilities,
    principal: Principal,
    deadline: Instant,
    /// The generation has a call in flight until the task has ended.
    _in_flight: Permit,
}

impl Run {
    pub(super) fn new(generation: &Arc<Generation>, call: &Call, deadline: Instant) -> Self {
        Self {
            generation: Arc::clone(generation),
            envelope: call.envelope.detached(),
            client: call.client,
            principal: call.principal,
            deadline,
            _in_flight: generation.in_flight().take_anyway().0,
        }
    }

    /// Begins the first round. The inner `Ok` is a fault of the caller; both kinds of error mean that nothing has begun.
    pub(super) async fn begin(&self) -> Result<Running, Result<Fault, Refusal>> {
        let mut running = self.round(0, None, None);
        // Layers refuse, and arguments are judged, at the first look.
        let first = std::future::poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
        match first {
            Poll::Pending => Ok(running),
            Poll::Ready(Err(refusal)) => Err(Err(refusal)),
            Poll::Ready(Ok(Reply { outcome: Outcome::Failed(fault), .. }))
                if fault.http_status >= 400 =>
            {
                Err(Ok(fault))
            }
            Poll::Ready(result) => Ok(Box::pin(std::future::ready(result))),
        }
    }

    /// Runs to the end of the task, whoever ends it. Ending drops the call, which cancels it in the plugin.
    pub(super) async fn run(self, task: Arc<Task>, first: Running) {
        let _watch = Watch(Arc::clone(&task));
        let end = tokio::select! {
            biased;
            () = task.ended() => return,
            end = self.rounds(&task, first) => end,
            () = tokio::time::sleep_until(self.deadline) => self.too_late(),
            () = self.generation.closing() => self.refused(&self.generation.stack().closed()),
        };
        task.end(end);
    }

    async fn rounds(&self, task: &Task, first: Running) -> End {
        let mut result = first.await;
        let mut round = 0;
        loop {
            // Permits go back with the reply: a task that waits for its client holds none.
            let outcome = match result {
                Ok(reply) => reply.outcome,
                Err(refusal) => return self.refused(&refusal),
            };
            let input = match outcome {
                Outcome::InputRequired(input) => input,
                Outcome::Done(content) => return self.done(&content),
                Outcome::Failed(fault) => return failed(&fault),
            };
            let answers = match ask(task, &input.requests).await {
                Ok(answers) => answers,
                Err(end) => return end,
            };
            round += 1;
            result = self.round_with_room(round, &answers, input.state.as_ref()).await;
        }
    }

    /// A later round. Its client waits for the task and not for an answer, so a full house is waited out.
    async fn round_with_room(
        &self,
        round: u16,
        answers: &Bytes,
        state: Option<&Bytes>,
    ) -> Result<Reply, Refusal> {
        loop {
            let result = self.round(round, Some(answers.clone()), state.cloned()).await;
            let Err(refusal) = &result else { return result };
            // Of these it is certain that the tool has not run.
            if !matches!(
                refusal.kind,
                RefusalKind::ClientBusy
                    | RefusalKind::Overloaded
                    | RefusalKind::PluginBusy
                    | RefusalKind::MemoryExhausted
                    | RefusalKind::CircuitOpen
            ) {
                return result;
            }
            tokio::time::sleep(refusal.retry_after().unwrap_or(PAUSE)).await;
        }
    }

    fn round(&self, round: u16, answers: Option<Bytes>, state: Option<Bytes>) -> Running {
        let mut call =
            Call::new(self.envelope.clone(), Revision::MODERN, self.client, self.principal);
        call.is_task = true;
        call.deadline = Some(self.deadline.into_std());
        (call.round, call.answers, call.state) = (round, answers, state);
        let generation = Arc::clone(&self.generation);
        Box::pin(async move { generation.stack().call(call).await })
    }

    fn done(&self, content: &Content) -> End {
        let to = ReplyTo {
            id: Id::default(),
            revision: Revision::MODERN,
            method: self.envelope.method(),
            uri: Bytes::new(),
        };
        let server = self.generation.stack().catalogue().server_info();
        match encode::result(&to, server, content) {
            Some(json) => End::Completed(json),
            None => failed(&Fault::internal("This result has no form in this revision.")),
        }
    }

    fn refused(&self, refusal: &Refusal) -> End {
        self.generation.note(refusal);
        failed(&Fault::of_refusal(refusal, self.generation.number()))
    }

    fn too_late(&self) -> End {
        let limit_ms = self.generation.plan().tasks.deadline.as_millis() as u64;
        let message = "The task did not finish in time.";
        let refusal = Refusal::new(RefusalKind::TimedOut, "tasks", "task", message);
        self.refused(&refusal.with_limit(limit_ms))
    }
}

/// Fails a task whose run ends without an end of the task, which is a fault of ours: its client must not wait for ever.
pub(super) struct Watch(pub(super) Arc<Task>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end(failed(&Fault::internal("The task broke off.")));
    }
}

fn failed(fault: &Fault) -> End {
    End::Failed(encode::error_object(fault))
}

/// Puts the questions to the client and waits for all answers. Nothing is held meanwhile but what is counted.
async fn ask(task: &Task, requests: &Bytes) -> Result<Bytes, End> {
    let Ok(questions) = check(requests, &Limits::DEFAULT) else {
        return Err(failed(&Fault::internal("The tool asks for something malformed.")));
    };
    let questions: Vec<_> = questions
        .members()
        .map(|(name, question)| {
            (Box::from(&*name), Bytes::copy_from_slice(question.text().as_bytes()))
        })
        .collect();
    if questions.is_empty() {
        // A tool that asks nothing wants to be called again later.
        tokio::time::sleep(task.poll()).await;
        return Ok(Bytes::from_static(b"{}"));
    }
    match task.ask(questions) {
        Ok(()) => Ok(task.answers().await),
        Err(NoRoom) => Err(failed(&Fault::internal("What the tool asks has no room to be kept."))),
    }
}
