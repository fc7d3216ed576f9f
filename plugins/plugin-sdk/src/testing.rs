//! Runs a plugin's functions in ordinary tests, without a library file.
//!
//! ```
//! # use plugin_sdk::prelude::*;
//! # struct Greeter;
//! # #[plugin(id = "example.greeter", description = "Greets.")]
//! # impl Greeter {
//! #     fn new(_: NoConfig, _: &Host) -> Result<Self> { Ok(Self) }
//! #     /// Says hello.
//! #     #[tool]
//! #     fn greet(&self) -> Result<String> { Ok("Hello!".into()) }
//! # }
//! let harness = plugin_sdk::testing::Harness::<Greeter>::new("{}").unwrap();
//! let answer = harness.call_tool("greet", "{}");
//! assert_eq!(answer.text(), "Hello!");
//! ```

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use plugin_abi::{
    Buf, CallArgs, CallHandle, CallResult, E_NOMEM, Host as HostTable, HostCtx, ITEM_NONE,
    ITEM_TEMPLATE, OK, Rc, Str, call_kind,
};
use serde_json::Value;

use crate::error::Result;
use crate::host::Host;
use crate::instance::Instance;
use crate::items::Author;

/// What a call ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One of `plugin_abi::status`.
    pub status: i32,
    /// One of `plugin_abi::format`.
    pub format: u32,
    /// The body.
    pub body: Vec<u8>,
    /// The state of a question.
    pub state: Vec<u8>,
    /// The MIME type.
    pub mime: String,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What the host of a harness was told, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Progress of a call.
    Progress(f64, String),
    /// A message to the client: level and JSON.
    Message(i32, String),
    /// A change: one of `plugin_abi::notify`, and a URI.
    Notified(i32, String),
    /// A line for the operator.
    Logged(String),
    /// The connection may go.
    Detached(u32),
}

#[derive(Default)]
struct Ctx {
    answers: Mutex<HashMap<CallHandle, Sender<Answer>>>,
    cancelled: Mutex<HashSet<CallHandle>>,
    told: Mutex<Vec<Told>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plugin with a host that only remembers.
pub struct Harness<P: Author> {
    instance: Arc<Instance<P>>,
    ctx: &'static Ctx,
    event_loop: Option<std::thread::JoinHandle<()>>,
    description: Value,
    calls: std::sync::atomic::AtomicU64,
}

impl<P: Author> Harness<P> {
    /// Creates the plugin with `config`, a JSON object.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn new(config: &str) -> Result<Self> {
        let ctx: &'static Ctx = Box::leak(Box::default());
        let table: &'static HostTable = Box::leak(Box::new(table(ctx)));
        // SAFETY: the table was leaked.
        let host = unsafe { Host::from_raw(table) };
        let instance = Arc::new(Instance::<P>::create(config, host)?);
        let description = serde_json::from_str(&instance.describe())?;
        let looping = Arc::clone(&instance);
        let event_loop = Some(std::thread::spawn(move || looping.run()));
        let calls = std::sync::atomic::AtomicU64::new(1);
        Ok(Self { instance, ctx, event_loop, description, calls })
    }

    /// What the plugin describes.
    #[must_use]
    pub const fn description(&self) -> &Value {
        &self.description
    }

