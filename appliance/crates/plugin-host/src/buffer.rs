//! Bytes that cross the line.

use std::ffi::c_void;

use bytes::Bytes;
use plugin_abi::{Buf, E_INVAL, E_NOMEM, E_TOO_LARGE, Rc, Release, Str};

/// Marks buffers of the host: `owner` of every [`Buf`] that [`allocate`] made.
static HOST_OWNER: u8 = 0;

fn host_owner() -> *mut c_void {
    (&raw const HOST_OWNER).cast_mut().cast()
}

/// Makes an empty buffer with room for `cap` bytes.
pub(crate) fn allocate(cap: usize, cap_max: usize) -> Result<Buf, Rc> {
    if cap > cap_max {
        return Err(E_TOO_LARGE);
    }
    let mut bytes = Vec::<u8>::new();
    bytes.try_reserve_exact(cap).map_err(|_| E_NOMEM)?;
    Ok(into_buf(bytes))
}

/// Makes sure that a buffer of the host has room for `cap` bytes.
pub(crate) fn grow(buf: &mut Buf, cap: usize, cap_max: usize) -> Result<(), Rc> {
    if cap > cap_max {
        return Err(E_TOO_LARGE);
    }
    if !is_host(buf) || buf.len > buf.cap {
        return Err(E_INVAL);
    }
    if cap <= buf.cap {
        return Ok(());
    }
    let mut bytes = take_host(std::mem::replace(buf, Buf::EMPTY));
    // Doubling, so that a plugin that appends pays for each byte about once.
    let wanted = cap.max(bytes.capacity().saturating_mul(2)).min(cap_max);
    let reserved = bytes.try_reserve_exact(wanted - bytes.len()).map_err(|_| E_NOMEM);
    *buf = into_buf(bytes);
    reserved
}

fn into_buf(mut bytes: Vec<u8>) -> Buf {
    let buf = Buf {
        ptr: bytes.as_mut_ptr(),
        len: bytes.len(),
        cap: bytes.capacity(),
        owner: host_owner(),
        release: Some(release_host),
    };
    std::mem::forget(bytes);
    buf
}

fn is_host(buf: &Buf) -> bool {
    // The host gives out no null, not even for no bytes: where one is, the plugin has changed the buffer.
    !buf.ptr.is_null()
        && buf.owner == host_owner()
        && buf.release.is_some_and(|release| std::ptr::fn_addr_eq(release, release_host as Release))
}

/// Takes a buffer of the host back.
fn take_host(buf: Buf) -> Vec<u8> {
    // SAFETY: `into_buf` made this pointer and capacity from a `Vec`, and rule R4 makes the caller their only holder;
    // every caller has checked that `len` is at most `cap`.
    unsafe { Vec::from_raw_parts(buf.ptr, buf.len, buf.cap) }
}

unsafe extern "C" fn release_host(_: *mut c_void, ptr: *mut u8, cap: usize) {
    if !ptr.is_null() {
        // SAFETY: rule R4: the holder calls this once with what `into_buf` gave out.
        drop(unsafe { Vec::from_raw_parts(ptr, 0, cap) });
    }
}

/// Takes over a buffer that a plugin moved across, whoever made it, and frees it exactly once. `Err` when it
/// describes no memory or is larger than `bytes_max`.
pub(crate) fn take(buf: Buf, bytes_max: usize) -> Result<Bytes, Rc> {
    // A constant of the library has no capacity of its own.
    let fits = buf.release.is_none() || buf.len <= buf.cap;
    let is_sound = fits && (buf.len == 0 || !buf.ptr.is_null()) && buf.len <= isize::MAX as usize;
    if !is_sound {
        // What it describes is not believable, so neither is what to free.
        return Err(E_INVAL);
    }
    if is_host(&buf) {
        let mut bytes = take_host(buf);
        if bytes.len() > bytes_max {
            return Err(E_TOO_LARGE);
        }
        // A much larger allocation than needed would be held for as long as the answer is.
        if bytes.capacity() > bytes.len().saturating_mul(2).max(4_096) {
            bytes.shrink_to_fit();
        }
        return Ok(bytes.into());
    }
    let result = if buf.len > bytes_max {
        Err(E_TOO_LARGE)
    } else if buf.len == 0 {
        Ok(Bytes::new())
    } else {
        // SAFETY: not null, and the plugin vouches for `len` readable bytes (R4). Copied at once, so that nothing of
        // the plugin is needed later.
        Ok(Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(buf.ptr, buf.len) }))
    };
    if let Some(release) = buf.release {
        // SAFETY: this side holds the buffer and calls its release once, here.
        unsafe { release(buf.owner, buf.ptr, buf.cap) };
    }
    result
}

/// Text that a plugin lent for this call; what is not UTF-8 is replaced.
pub(crate) fn lent(text: Str) -> String {
    // SAFETY: the plugin lends the memory until this function's caller returns (R3).
    String::from_utf8_lossy(unsafe { text.as_bytes() }).into_owned()
}
