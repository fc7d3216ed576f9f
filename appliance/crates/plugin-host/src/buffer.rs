//! Bytes that cross the line.
//!
//! Memory that the host lends to a plugin is registered: a buffer that comes back twice, or changed, meets a number
//! that is no longer valid, and is not freed twice. Each plugin has its own places for such buffers, so that one that
//! never gives any back runs out of its own.

mod room;

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use plugin_abi::{Buf, E_INVAL, E_NOMEM, E_TOO_LARGE, Rc, Release as ReleaseFn, Str};

use room::Room;

/// The low bits of an owner hold this many generations of its place.
const GENERATIONS: usize = 64;

/// A place for one buffer. Its address, with its generation in the low bits, is the `owner` of the buffer.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Place {
    /// `generation << 1`, plus one while a plugin holds a buffer.
    state: AtomicUsize,
    cap: AtomicUsize,
    room: UnsafeCell<Option<Room>>,
    /// The [`Buffers`] that this place belongs to: `release` gets nothing else to find them by.
    home: AtomicPtr<Buffers>,
}

// SAFETY: everything but `room` is atomic, and one thread at a time has that: whoever took the place's number off the
// free ones, until `lend` marks the place as held; then whoever wins the exchange in `claim`.
unsafe impl Sync for Place {}

/// What a plugin may hold of the host's memory.
#[derive(Debug)]
pub(crate) struct Buffers {
    places: Box<[Place]>,
    free: ArrayQueue<usize>,
}

impl Buffers {
    /// Room for `count` buffers at once. They must live for ever: a plugin may give a buffer back at any time.
    pub(crate) fn new(count: usize) -> Self {
        let free = ArrayQueue::new(count.max(1));
        for index in 0..count {
            // As many places as numbers: never full.
            free.push(index).ok();
        }
        Self { places: (0..count).map(|_| Place::default()).collect(), free }
    }

    /// Makes an empty buffer with room for `cap` bytes.
    pub(crate) fn allocate(&'static self, cap: usize, cap_max: usize) -> Result<Buf, Rc> {
        if cap > cap_max {
            return Err(E_TOO_LARGE);
        }
        let room = Room::new(cap).map_err(|_| E_NOMEM)?;
        let index = self.free.pop().ok_or(E_NOMEM)?;
        Ok(self.lend(&self.places[index], room))
    }

    /// Makes sure that a buffer of the host has room for `cap` bytes.
    pub(crate) fn grow(&'static self, buf: &mut Buf, cap: usize, cap_max: usize) -> Result<(), Rc> {
        if cap > cap_max {
            return Err(E_TOO_LARGE);
        }
        let (index, place) = self.place_of(buf).ok_or(E_INVAL)?;
        let held = place.cap.load(Relaxed);
        if buf.len > held {
            return Err(E_INVAL);
        }
        if cap <= held {
            return Ok(());
        }
        let len = buf.len;
        let Some(mut room) = self.take_back(index, std::mem::replace(buf, Buf::EMPTY)) else {
            return Err(E_INVAL);
        };
        // Doubling, so that a plugin that appends pays for each byte about once.
        let wanted = cap.max(room.capacity().saturating_mul(2)).min(cap_max);
        let grown = room.grow(wanted).map_err(|_| E_NOMEM);
        *buf = self.lend(place, room);
        buf.len = len;
        grown
    }

    /// Takes over a buffer that a plugin moved across, whoever made it, and frees it exactly once. `Err` when it
    /// describes no memory, was given back before, or is larger than `bytes_max`.
    pub(crate) fn take(&'static self, buf: Buf, bytes_max: usize) -> Result<Bytes, Rc> {
        if buf.release.is_some_and(is_ours) {
            let (index, _) = self.place_of(&buf).ok_or(E_INVAL)?;
            let len = buf.len;
            let room = self.take_back(index, buf).ok_or(E_INVAL)?;
            self.free.push(index).ok();
            return if len > bytes_max { Err(E_TOO_LARGE) } else { Ok(room.into_bytes()) };
        }
        take_foreign(buf, bytes_max)
    }

    /// The place that a buffer names, if it is one of these.
    fn place_of(&self, buf: &Buf) -> Option<(usize, &Place)> {
        if !buf.release.is_some_and(is_ours) {
            return None;
        }
        let offset =
            (buf.owner.addr() & !(GENERATIONS - 1)).checked_sub(self.places.as_ptr().addr())?;
        let index = offset / size_of::<Place>();
        Some((index, self.places.get(index)?))
    }

