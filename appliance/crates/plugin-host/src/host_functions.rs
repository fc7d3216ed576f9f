//! What a plugin may call: the functions behind `tr_host`.
//!
//! Each is callable from any thread at any time, also after its call or its plugin has ended: what they stand on is
//! never freed. Each catches its own panics: a fault of the host must not unwind through a plugin's frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use plugin_abi::{
    ABI_MAJOR, ABI_MINOR, Buf, CallHandle, CallResult, E_INTERNAL, E_INVAL, E_NOMEM, E_TOO_LARGE,
    Host, HostCtx, OK, RF_PUBLIC, Rc, STATE_BYTES_MAX, Str, log as log_level, notify as what,
    status,
};
use protocol::json::{Limits as JsonLimits, check};
use protocol::{Event, LogLevel};

use crate::buffer::{self, Buffers};
use crate::line::one_line;
use crate::log_lines::{Admission, LogLines};
use crate::settings::{Notice, NoticeSink};
use crate::slots::{BadResult, Completion, Counters, Slots};
use crate::threads::monotonic_ns;

/// What the host functions of one started plugin stand on.
pub(crate) struct HostState {
    pub(crate) name: Arc<str>,
    pub(crate) slots: Slots,
    pub(crate) buffers: Buffers,
    pub(crate) counters: Arc<Counters>,
    pub(crate) response_bytes_max: usize,
    pub(crate) notices: NoticeSink,
    /// Lists whose change is on its way to whoever describes the plugin again: a bit for each `notify` constant.
    pub(crate) changed: AtomicU8,
    pub(crate) log_lines: LogLines,
}

/// Longest line of a plugin in the operator's log.
const LOG_BYTES_MAX: usize = 4_096;
/// Longest MIME type: twice what RFC 6838, 4.2 allows, for parameters.
const MIME_BYTES_MAX: usize = 512;
/// Longest URI of a resource that changed.
const URI_BYTES_MAX: usize = 2_048;
/// Most bytes of one message to a client.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

