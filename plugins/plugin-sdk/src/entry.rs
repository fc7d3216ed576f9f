//! The functions behind `tr_plugin_api`, for any [`Author`].
//!
//! Each catches panics: nothing unwinds across the line.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use plugin_abi::{
    ABI_MAGIC, ABI_MAJOR, ABI_MINOR, Buf, CallArgs, CallHandle, CreateArgs, Descriptor, E_INTERNAL,
    E_INVAL, E_PANIC, Host as HostTable, OK, PF_PANIC_ABORT, Plugin, PluginApi, Rc, Str,
};

use crate::error::Error;
use crate::host::Host;
use crate::instance::{Instance, panic_text};
use crate::items::Author;

/// The constants that a library exports for `P`.
pub struct Exported<P>(PhantomData<P>);

impl<P: Author> Exported<P> {
    /// The table of functions.
    pub const API: PluginApi = PluginApi {
        struct_size: size_of::<PluginApi>() as u32,
        reserved: 0,
        create: Some(create::<P>),
        describe: Some(describe::<P>),
        call: Some(call::<P>),
        cancel: Some(cancel::<P>),
        watch: Some(watch::<P>),
        run: Some(run::<P>),
        quiesce: Some(quiesce::<P>),
        destroy: Some(destroy::<P>),
    };

    /// The descriptor; the texts must live for ever.
    #[must_use]
    pub const fn descriptor(
        id: &'static CStr,
        version: &'static CStr,
        api: &'static PluginApi,
    ) -> Descriptor {
        Descriptor {
            magic: ABI_MAGIC,
            struct_size: size_of::<Descriptor>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            min_host_minor: 0,
            reserved0: 0,
            reserved1: 0,
            flags: if cfg!(panic = "abort") { PF_PANIC_ABORT } else { 0 },
            id: id.as_ptr(),
            version: version.as_ptr(),
            sdk: SDK.as_ptr(),
            api: std::ptr::from_ref(api),
        }
    }
}

const SDK: &CStr = match CStr::from_bytes_with_nul(
    concat!("rust-sdk ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(sdk) => sdk,
    Err(_) => c"rust-sdk",
};

/// Runs `act`, and answers a panic with a code.
fn guarded(act: impl FnOnce() -> Rc) -> Rc {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        // Kept for good: what a panic carries may panic when it is dropped, and nothing is left to catch that here.
        std::mem::forget(panic);
        E_PANIC
    })
}

/// The instance behind a plugin pointer.
///
/// # Safety
/// `plugin` must be what `create` gave, before `destroy`.
unsafe fn instance<'a, P: Author>(plugin: *mut Plugin) -> &'a Arc<Instance<P>> {
    // SAFETY: `create` made the pointer from a box of exactly this type, and the caller vouches for its life.
    unsafe { &*plugin.cast::<Arc<Instance<P>>>() }
}

/// Moves text to the host, in memory that this library releases.
fn give(text: String, out: *mut Buf) {
    unsafe extern "C" fn release(_: *mut std::ffi::c_void, ptr: *mut u8, cap: usize) {
        // SAFETY: `give` made pointer and capacity from a `Vec`, and the host calls this once (R4).
        drop(unsafe { Vec::from_raw_parts(ptr, 0, cap) });
    }
    if out.is_null() {
        return;
    }
    let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
    let buf = Buf {
        ptr: bytes.as_mut_ptr(),
        len: bytes.len(),
        cap: bytes.capacity(),
        owner: std::ptr::null_mut(),
        release: Some(release),
    };
    // SAFETY: the host lends room for one `Buf`.
    unsafe { out.write(buf) };
}

unsafe extern "C" fn create<P: Author>(
    host: *const HostTable,
    args: *const CreateArgs,
    out: *mut *mut Plugin,
    error: *mut Buf,
) -> Rc {
    guarded(|| {
        if host.is_null() || args.is_null() || out.is_null() {
            return E_INVAL;
        }
        // SAFETY: the host lends its table for ever, and the arguments until this returns.
        let (host, args) = unsafe { (Host::from_raw(host), &*args) };
        install_panic_hook(host);
        // SAFETY: lent until this returns.
        let config = unsafe { args.config_json.as_bytes() };
        let config = std::str::from_utf8(config).unwrap_or("{}");
        let created =
            catch_unwind(|| Instance::<P>::create(config, host)).unwrap_or_else(|panic| {
                Err(Error::Internal(format!("panicked: {}", panic_text(&*panic))))
            });
        match created {
            Ok(instance) => {
                let plugin = Box::into_raw(Box::new(Arc::new(instance)));
                // SAFETY: the host lends room for one pointer.
                unsafe { out.write(plugin.cast()) };
                OK
            }
            Err(failed) => {
                let text = match failed {
                    Error::Tool(text) | Error::Invalid(text) | Error::Internal(text) => text,
                    other => format!("{other:?}"),
                };
                give(text, error);
                E_INTERNAL
            }
        }
    })
}

/// Sends panics to the operator's log instead of standard error. The library has a standard library of its own, so the
/// hook is its own too.
fn install_panic_hook(host: Host) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        let text = info.payload().downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text =
            text.or_else(|| info.payload().downcast_ref::<String>().cloned()).unwrap_or_default();
        host.error(&format!("panic{place}: {text}"));
    }));
}

unsafe extern "C" fn describe<P: Author>(plugin: *mut Plugin, json: *mut Buf) -> Rc {
    guarded(|| {
        // SAFETY: the host gives what `create` gave, before `destroy`.
        give(unsafe { instance::<P>(plugin) }.describe(), json);
        OK
    })
}

unsafe extern "C" fn call<P: Author>(plugin: *mut Plugin, args: *const CallArgs) -> Rc {
    guarded(|| {
        // SAFETY: as for `describe`; the arguments are lent until this returns.
        unsafe { instance::<P>(plugin).call(&*args) };
        OK
    })
}

unsafe extern "C" fn cancel<P: Author>(plugin: *mut Plugin, call: CallHandle, _: i32) {
    guarded(|| {
        // SAFETY: as for `describe`.
        unsafe { instance::<P>(plugin) }.cancel(call);
        OK
    });
}

unsafe extern "C" fn watch<P: Author>(plugin: *mut Plugin, uri: Str, on: i32) -> Rc {
    guarded(|| {
        // SAFETY: as for `describe`; the text is lent until this returns.
        let (instance, uri) = unsafe { (instance::<P>(plugin), uri.as_bytes()) };
        match std::str::from_utf8(uri) {
            Ok(uri) => {
                instance.watch(uri, on != 0);
                OK
            }
            Err(_) => E_INVAL,
        }
    })
}

unsafe extern "C" fn run<P: Author>(plugin: *mut Plugin) -> Rc {
    guarded(|| {
        // SAFETY: as for `describe`; `destroy` comes after this has returned.
        unsafe { instance::<P>(plugin) }.run();
        OK
    })
}

unsafe extern "C" fn quiesce<P: Author>(plugin: *mut Plugin, _: u64) -> Rc {
    guarded(|| {
        // SAFETY: as for `describe`.
        unsafe { instance::<P>(plugin) }.quiesce();
        OK
    })
}

unsafe extern "C" fn destroy<P: Author>(plugin: *mut Plugin) -> Rc {
    guarded(|| {
        // SAFETY: the host calls this once, last, with what `create` gave.
        drop(unsafe { Box::from_raw(plugin.cast::<Arc<Instance<P>>>()) });
        OK
    })
}