    /// Hands memory out in `place`, which nobody else has.
    fn lend(&'static self, place: &'static Place, mut room: Room) -> Buf {
        let (ptr, cap) = (room.as_mut_ptr(), room.capacity());
        // SAFETY: nobody else has the place.
        unsafe { *place.room.get() = Some(room) };
        place.cap.store(cap, Relaxed);
        place.home.store(std::ptr::from_ref(self).cast_mut(), Relaxed);
        let generation = place.state.load(Relaxed) >> 1;
        place.state.store(generation << 1 | 1, Release);
        let owner = std::ptr::from_ref(place).cast_mut().cast::<c_void>();
        let owner = owner.map_addr(|address| address | (generation % GENERATIONS));
        Buf { ptr, len: 0, cap, owner, release: Some(release_ours) }
    }

    /// Takes memory back. `None` when the plugin no longer holds it, or has changed what describes it; in the latter
    /// case the memory is freed. The place stays taken.
    fn take_back(&self, index: usize, buf: Buf) -> Option<Room> {
        let place = self.places.get(index)?;
        let mut room = place.claim(buf.owner.addr() % GENERATIONS)?;
        if buf.len > room.capacity() || buf.ptr != room.as_mut_ptr() {
            drop(room);
            self.free.push(index).ok();
            return None;
        }
        // SAFETY: at most the capacity, and the plugin vouches for having written `len` bytes (R4).
        unsafe { room.set_len(buf.len) };
        Some(room)
    }
}

impl Place {
    /// Ends the plugin's hold on the memory here: of all that try, one gets it.
    fn claim(&self, tag: usize) -> Option<Room> {
        let held = self.state.load(Acquire);
        let generation = held >> 1;
        let is_held = held & 1 == 1 && generation % GENERATIONS == tag;
        let next = generation.wrapping_add(1) << 1;
        if !is_held || self.state.compare_exchange(held, next, AcqRel, Relaxed).is_err() {
            return None;
        }
        // SAFETY: `lend` wrote it before it marked the place; the exchange above makes this the only holder.
        unsafe { (*self.room.get()).take() }
    }
}

fn is_ours(release: ReleaseFn) -> bool {
    std::ptr::fn_addr_eq(release, release_ours as ReleaseFn)
}

unsafe extern "C" fn release_ours(owner: *mut c_void, _: *mut u8, _: usize) {
    let tag = owner.addr() % GENERATIONS;
    let place = owner.map_addr(|address| address & !(GENERATIONS - 1)).cast::<Place>();
    if place.is_null() {
        return;
    }
    // SAFETY: the owner is what `lend` gave out (R4), so it is the address of a place, and places live for ever.
    let place = unsafe { &*place };
    let Some(room) = place.claim(tag) else { return };
    drop(room);
    // SAFETY: set by `lend` to buffers that live for ever, as `allocate` and `grow` demand.
    let home = unsafe { &*place.home.load(Relaxed) };
    let offset = std::ptr::from_ref(place).addr() - home.places.as_ptr().addr();
    home.free.push(offset / size_of::<Place>()).ok();
}

/// Copies a buffer of the plugin's own memory and gives it back.
fn take_foreign(buf: Buf, bytes_max: usize) -> Result<Bytes, Rc> {
    // A constant of the library has no capacity of its own.
    let fits = buf.release.is_none() || buf.len <= buf.cap;
    let is_sound = fits && (buf.len == 0 || !buf.ptr.is_null()) && buf.len <= isize::MAX as usize;
    if !is_sound {
        // What it describes is not believable, so neither is what to free.
        return Err(E_INVAL);
    }
    let result = if buf.len > bytes_max {
        Err(E_TOO_LARGE)
    } else if buf.len == 0 {
        Ok(Bytes::new())
    } else {
        // SAFETY: not null, and the plugin vouches for `len` readable bytes (R4). Copied at once, so that nothing of
        // the plugin is needed later.
        let bytes = unsafe { std::slice::from_raw_parts(buf.ptr, buf.len) };
        Room::of(bytes).map(Room::into_bytes).map_err(|_| E_NOMEM)
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

#[cfg(test)]
mod tests;
