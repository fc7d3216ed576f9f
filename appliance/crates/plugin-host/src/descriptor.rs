//! What the entry function returns, checked before it is believed.

use std::ffi::CStr;
use std::path::Path;

use plugin_abi::{
    ABI_MAGIC, ABI_MAJOR, ABI_MINOR, Descriptor, Entry, PF_PANIC_ABORT, PF_PROCESS_ONLY, PF_SERIAL,
    PluginApi,
};

use crate::error::LoadError;

/// A plugin's functions, copied, and what it says of itself.
pub(crate) struct Checked {
    pub(crate) api: PluginApi,
    pub(crate) is_serial: bool,
}

/// The size of the API table of ABI 1.0: everything up to `destroy`.
const API_SIZE_1_0: usize = size_of::<PluginApi>();

/// Why a library without an entry function is none of ours.
pub(crate) fn no_entry(path: &Path) -> LoadError {
    LoadError::NotPlugin {
        path: path.to_owned(),
        what: "it has no function `toolrack_plugin_entry`".to_owned(),
    }
}

pub(crate) fn check(path: &Path, entry: Entry) -> Result<Checked, LoadError> {
    let not_plugin =
        |what: &str| LoadError::NotPlugin { path: path.to_owned(), what: what.to_owned() };
    // SAFETY: the ABI makes the entry function callable at any time, without side effects.
    let descriptor = unsafe { entry() };
    if descriptor.is_null() || !descriptor.is_aligned() {
        return Err(not_plugin("its entry function returns no descriptor"));
    }
    // SAFETY: not null and aligned; the first sixteen bytes are frozen for ever, so they can be read before the
    // version is known. `u64` and `u32` hold any bytes.
    let (magic, struct_size) = unsafe {
        ((&raw const (*descriptor).magic).read(), (&raw const (*descriptor).struct_size).read())
    };
    if magic != ABI_MAGIC {
        return Err(not_plugin("its descriptor has the wrong magic number"));
    }
    // SAFETY: as above: still within the first sixteen bytes.
    let (major, minor) = unsafe {
        ((&raw const (*descriptor).abi_major).read(), (&raw const (*descriptor).abi_minor).read())
    };
    if major != ABI_MAJOR || (struct_size as usize) < size_of::<Descriptor>() {
        return Err(LoadError::WrongAbi {
            path: path.to_owned(),
            found: format!("{major}.{minor} (descriptor of {struct_size} bytes)"),
            supported: format!("{ABI_MAJOR}.{ABI_MINOR}"),
        });
    }
    // SAFETY: the magic and the size say that a whole descriptor of this major is there; it is constant (ABI).
    let descriptor = unsafe { &*descriptor };
    if descriptor.min_host_minor > ABI_MINOR {
        return Err(LoadError::WrongAbi {
            path: path.to_owned(),
            found: format!("{major}.{}", descriptor.min_host_minor),
            supported: format!("{ABI_MAJOR}.{ABI_MINOR}"),
        });
    }
    if descriptor.flags & PF_PANIC_ABORT != 0 {
        return Err(LoadError::NotInline {
            path: path.to_owned(),
            what: "a panic in it would end the process; build it with panic = \"unwind\"",
        });
    }
    if descriptor.flags & PF_PROCESS_ONLY != 0 {
        return Err(LoadError::NotInline {
            path: path.to_owned(),
            what: "it brings its own runtime and needs a process of its own, which this version does not offer",
        });
    }
    let is_named =
        [descriptor.id, descriptor.version, descriptor.sdk].iter().all(|text| !text.is_null());
    if !is_named {
        return Err(not_plugin("its descriptor has no id, version or sdk"));
    }
    // SAFETY: not null, and NUL-terminated constants by the ABI.
    let id = unsafe { CStr::from_ptr(descriptor.id) };
    tracing::debug!(id = %id.to_string_lossy(), "Descriptor read.");
    let api = copy_api(descriptor.api).map_err(not_plugin)?;
    Ok(Checked { api, is_serial: descriptor.flags & PF_SERIAL != 0 })
}

/// Copies the functions that the table has room for; a newer plugin's tail is not looked at.
fn copy_api(api: *const PluginApi) -> Result<PluginApi, &'static str> {
    if api.is_null() || !api.is_aligned() {
        return Err("its descriptor has no functions");
    }
    // SAFETY: not null and aligned; every version of the table starts with its size.
    let struct_size = unsafe { (&raw const (*api).struct_size).read() } as usize;
    if struct_size < API_SIZE_1_0 {
        return Err("its table of functions is too small");
    }
    // SAFETY: the table says that it is at least as large as ours.
    let api = unsafe { *api };
    let has_required = api.create.is_some()
        && api.describe.is_some()
        && api.call.is_some()
        && api.destroy.is_some();
    if has_required { Ok(api) } else { Err("it lacks one of create, describe, call and destroy") }
}
