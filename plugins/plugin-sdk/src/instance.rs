//! A running plugin: calls come in on the host's threads and end through [`Output`].

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use plugin_abi::{CallArgs, ITEM_TEMPLATE, call_kind, status};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::content::{CompletionRequest, ResourceEntry};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::items::{Author, Handler, Items, Running};
use crate::output::{IntoOutput, Output};

type Started = Box<dyn FnOnce() -> (u64, Pin<Box<dyn Future<Output = ()> + Send>>) + Send>;

/// A created plugin.
pub(crate) struct Instance<P> {
    author: Arc<P>,
    items: Items<P>,
    host: Host,
    /// What `list` gave when the host asked last; indices refer to it.
    listed: Mutex<Vec<ResourceEntry>>,
    /// Calls for the event loop; bounded by the host, which gives out a bounded number of calls.
    starts: Mutex<Option<UnboundedSender<Started>>>,
    inbox: Mutex<Option<UnboundedReceiver<Started>>>,
    running: Mutex<HashMap<u64, AbortHandle>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends an async item: a question is written here, where its context is still at hand.
#[doc(hidden)]
pub fn settle(context: &Context, result: Result<()>, mut output: Output) -> Result<Output> {
    let written = match result {
        Err(Error::InputRequired(questions)) => {
            output.clear();
            context.write_questions(*questions, &mut output)
        }
        result => result,
    };
    match written {
        Ok(()) => Ok(output),
        // Whoever wrote the result saw an error of I/O, and it became this.
        Err(Error::Internal(_)) if output.is_full() => Err(Error::TooLarge),
        Err(error) => Err(error),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl<P: Author> Instance<P> {
    pub(crate) fn create(config_json: &str, host: Host) -> Result<Self> {
        let config = serde_json::from_str(config_json)
            .map_err(|error| Error::Invalid(format!("config: {error}")))?;
        let author = Arc::new(P::create(config, &host)?);
        let (starts, inbox) = unbounded_channel();
        Ok(Self {
            author,
            items: P::items(),
            host,
            listed: Mutex::default(),
            starts: Mutex::new(Some(starts)),
            inbox: Mutex::new(Some(inbox)),
            running: Mutex::default(),
        })
    }

    pub(crate) fn describe(&self) -> String {
        let listed = self.items.list.map(|list| list(&self.author)).unwrap_or_default();
        let description = self.items.describe(&listed);
        *lock(&self.listed) = listed;
        crate::items::to_text(&description)
    }

    /// Takes in a call and ends it, now or later.
    ///
    /// # Safety
    /// `args` must be what the host gave, within that call.
    pub(crate) unsafe fn call(&self, args: &CallArgs) {
        // SAFETY: the caller vouches for the arguments.
        let (context, params, name) = unsafe {
            (
                Context::new(self.host, args),
                std::str::from_utf8(args.params_json.as_bytes()).unwrap_or("{}"),
                std::str::from_utf8(args.name.as_bytes()).unwrap_or_default(),
            )
        };
        let handler = match (args.kind, args.item & !ITEM_TEMPLATE, args.item & ITEM_TEMPLATE != 0)
        {
            (call_kind::TOOL, index, _) => {
                self.items.tools.get(index as usize).map(|item| &item.handler)
            }
            (call_kind::PROMPT_GET, index, _) => {
                self.items.prompts.get(index as usize).map(|item| &item.handler)
            }
            (call_kind::RESOURCE_READ, index, true) => {
                self.items.templates.get(index as usize).map(|item| &item.handler)
            }
            (call_kind::RESOURCE_READ, index, false) => {
                self.items.resources.get(index as usize).map(|item| &item.handler)
            }
            _ => None,
        };
        match (handler, args.kind) {
            (Some(Handler::Blocking(run) | Handler::Nonblocking(run)), _) => {
                self.run_here(context, |context, output| {
                    run(&self.author, context, params, output)
                });
            }
            (Some(Handler::Async(start)), _) => self.start(context, *start, params.to_owned()),
            (None, call_kind::RESOURCE_READ) => {
                self.run_here(context, |context, output| match self.items.read {
                    Some(read) => read(&self.author, context, name, output),
                    None => Err(Error::NotFound),
                });
            }
            (None, call_kind::COMPLETE) => {
                self.run_here(context, |_, output| self.complete(params, output));
            }
            (None, _) => finish(&context, Output::new(self.host), Err(Error::NotFound)),
        }
    }

    fn complete(&self, params: &str, output: &mut Output) -> Result<()> {
        let complete = self.items.complete.ok_or(Error::NotFound)?;
        let request: CompletionRequest = crate::items::arguments(params)?;
        complete(&self.author, &request)?.write(output)
    }

    fn run_here(&self, context: Context, run: impl FnOnce(&Context, &mut Output) -> Result<()>) {
        let mut output = Output::new(self.host);
        let result =
            catch_unwind(AssertUnwindSafe(|| run(&context, &mut output))).unwrap_or_else(|panic| {
                Err(Error::Internal(format!("panicked: {}", panic_text(&*panic))))
            });
        finish(&context, output, result);
    }

    fn start(
        &self,
        context: Context,
        start: fn(Arc<P>, Context, String, Output) -> Running,
        params: String,
    ) {
        let (author, host, call) = (Arc::clone(&self.author), self.host, context.call());
        let ends = Ends { host, call, is_over: false };
        let started: Started = Box::new(move || {
            let running = start(author, context, params, Output::new(host));
            (call, Box::pin(run_async(ends, running)))
        });
        if let Some(starts) = &*lock(&self.starts) {
            // When the loop is gone the box is dropped, which ends the call.
            drop(starts.send(started));
        }
    }

    /// Runs the event loop until [`Instance::quiesce`].
    pub(crate) fn run(self: &Arc<Self>) {
        let Some(mut inbox) = lock(&self.inbox).take() else {
            return;
        };
        if !self.items.has_async() {
            return;
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                self.host.error(&format!("no event loop: {error}"));
                return;
            }
        };
        runtime.block_on(async {
            while let Some(started) = inbox.recv().await {
                let (call, running) = started();
                let instance = Arc::clone(self);
                let task = tokio::spawn(async move {
                    running.await;
                    lock(&instance.running).remove(&call);
                });
                lock(&self.running).insert(call, task.abort_handle());
                // A cancellation that came before found nothing to end.
                if self.host.is_cancelled(call) {
                    self.cancel(call);
                }
            }
        });
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        lock(&self.running).clear();
    }

    pub(crate) fn cancel(&self, call: u64) {
        if let Some(task) = lock(&self.running).remove(&call) {
            task.abort();
        }
    }

    pub(crate) fn watch(&self, uri: &str, on: bool) {
        if let Some(watch) = self.items.watch {
            watch(&self.author, uri, on);
        }
    }

    /// Takes no more calls; the event loop ends, and what still runs on it with it.
    pub(crate) fn quiesce(&self) {
        lock(&self.starts).take();
    }
}

/// Ends a call of its own accord if nothing else did: its future was dropped.
struct Ends {
    host: Host,
    call: u64,
    is_over: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.is_over {
            let mut output = Output::new(self.host);
            output.set_status(status::CANCELLED);
            output.complete(self.call);
        }
    }
}

async fn run_async(mut ends: Ends, running: Running) {
    let result = AssertUnwindSafe(running).catch_unwind().await;
    ends.is_over = true;
    match result {
        Ok(Ok(output)) => output.complete(ends.call),
        Ok(Err(error)) => finish_error(ends.host, ends.call, error),
        Err(panic) => {
            let text = format!("panicked: {}", panic_text(&*panic));
            finish_error(ends.host, ends.call, Error::Internal(text));
        }
    }
}

fn finish(context: &Context, output: Output, result: Result<()>) {
    match settle(context, result, output) {
        Ok(output) => output.complete(context.call()),
        Err(error) => finish_error(context.host(), context.call(), error),
    }
}

fn finish_error(host: Host, call: u64, error: Error) {
    let mut output = Output::new(host);
    let (code, text) = match error {
        Error::Tool(text) => (status::TOOL_ERROR, text),
        Error::Invalid(text) => (status::INVALID_PARAMS, text),
        Error::NotFound => (status::NOT_FOUND, String::new()),
        Error::Internal(text) => (status::INTERNAL, text),
        Error::Unavailable => (status::UNAVAILABLE, String::new()),
        Error::TooLarge => (status::TOO_LARGE, String::new()),
        Error::Cancelled => (status::CANCELLED, String::new()),
        Error::InputRequired(_) => (status::INTERNAL, "questions without a context".to_owned()),
    };
    // Without room for the text the status alone must do.
    output.text(&text).ok();
    output.set_status(code);
    output.complete(call);
}
