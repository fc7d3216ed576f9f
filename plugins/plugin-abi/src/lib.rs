//! The C contract between the appliance and a plugin: the Rust mirror of `schemas/toolrack_plugin.h`.
//!
//! The header is the source of truth and holds the rules R1 to R8; this file repeats its layout, and a test
//! compares both with the C compiler's view. Nothing in here runs.
#![allow(unsafe_code)]
#![no_std]

use core::ffi::{c_char, c_void};

/// First eight bytes of every descriptor: `TRPLGIN1`.
pub const ABI_MAGIC: u64 = 0x314E_4947_4C50_5254;
/// Incompatible changes.
pub const ABI_MAJOR: u16 = 1;
/// Appended fields.
pub const ABI_MINOR: u16 = 0;
/// The one exported symbol, with its terminating NUL.
pub const ENTRY_SYMBOL: &[u8] = b"toolrack_plugin_entry\0";
/// Section of the manifest note.
pub const NOTE_SECTION: &str = ".note.toolrack";
/// Name of the manifest note.
pub const NOTE_NAME: [u8; 4] = *b"TRK\0";
/// Type of the manifest note.
pub const NOTE_TYPE: u32 = 0x5452_4B31;
/// Most bytes that a plugin may give as its state with a question.
pub const STATE_BYTES_MAX: usize = 16 * 1024;

/// Return code: zero or one of the `E_` constants.
pub type Rc = i32;
/// Success.
pub const OK: Rc = 0;
/// An argument is not valid.
pub const E_INVAL: Rc = -1;
/// Out of memory.
pub const E_NOMEM: Rc = -2;
/// Not supported by this side.
pub const E_UNSUPPORTED: Rc = -3;
/// Not allowed.
pub const E_DENIED: Rc = -4;
/// No such thing.
pub const E_NOT_FOUND: Rc = -5;
/// Try again later.
pub const E_BUSY: Rc = -6;
/// The call is over: completed, cancelled or timed out.
pub const E_STALE: Rc = -7;
/// The call was cancelled.
pub const E_CANCELLED: Rc = -8;
/// A deadline passed.
pub const E_TIMEOUT: Rc = -9;
/// Above a cap.
pub const E_TOO_LARGE: Rc = -10;
/// The plugin panicked.
pub const E_PANIC: Rc = -11;
/// Any other fault.
pub const E_INTERNAL: Rc = -12;

/// Statuses of a result.
pub mod status {
    #![allow(missing_docs)]
    pub const OK: i32 = 0;
    pub const TOOL_ERROR: i32 = 1;
    pub const INVALID_PARAMS: i32 = 2;
    pub const NOT_FOUND: i32 = 3;
    pub const INTERNAL: i32 = 4;
    pub const CANCELLED: i32 = 5;
    pub const INPUT_REQUIRED: i32 = 6;
    pub const UNAVAILABLE: i32 = 7;
    pub const TOO_LARGE: i32 = 8;
}

/// Formats of a result's body.
pub mod format {
    #![allow(missing_docs)]
    pub const RESULT_JSON: u32 = 0;
    pub const TEXT: u32 = 1;
    pub const STRUCTURED: u32 = 2;
    pub const BLOB: u32 = 3;
}

/// Kinds of call.
pub mod call_kind {
    #![allow(missing_docs)]
    pub const TOOL: u32 = 1;
    pub const RESOURCE_READ: u32 = 2;
    pub const PROMPT_GET: u32 = 3;
    pub const COMPLETE: u32 = 4;
}

/// What a plugin may tell the host that changed.
pub mod notify {
    #![allow(missing_docs)]
    pub const TOOLS_CHANGED: i32 = 1;
    pub const RESOURCES_CHANGED: i32 = 2;
    pub const PROMPTS_CHANGED: i32 = 3;
    pub const RESOURCE_UPDATED: i32 = 4;
}

/// Levels of the operator's log.
pub mod log {
    #![allow(missing_docs)]
    pub const ERROR: i32 = 1;
    pub const WARN: i32 = 2;
    pub const INFO: i32 = 3;
    pub const DEBUG: i32 = 4;
    pub const TRACE: i32 = 5;
}

