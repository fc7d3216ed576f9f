use mapped::BYTES_MIN;

use super::*;

const CAP_MAX: usize = 1 << 20;

fn buffers(count: usize) -> &'static Buffers {
    Box::leak(Box::new(Buffers::new(count)))
}

/// The same buffer once more, as a plugin can copy it.
fn copy(buf: &Buf) -> Buf {
    Buf { ptr: buf.ptr, len: buf.len, cap: buf.cap, owner: buf.owner, release: buf.release }
}

fn filled(buffers: &'static Buffers, text: &[u8]) -> Buf {
    let mut buf = buffers.allocate(text.len(), CAP_MAX).expect("room");
    // SAFETY: the buffer has room for the text, and nobody else has it.
    unsafe { buf.ptr.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    buf.len = text.len();
    buf
}

fn release(buf: &Buf) {
    let release = buf.release.expect("of the host");
    // SAFETY: what the buffer itself says.
    unsafe { release(buf.owner, buf.ptr, buf.cap) };
}

#[test]
fn a_buffer_is_taken_once_however_often_it_is_given() {
    let buffers = buffers(2);
    let buf = filled(buffers, b"bytes");
    let (again, released) = (copy(&buf), copy(&buf));
    assert_eq!(buffers.take(buf, CAP_MAX).as_deref(), Ok(&b"bytes"[..]));
    assert_eq!(buffers.take(copy(&again), CAP_MAX), Err(E_INVAL));
    release(&released);
    assert_eq!(buffers.grow(&mut copy(&again), CAP_MAX, CAP_MAX), Err(E_INVAL));
    assert_eq!(buffers.free.len(), 2);
    // Nor does it reach the next buffer in the same place.
    let next = [filled(buffers, b"one"), filled(buffers, b"two")];
    assert_eq!(buffers.take(again, CAP_MAX), Err(E_INVAL));
    release(&released);
    for (buf, text) in next.into_iter().zip(["one", "two"]) {
        assert_eq!(buffers.take(buf, CAP_MAX).as_deref(), Ok(text.as_bytes()));
    }
    assert_eq!(buffers.free.len(), 2);
}

#[test]
fn a_buffer_given_by_two_threads_at_once_is_taken_by_one() {
    let buffers = buffers(1);
    for _ in 0..2_000 {
        let buf = filled(buffers, b"x");
        let (owner, ptr) = (buf.owner.expose_provenance(), buf.ptr.expose_provenance());
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let buf = Buf {
                        ptr: std::ptr::with_exposed_provenance_mut(ptr),
                        len: 1,
                        cap: 1,
                        owner: std::ptr::with_exposed_provenance_mut(owner),
                        release: Some(release_ours),
                    };
                    taken.fetch_add(usize::from(buffers.take(buf, CAP_MAX).is_ok()), Relaxed);
                });
            }
        });
        assert_eq!((taken.into_inner(), buffers.free.len()), (1, 1));
    }
}

#[test]
fn a_buffer_whose_description_was_changed_is_freed_and_not_believed() {
    let buffers = buffers(1);
    let changes: [fn(&mut Buf); 3] = [
        |buf| buf.ptr = std::ptr::null_mut(),
        |buf| buf.ptr = buf.ptr.wrapping_add(1),
        |buf| buf.len = 6,
    ];
    for change in changes {
        let mut buf = filled(buffers, b"bytes");
        change(&mut buf);
        assert_eq!(buffers.take(buf, CAP_MAX), Err(E_INVAL));
        assert_eq!(buffers.free.len(), 1);
    }
    // A capacity that lies is not looked at.
    let mut buf = filled(buffers, b"bytes");
    buf.cap = usize::MAX;
    assert_eq!(buffers.take(buf, CAP_MAX).as_deref(), Ok(&b"bytes"[..]));
}

#[test]
fn owners_that_were_never_given_out_are_refused() {
    let (buffers, others) = (buffers(1), buffers(1));
    let theirs = filled(others, b"theirs");
    let mut nowhere = filled(buffers, b"x");
    let real = copy(&nowhere);
    for address in [0, 1, 63, usize::MAX, theirs.owner.addr(), real.owner.addr() + 1] {
        nowhere.owner = real.owner.with_addr(address);
        assert_eq!(buffers.take(copy(&nowhere), CAP_MAX), Err(E_INVAL), "{address:x}");
    }
    assert_eq!(buffers.take(real, CAP_MAX).as_deref(), Ok(&b"x"[..]));
    assert_eq!(others.take(theirs, CAP_MAX).as_deref(), Ok(&b"theirs"[..]));
}