impl HostState {
    /// The table for a plugin. The state lives for ever, and so does the table: a plugin may keep both.
    pub(crate) fn table(&'static self) -> &'static Host {
        Box::leak(Box::new(Host {
            struct_size: size_of::<Host>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            ctx: std::ptr::from_ref(self).cast_mut().cast(),
            complete: Some(complete),
            progress: Some(progress),
            check: Some(check_call),
            buf_alloc: Some(buf_alloc),
            buf_grow: Some(buf_grow),
            log_level: Some(max_log_level),
            log: Some(log),
            message: Some(message),
            notify: Some(notify),
            detach: Some(detach),
        }))
    }
}

/// Runs `act` on the state behind `ctx`.
fn with(ctx: *mut HostCtx, act: impl FnOnce(&'static HostState) -> Rc) -> Rc {
    if ctx.is_null() {
        return E_INVAL;
    }
    // SAFETY: a plugin has no other `ctx` than the one in its table, which points to a state that is never freed.
    let state: &'static HostState = unsafe { &*ctx.cast::<HostState>() };
    catch_unwind(AssertUnwindSafe(|| act(state))).unwrap_or(E_INTERNAL)
}

unsafe extern "C" fn complete(
    ctx: *mut HostCtx,
    call: CallHandle,
    result: *const CallResult,
) -> Rc {
    with(ctx, |state| {
        if result.is_null() || !result.is_aligned() {
            return state.reject(call, "no result");
        }
        // SAFETY: not null and aligned; every version of the struct starts with its size.
        let struct_size = unsafe { (&raw const (*result).struct_size).read() } as usize;
        if struct_size < size_of::<CallResult>() {
            return state.reject(call, "a result of an unknown size");
        }
        // SAFETY: the plugin lends a whole `CallResult` (R3) and moves its two buffers (R4): they are taken from this
        // copy once, and the plugin does not touch them again.
        let result = unsafe { result.read() };
        let body = state.buffers.take(result.body, state.response_bytes_max);
        let given_state = state.buffers.take(result.state, STATE_BYTES_MAX);
        let (body, given_state) = match (body, given_state) {
            (Ok(body), Ok(given_state)) => (body, given_state),
            (Err(E_TOO_LARGE), _) => {
                let ended = Completion { status: status::TOO_LARGE, ..Completion::default() };
                state.slots.complete(call, Ok(ended));
                return E_TOO_LARGE;
            }
            (_, Err(E_TOO_LARGE)) => {
                state.reject(call, "a state above its cap");
                return E_TOO_LARGE;
            }
            (Err(E_NOMEM), _) | (_, Err(E_NOMEM)) => {
                state.reject(call, "a result for which there is no memory");
                return E_NOMEM;
            }
            _ => {
                state.reject(call, "a result that describes no memory");
                return E_INVAL;
            }
        };
        if result.mime.len > MIME_BYTES_MAX {
            return state.reject(call, "a MIME type that is too long");
        }
        let mime = buffer::lent(result.mime);
        let completion = Completion {
            status: result.status,
            format: result.format,
            is_public: result.flags & RF_PUBLIC != 0,
            ttl_ms: result.ttl_ms,
            body,
            state: given_state,
            mime: (!mime.is_empty()).then(|| mime.into()),
        };
        state.slots.complete(call, Ok(completion))
    })
}

impl HostState {
    /// Tells of a change, once until the plugin is described again: lists are read whole, so one notice stands for all
    /// that follow it, and a flood takes no room from other plugins' notices.
    fn list_changed(&self, kind: i32, notice: Notice) {
        let bit = 1 << kind;
        let is_on_its_way = self.changed.fetch_or(bit, AcqRel) & bit != 0;
        if !is_on_its_way && !self.tell(notice) {
            self.changed.fetch_and(!bit, AcqRel);
        }
    }

    /// `false` when there was no room.
    fn tell(&self, notice: Notice) -> bool {
        let is_told = self.notices.try_send((Arc::clone(&self.name), notice)).is_ok();
        if !is_told {
            self.counters.dropped_notices.fetch_add(1, Relaxed);
        }
        is_told
    }

    /// Ends a call whose result cannot be believed.
    fn reject(&self, call: CallHandle, what: &'static str) -> Rc {
        self.slots.complete(call, Err(BadResult(what)));
        E_INVAL
    }
}

unsafe extern "C" fn progress(
    ctx: *mut HostCtx,
    call: CallHandle,
    progress: f64,
    total: f64,
    message: Str,
) -> Rc {
    with(ctx, |state| {
        state.slots.progress(call, progress, || {
            let message = clipped(message, LOG_BYTES_MAX);
            Event::Progress {
                progress,
                total: (total > 0.0).then_some(total),
                message: (!message.is_empty()).then(|| message.into()),
            }
        })
    })
}

unsafe extern "C" fn check_call(ctx: *mut HostCtx, call: CallHandle) -> Rc {
    with(ctx, |state| state.slots.check(call))
}

unsafe extern "C" fn buf_alloc(ctx: *mut HostCtx, cap: usize, out: *mut Buf) -> Rc {
    with(ctx, |state| {
        if out.is_null() || !out.is_aligned() {
            return E_INVAL;
        }
        match state.buffers.allocate(cap, state.response_bytes_max) {
            Ok(buf) => {
                // SAFETY: not null and aligned, and the plugin lends room for one `Buf`. Nothing is dropped there.
                unsafe { out.write(buf) };
                OK
            }
            Err(rc) => rc,
        }
    })
}

unsafe extern "C" fn buf_grow(ctx: *mut HostCtx, inout: *mut Buf, min_cap: usize) -> Rc {
    with(ctx, |state| {
        if inout.is_null() || !inout.is_aligned() {
            return E_INVAL;
        }
        // SAFETY: not null and aligned, and the plugin lends a `Buf` that nobody else uses meanwhile (R4).
        let buf = unsafe { &mut *inout };
        state.buffers.grow(buf, min_cap, state.response_bytes_max).err().unwrap_or(OK)
    })
}

unsafe extern "C" fn max_log_level(_: *mut HostCtx) -> i32 {
    written_log_level()
}

/// The most detailed level that is written at all.
fn written_log_level() -> i32 {
    match tracing::level_filters::LevelFilter::current().into_level() {
        None => 0,
        Some(tracing::Level::ERROR) => log_level::ERROR,
        Some(tracing::Level::WARN) => log_level::WARN,
        Some(tracing::Level::INFO) => log_level::INFO,
        Some(tracing::Level::DEBUG) => log_level::DEBUG,
        Some(tracing::Level::TRACE) => log_level::TRACE,
    }
}

unsafe extern "C" fn log(ctx: *mut HostCtx, _: CallHandle, level: i32, target: Str, message: Str) {
    with(ctx, |state| {
        let plugin = &*state.name;
        if level > written_log_level() {
            return OK;
        }
        match state.log_lines.admit(monotonic_ns()) {
            Admission::Written => {}
            Admission::FirstLeftOut => {
                tracing::warn!(
                    plugin,
                    "Plugin logs too much; its lines of this second are left out."
                );
                return OK;
            }
            Admission::LeftOut => return OK,
        }
        let target = clipped(target, 128);
        let text = clipped(message, LOG_BYTES_MAX);
        match level {
            log_level::ERROR => tracing::error!(plugin, target, "{text}"),
            log_level::WARN => tracing::warn!(plugin, target, "{text}"),
            log_level::INFO => tracing::info!(plugin, target, "{text}"),
            log_level::DEBUG => tracing::debug!(plugin, target, "{text}"),
            _ => tracing::trace!(plugin, target, "{text}"),
        }
        OK
    });
}

unsafe extern "C" fn message(
    ctx: *mut HostCtx,
    call: CallHandle,
    level: i32,
    logger: Str,
    data: Str,
) -> Rc {
    with(ctx, |state| {
        let level = usize::try_from(level).ok().and_then(|level| LogLevel::ALL.get(level).copied());
        let Some(level) = level else { return E_INVAL };
        if data.len > MESSAGE_BYTES_MAX {
            return E_TOO_LARGE;
        }
        let data = buffer::lent(data);
        if check(data.as_bytes(), &JsonLimits::DEFAULT).is_err() {
            return E_INVAL;
        }
        let data = one_line(data);
        let logger = clipped(logger, 128);
        state.slots.tell(call, Some(level), || Event::Log {
            level,
            logger: (!logger.is_empty()).then(|| logger.into()),
            data: data.into(),
        })
    })
}

unsafe extern "C" fn notify(ctx: *mut HostCtx, kind: i32, uri: Str) -> Rc {
    with(ctx, |state| {
        match kind {
            what::TOOLS_CHANGED => state.list_changed(kind, Notice::ToolsChanged),
            what::PROMPTS_CHANGED => state.list_changed(kind, Notice::PromptsChanged),
            what::RESOURCES_CHANGED => state.list_changed(kind, Notice::ResourcesChanged),
            // Cut short it would be another resource.
            what::RESOURCE_UPDATED if uri.len > URI_BYTES_MAX => return E_TOO_LARGE,
            what::RESOURCE_UPDATED => {
                state.tell(Notice::ResourceUpdated(buffer::lent(uri).into()));
            }
            _ => return E_INVAL,
        }
        OK
    })
}

unsafe extern "C" fn detach(ctx: *mut HostCtx, call: CallHandle, retry_ms: u32) -> Rc {
    with(ctx, |state| state.slots.tell(call, None, || Event::Detach { retry_ms }))
}

/// Lent text, cut to `bytes_max` at a character.
fn clipped(text: Str, bytes_max: usize) -> String {
    let mut text = buffer::lent(Str { ptr: text.ptr, len: text.len.min(bytes_max + 4) });
    while text.len() > bytes_max {
        text.pop();
    }
    text
}