/// Levels of messages to the client.
pub mod message {
    #![allow(missing_docs)]
    pub const DEBUG: i32 = 0;
    pub const INFO: i32 = 1;
    pub const NOTICE: i32 = 2;
    pub const WARNING: i32 = 3;
    pub const ERROR: i32 = 4;
    pub const CRITICAL: i32 = 5;
    pub const ALERT: i32 = 6;
    pub const EMERGENCY: i32 = 7;
}

/// What the client can be asked: flags.
pub mod client {
    #![allow(missing_docs)]
    pub const ELICITATION_FORM: u32 = 1;
    pub const ELICITATION_URL: u32 = 1 << 1;
    pub const SAMPLING: u32 = 1 << 2;
    pub const SAMPLING_TOOLS: u32 = 1 << 3;
    pub const SAMPLING_CONTEXT: u32 = 1 << 4;
    pub const ROOTS: u32 = 1 << 5;
}

/// Result flag: may be handed to any caller while fresh.
pub const RF_PUBLIC: u32 = 1;
/// Call flag: the client wants progress.
pub const CF_PROGRESS: u32 = 1;
/// No item of `describe()` is meant.
pub const ITEM_NONE: u32 = u32::MAX;
/// The item is an index into `resourceTemplates`.
pub const ITEM_TEMPLATE: u32 = 0x8000_0000;
/// Plugin flag: `call()` must not run twice at once.
pub const PF_SERIAL: u64 = 1;
/// Plugin flag: a bug ends the process.
pub const PF_PANIC_ABORT: u64 = 1 << 1;
/// Plugin flag: brings its own runtime.
pub const PF_PROCESS_ONLY: u64 = 1 << 2;

/// A call's number: never a pointer, so a late or forged one is harmless. Zero is no call.
pub type CallHandle = u64;

/// Borrowed bytes, valid until the function that received them returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// First byte; may be null when `len` is zero.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl Str {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows `bytes`.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` and `len` must describe readable memory for as long as `'a`, or `len` must be zero.
    #[must_use]
    pub const unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 || self.ptr.is_null() {
            return &[];
        }
        // SAFETY: the caller vouches for the memory; zero length and null are excluded above.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// Frees a buffer: owner, pointer, capacity.
pub type Release = unsafe extern "C" fn(owner: *mut c_void, ptr: *mut u8, cap: usize);

/// Owned bytes that move across the line; whoever holds them calls `release` exactly once.
#[repr(C)]
#[derive(Debug)]
pub struct Buf {
    /// First byte.
    pub ptr: *mut u8,
    /// Bytes in use.
    pub len: usize,
    /// Bytes allocated.
    pub cap: usize,
    /// For `release`.
    pub owner: *mut c_void,
    /// `None`: lives as long as the library image.
    pub release: Option<Release>,
}

impl Buf {
    /// No bytes, nothing to release.
    pub const EMPTY: Self = Self {
        ptr: core::ptr::null_mut(),
        len: 0,
        cap: 0,
        owner: core::ptr::null_mut(),
        release: None,
    };
}

/// The result of one call.
#[repr(C)]
#[derive(Debug)]
pub struct CallResult {
    /// `size_of::<CallResult>()` of whoever wrote it.
    pub struct_size: u32,
    /// One of [`status`].
    pub status: i32,
    /// One of [`mod@format`].
    pub format: u32,
    /// `RF_` flags.
    pub flags: u32,
    /// Moved.
    pub body: Buf,
    /// Moved; only with [`status::INPUT_REQUIRED`].
    pub state: Buf,
    /// Borrowed MIME type.
    pub mime: Str,
    /// Freshness of a resource.
    pub ttl_ms: u32,
    /// Zero.
    pub reserved: u32,
}

/// The host's own, opaque to the plugin.
#[repr(C)]
pub struct HostCtx {
    _opaque: [u8; 0],
}

/// What the host offers.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)] // The header documents each function.
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub ctx: *mut HostCtx,
    pub complete: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle, *const CallResult) -> Rc>,
    pub progress: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle, f64, f64, Str) -> Rc>,
    pub check: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle) -> Rc>,
    pub buf_alloc: Option<unsafe extern "C" fn(*mut HostCtx, usize, *mut Buf) -> Rc>,
    pub buf_grow: Option<unsafe extern "C" fn(*mut HostCtx, *mut Buf, usize) -> Rc>,
    pub log_level: Option<unsafe extern "C" fn(*mut HostCtx) -> i32>,
    pub log: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle, i32, Str, Str)>,
    pub message: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle, i32, Str, Str) -> Rc>,
    pub notify: Option<unsafe extern "C" fn(*mut HostCtx, i32, Str) -> Rc>,
    pub detach: Option<unsafe extern "C" fn(*mut HostCtx, CallHandle, u32) -> Rc>,
}