#[test]
fn a_plugin_that_gives_nothing_back_runs_out() {
    let buffers = buffers(2);
    let held = [buffers.allocate(0, CAP_MAX), buffers.allocate(8, CAP_MAX)];
    assert_eq!(buffers.allocate(8, CAP_MAX).err(), Some(E_NOMEM));
    for buf in held {
        release(&buf.expect("room"));
    }
    assert!(buffers.allocate(8, CAP_MAX).is_ok());
    assert_eq!(buffers.allocate(CAP_MAX + 1, CAP_MAX).err(), Some(E_TOO_LARGE));
}

#[test]
fn growing_keeps_the_bytes_and_ends_the_buffer_before() {
    let buffers = buffers(1);
    let mut buf = filled(buffers, b"bytes");
    let before = copy(&buf);
    assert_eq!(buffers.grow(&mut buf, 3, CAP_MAX), Ok(()));
    assert_eq!(buf.owner, before.owner, "it had room");
    assert_eq!(buffers.grow(&mut buf, 10_000, CAP_MAX), Ok(()));
    assert!(buf.cap >= 10_000);
    assert_eq!(buffers.take(before, CAP_MAX), Err(E_INVAL));
    assert_eq!(buffers.grow(&mut buf, CAP_MAX + 1, CAP_MAX), Err(E_TOO_LARGE));
    assert_eq!(buffers.take(buf, CAP_MAX).as_deref(), Ok(&b"bytes"[..]));
    assert_eq!(buffers.free.len(), 1);
}

/// Bytes that tell where they are.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

#[test]
fn buffers_of_every_size_keep_their_bytes() {
    let buffers = buffers(1);
    let sizes = [0, 1, 4_097, BYTES_MIN - 1, BYTES_MIN, BYTES_MIN + 1, CAP_MAX];
    for size in sizes {
        let text = pattern(size);
        let taken = buffers.take(filled(buffers, &text), CAP_MAX);
        assert_eq!(taken.as_deref(), Ok(&*text), "{size}");
        // And when they grow once, to each of the larger sizes, and hold no more than before.
        for larger in sizes.into_iter().filter(|larger| *larger > size) {
            let mut buf = filled(buffers, &text);
            assert_eq!(buffers.grow(&mut buf, larger, CAP_MAX), Ok(()));
            assert!(buf.cap >= larger && buf.cap <= CAP_MAX, "{} for {larger}", buf.cap);
            assert_eq!(buffers.take(buf, CAP_MAX).as_deref(), Ok(&*text), "{size} in {larger}");
        }
        let foreign = Buf { ptr: text.as_ptr().cast_mut(), len: size, ..Buf::EMPTY };
        assert_eq!(buffers.take(foreign, CAP_MAX).as_deref(), Ok(&*text), "{size} of the plugin");
        assert_eq!(buffers.free.len(), 1);
    }
}

#[test]
fn a_large_buffer_that_is_not_taken_is_given_back_once() {
    let buffers = buffers(1);
    let buf = filled(buffers, &pattern(CAP_MAX));
    release(&buf);
    release(&buf);
    assert_eq!(buffers.free.len(), 1);
    assert_eq!(buffers.take(buf, CAP_MAX), Err(E_INVAL));
    let buf = filled(buffers, &pattern(CAP_MAX));
    assert_eq!(buffers.take(buf, BYTES_MIN), Err(E_TOO_LARGE));
    assert_eq!(buffers.free.len(), 1);
}

#[test]
fn memory_of_the_plugin_is_copied_and_given_back_once() {
    static RELEASED: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn count(_: *mut c_void, _: *mut u8, _: usize) {
        RELEASED.fetch_add(1, Relaxed);
    }
    let buffers = buffers(1);
    let mut text = *b"text";
    let mut buf = |len, cap| Buf {
        ptr: text.as_mut_ptr(),
        len,
        cap,
        owner: std::ptr::null_mut(),
        release: Some(count),
    };
    assert_eq!(buffers.take(buf(4, 4), CAP_MAX).as_deref(), Ok(&b"text"[..]));
    assert_eq!(buffers.take(buf(4, 4), 3), Err(E_TOO_LARGE));
    assert_eq!(RELEASED.load(Relaxed), 2);
    assert_eq!(buffers.take(buf(5, 4), CAP_MAX), Err(E_INVAL));
    assert_eq!(RELEASED.load(Relaxed), 2, "what is not believable is left alone");
}
