//! Tasks of modern clients (extension `io.modelcontextprotocol/tasks`), whatever they came over.

use std::sync::Arc;

use protocol::json::Raw;
use protocol::{
    CacheHint, Call, ClientCapabilities, Content, Envelope, Fault, MetaKey, Method, Outcome, Param,
    Refusal, Reply, encode,
};
use runtime::{Generation, Task, Tasks};

/// Checks that a method of tasks is offered, or was when a task was made that is still there, and that the client declared with this very request that it knows tasks.
/// Every other method passes.
///
/// # Errors
/// -32601 when no tool runs as a task and there is none, -32021 for a client that did not declare it, before any id is looked at.
pub(crate) fn check(
    tasks: &Tasks,
    generation: &Generation,
    envelope: &Envelope,
) -> Result<(), Fault> {
    let method = envelope.method();
    if !method.is_of_tasks() {
        return Ok(());
    }
    if !generation.stack().catalogue().identity().has_tasks() && tasks.is_empty() {
        return Err(Fault::method_not_found(method.as_str()));
    }
    let client = envelope.meta(MetaKey::ClientCapabilities).map(encode::capabilities);
    check_declared(client.unwrap_or_default())
}

/// Checks that the client declared that it knows tasks.
///
/// # Errors
/// -32021.
pub(crate) fn check_declared(client: ClientCapabilities) -> Result<(), Fault> {
    if client.has(ClientCapabilities::TASKS) {
        return Ok(());
    }
    let message = "Tasks are for clients that declare the extension io.modelcontextprotocol/tasks.";
    Err(Fault::missing_capability(message, ClientCapabilities::TASKS))
}

/// Whether `call` is about a task, or runs as one: then [`answer`] answers it.
pub(crate) fn concerns(generation: &Generation, call: &Call) -> bool {
    if !call.client.has(ClientCapabilities::TASKS) {
        return false;
    }
    let method = call.method();
    method.is_of_tasks() || (method == Method::ToolsCall && runs_as_task(generation, call))
}

fn runs_as_task(generation: &Generation, call: &Call) -> bool {
    let has = |param| call.envelope.param(param).is_some();
    let has_answers = has(Param::InputResponses) || has(Param::RequestState);
    let name = call.envelope.param(Param::Name).and_then(Raw::as_str);
    name.is_some_and(|name| generation.stack().catalogue().runs_as_task(&name, has_answers))
}

/// Answers a call that [`concerns`] tasks.
///
/// # Errors
/// When the house has no room for the task or for what the client says to it.
pub(crate) async fn answer(
    tasks: &Tasks,
    generation: &Arc<Generation>,
    call: &Call,
) -> Result<Reply, Refusal> {
    let result = if call.method() == Method::ToolsCall {
        tasks.create(generation, call).await
    } else {
        let measured =
            generation.stack().kit().meter.start(call.method(), call.revision.era(), call.begun);
        let result = about_task(tasks, call);
        measured.end(&result);
        result
    };
    result.map_err(|refusal| refusal.for_principal(call.principal))
}

fn about_task(tasks: &Tasks, call: &Call) -> Result<Reply, Refusal> {
    let outcome = match find(tasks, call) {
        Err(fault) => Outcome::Failed(fault),
        Ok((id, task)) => match call.method() {
            Method::TasksGet => object(&task.members(&id)),
            Method::TasksCancel => {
                task.cancel();
                object(b"")
            }
            _ => match call.input_responses() {
                Err(fault) => Outcome::Failed(fault),
                Ok(None) => Outcome::Failed(Fault::invalid_params("inputResponses is missing")),
                Ok(Some(answers)) if task.answer(answers) => object(b""),
                Ok(Some(_)) => return Err(tasks.no_room()),
            },
        },
    };
    Ok(outcome.into())
}

/// The task that the call names, and its id.
fn find(tasks: &Tasks, call: &Call) -> Result<(String, Arc<Task>), Fault> {
    let id = call.envelope.param(Param::TaskId).and_then(Raw::as_str);
    let id = id.ok_or_else(|| Fault::invalid_params("taskId must be a string"))?;
    let task = tasks.find(&id);
    let task = task.ok_or_else(|| {
        Fault::invalid_params("There is no such task: it never existed here, or has expired.")
    })?;
    Ok((id.into_owned(), task))
}

/// A result of these members.
fn object(members: &[u8]) -> Outcome {
    let mut json = Vec::with_capacity(members.len() + 2);
    json.push(b'{');
    json.extend_from_slice(members);
    json.push(b'}');
    Outcome::Done(Content::Object { json: json.into(), meta: None, cache: CacheHint::NONE })
}