    /// What the host was told so far.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        lock(&self.ctx.told).clone()
    }

    fn index(&self, list: &str, key: &str, name: &str) -> Option<u32> {
        let items = self.description.get(list)?.as_array()?;
        let index =
            items.iter().position(|item| item.get(key).and_then(Value::as_str) == Some(name))?;
        u32::try_from(index).ok()
    }

    /// Calls a tool, waits for its end. An unknown tool is one beyond the last.
    #[must_use]
    pub fn call_tool(&self, name: &str, arguments: &str) -> Answer {
        self.ask_tool(name, arguments, 0, "", &[])
    }

    /// Begins a call of a tool that does not end at once: only async tools come back before they have.
    #[must_use]
    pub fn begin_tool(&self, name: &str, arguments: &str) -> Begun<'_, P> {
        let item = self.index("tools", "name", name).unwrap_or(ITEM_NONE & !ITEM_TEMPLATE);
        let (call, answer) = self.begin(call_kind::TOOL, item, name, arguments, (0, "", &[]));
        Begun { harness: self, call, answer }
    }

    /// Calls a tool in a later round: with the client's answers, and what the round before gave as state.
    #[must_use]
    pub fn ask_tool(
        &self,
        name: &str,
        arguments: &str,
        round: u32,
        answers: &str,
        state: &[u8],
    ) -> Answer {
        let item = self.index("tools", "name", name).unwrap_or(ITEM_NONE & !ITEM_TEMPLATE);
        self.call(call_kind::TOOL, item, name, arguments, (round, answers, state))
    }

    /// Reads a listed resource.
    #[must_use]
    pub fn read(&self, uri: &str) -> Answer {
        let item = self.index("resources", "uri", uri).unwrap_or(ITEM_NONE & !ITEM_TEMPLATE);
        self.call(call_kind::RESOURCE_READ, item, uri, "{}", (0, "", &[]))
    }

    /// Reads through a template, with its variables as a JSON object.
    #[must_use]
    pub fn read_template(&self, template: &str, uri: &str, variables: &str) -> Answer {
        let index =
            self.index("resourceTemplates", "uriTemplate", template).unwrap_or(ITEM_NONE >> 2);
        self.call(call_kind::RESOURCE_READ, index | ITEM_TEMPLATE, uri, variables, (0, "", &[]))
    }

    /// Renders a prompt.
    #[must_use]
    pub fn get_prompt(&self, name: &str, arguments: &str) -> Answer {
        let item = self.index("prompts", "name", name).unwrap_or(ITEM_NONE & !ITEM_TEMPLATE);
        self.call(call_kind::PROMPT_GET, item, name, arguments, (0, "", &[]))
    }

    /// Completes an argument.
    #[must_use]
    pub fn complete(&self, params: &str) -> Answer {
        self.call(call_kind::COMPLETE, ITEM_NONE, "", params, (0, "", &[]))
    }

    /// A client begins or ends to follow a resource.
    pub fn watch(&self, uri: &str, on: bool) {
        self.instance.watch(uri, on);
    }

    fn call(
        &self,
        kind: u32,
        item: u32,
        name: &str,
        params: &str,
        round: (u32, &str, &[u8]),
    ) -> Answer {
        let (_, answer) = self.begin(kind, item, name, params, round);
        // Every call ends: a plugin that never completes is a test that hangs, and shows itself.
        answer.recv().expect("the call was completed")
    }

    fn begin(
        &self,
        kind: u32,
        item: u32,
        name: &str,
        params: &str,
        round: (u32, &str, &[u8]),
    ) -> (CallHandle, Receiver<Answer>) {
        let (sender, receiver) = channel();
        let call = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        lock(&self.ctx.answers).insert(call, sender);
        let args = CallArgs {
            struct_size: size_of::<CallArgs>() as u32,
            kind,
            call,
            deadline_ns: 0,
            flags: plugin_abi::CF_PROGRESS,
            round: round.0,
            item,
            client: u32::MAX,
            name: Str::new(name.as_bytes()),
            params_json: Str::new(params.as_bytes()),
            meta_json: Str::EMPTY,
            answers_json: Str::new(round.1.as_bytes()),
            state: Str::new(round.2),
        };
        // SAFETY: everything lent lives until this returns.
        unsafe { self.instance.call(&args) };
        (call, receiver)
    }
}

/// A call that was begun.
pub struct Begun<'h, P: Author> {
    harness: &'h Harness<P>,
    call: CallHandle,
    answer: Receiver<Answer>,
}

impl<P: Author> Begun<'_, P> {
    /// Cancels the call, as a client that goes away does.
    pub fn cancel(&self) {
        lock(&self.harness.ctx.cancelled).insert(self.call);
        self.harness.instance.cancel(self.call);
    }

    /// Waits for the end.
    #[must_use]
    pub fn end(self) -> Answer {
        self.answer.recv().expect("the call was completed")
    }
}

impl<P: Author> Drop for Harness<P> {
    fn drop(&mut self) {
        self.instance.quiesce();
        if let Some(event_loop) = self.event_loop.take() {
            event_loop.join().ok();
        }
    }
}

fn table(ctx: &'static Ctx) -> HostTable {
    HostTable {
        struct_size: size_of::<HostTable>() as u32,
        abi_major: plugin_abi::ABI_MAJOR,
        abi_minor: plugin_abi::ABI_MINOR,
        ctx: std::ptr::from_ref(ctx).cast_mut().cast(),
        complete: Some(complete),
        progress: Some(progress),
        check: Some(check),
        buf_alloc: Some(buf_alloc),
        buf_grow: Some(buf_grow),
        log_level: None,
        log: Some(log),
        message: Some(message),
        notify: Some(notify),
        detach: Some(detach),
    }
}