/// The plugin's own, opaque to the host.
#[repr(C)]
pub struct Plugin {
    _opaque: [u8; 0],
}

/// What `create` is given.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // The header documents each field.
pub struct CreateArgs {
    pub struct_size: u32,
    pub generation: u32,
    pub instance: Str,
    pub config_json: Str,
}

/// What `call` is given.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // The header documents each field.
pub struct CallArgs {
    pub struct_size: u32,
    pub kind: u32,
    pub call: CallHandle,
    pub deadline_ns: u64,
    pub flags: u32,
    pub round: u32,
    pub item: u32,
    pub client: u32,
    pub name: Str,
    pub params_json: Str,
    pub meta_json: Str,
    pub answers_json: Str,
    pub state: Str,
}

/// What the plugin offers.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)] // The header documents each function.
pub struct PluginApi {
    pub struct_size: u32,
    pub reserved: u32,
    pub create: Option<
        unsafe extern "C" fn(*const Host, *const CreateArgs, *mut *mut Plugin, *mut Buf) -> Rc,
    >,
    pub describe: Option<unsafe extern "C" fn(*mut Plugin, *mut Buf) -> Rc>,
    pub call: Option<unsafe extern "C" fn(*mut Plugin, *const CallArgs) -> Rc>,
    pub cancel: Option<unsafe extern "C" fn(*mut Plugin, CallHandle, i32)>,
    pub watch: Option<unsafe extern "C" fn(*mut Plugin, Str, i32) -> Rc>,
    pub run: Option<unsafe extern "C" fn(*mut Plugin) -> Rc>,
    pub quiesce: Option<unsafe extern "C" fn(*mut Plugin, u64) -> Rc>,
    pub destroy: Option<unsafe extern "C" fn(*mut Plugin) -> Rc>,
}

/// What the entry function returns.
#[repr(C)]
pub struct Descriptor {
    /// [`ABI_MAGIC`].
    pub magic: u64,
    /// `size_of::<Descriptor>()` of the plugin's build.
    pub struct_size: u32,
    /// [`ABI_MAJOR`] of the plugin's build.
    pub abi_major: u16,
    /// [`ABI_MINOR`] of the plugin's build.
    pub abi_minor: u16,
    /// Lowest host minor that this plugin runs on.
    pub min_host_minor: u16,
    /// Zero.
    pub reserved0: u16,
    /// Zero.
    pub reserved1: u32,
    /// `PF_` flags.
    pub flags: u64,
    /// For example `acme.weather`; NUL terminated.
    pub id: *const c_char,
    /// For example `1.4.2`; NUL terminated.
    pub version: *const c_char,
    /// For example `rust-sdk 0.1.0`; NUL terminated.
    pub sdk: *const c_char,
    /// The functions.
    pub api: *const PluginApi,
}

// SAFETY: a descriptor is constant and only ever read; its pointers lead to constants of the same image.
unsafe impl Sync for Descriptor {}

/// The entry function.
pub type Entry = unsafe extern "C" fn() -> *const Descriptor;

/// The manifest note as it stands in the file, for a JSON text of `N` bytes including its NUL.
#[repr(C, align(4))]
pub struct ManifestNote<const N: usize> {
    /// Size of `name`.
    pub name_size: u32,
    /// Size of `desc`.
    pub desc_size: u32,
    /// [`NOTE_TYPE`].
    pub note_type: u32,
    /// [`NOTE_NAME`].
    pub name: [u8; 4],
    /// The JSON text, NUL terminated.
    pub desc: [u8; N],
}

const _: () = {
    assert!(size_of::<Str>() == 16);
    assert!(size_of::<Buf>() == 40);
    assert!(size_of::<CallResult>() == 120);
    assert!(size_of::<Host>() == 96);
    assert!(size_of::<CreateArgs>() == 40);
    assert!(size_of::<CallArgs>() == 120);
    assert!(size_of::<PluginApi>() == 72);
    assert!(size_of::<Descriptor>() == 64);
};