/// The context of the harness.
fn ctx(ctx: *mut HostCtx) -> &'static Ctx {
    // SAFETY: `table` made the pointer from a leaked `Ctx`.
    unsafe { &*ctx.cast::<Ctx>() }
}

fn lent(text: Str) -> String {
    // SAFETY: lent by the plugin until the host function returns.
    String::from_utf8_lossy(unsafe { text.as_bytes() }).into_owned()
}

fn tell(to: *mut HostCtx, told: Told) -> Rc {
    lock(&ctx(to).told).push(told);
    OK
}

/// Copies a buffer and releases it.
fn take(buf: &Buf) -> Vec<u8> {
    // SAFETY: the plugin moved the buffer here, with `len` readable bytes.
    let bytes = unsafe { Str { ptr: buf.ptr, len: buf.len }.as_bytes() }.to_vec();
    if let Some(release) = buf.release {
        // SAFETY: called once, by the one holder.
        unsafe { release(buf.owner, buf.ptr, buf.cap) };
    }
    bytes
}

unsafe extern "C" fn complete(to: *mut HostCtx, call: CallHandle, result: *const CallResult) -> Rc {
    // SAFETY: the plugin lends a whole result.
    let result = unsafe { &*result };
    let answer = Answer {
        status: result.status,
        format: result.format,
        body: take(&result.body),
        state: take(&result.state),
        mime: lent(result.mime),
    };
    match lock(&ctx(to).answers).remove(&call) {
        Some(sender) => {
            sender.send(answer).ok();
            OK
        }
        None => plugin_abi::E_STALE,
    }
}

unsafe extern "C" fn progress(
    to: *mut HostCtx,
    call: CallHandle,
    progress: f64,
    _: f64,
    message: Str,
) -> Rc {
    tell(to, Told::Progress(progress, lent(message)));
    state_of(to, call)
}

unsafe extern "C" fn check(to: *mut HostCtx, call: CallHandle) -> Rc {
    state_of(to, call)
}

fn state_of(to: *mut HostCtx, call: CallHandle) -> Rc {
    if !lock(&ctx(to).answers).contains_key(&call) {
        plugin_abi::E_STALE
    } else if lock(&ctx(to).cancelled).contains(&call) {
        plugin_abi::E_CANCELLED
    } else {
        OK
    }
}

unsafe extern "C" fn buf_alloc(_: *mut HostCtx, cap: usize, out: *mut Buf) -> Rc {
    let mut bytes = std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(cap));
    let buf = Buf {
        ptr: bytes.as_mut_ptr(),
        len: 0,
        cap: bytes.capacity(),
        owner: std::ptr::null_mut(),
        release: Some(release),
    };
    // SAFETY: the plugin lends room for one `Buf`.
    unsafe { out.write(buf) };
    OK
}

unsafe extern "C" fn buf_grow(_: *mut HostCtx, inout: *mut Buf, min_cap: usize) -> Rc {
    // SAFETY: the plugin lends a buffer that `buf_alloc` made.
    let buf = unsafe { &mut *inout };
    if min_cap > 1 << 30 {
        return E_NOMEM;
    }
    // SAFETY: pointer, length and capacity are those of the `Vec` that `buf_alloc` made.
    let mut bytes =
        std::mem::ManuallyDrop::new(unsafe { Vec::from_raw_parts(buf.ptr, buf.len, buf.cap) });
    bytes.reserve(min_cap - buf.len);
    (buf.ptr, buf.cap) = (bytes.as_mut_ptr(), bytes.capacity());
    OK
}

unsafe extern "C" fn release(_: *mut c_void, ptr: *mut u8, cap: usize) {
    // SAFETY: `buf_alloc` made both from a `Vec`.
    drop(unsafe { Vec::from_raw_parts(ptr, 0, cap) });
}

unsafe extern "C" fn log(to: *mut HostCtx, _: CallHandle, _: i32, _: Str, message: Str) {
    tell(to, Told::Logged(lent(message)));
}

unsafe extern "C" fn message(to: *mut HostCtx, _: CallHandle, level: i32, _: Str, data: Str) -> Rc {
    tell(to, Told::Message(level, lent(data)))
}

unsafe extern "C" fn notify(to: *mut HostCtx, what: i32, uri: Str) -> Rc {
    tell(to, Told::Notified(what, lent(uri)))
}

unsafe extern "C" fn detach(to: *mut HostCtx, _: CallHandle, retry_ms: u32) -> Rc {
    tell(to, Told::Detached(retry_ms))
}
