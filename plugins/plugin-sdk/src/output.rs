//! Results, written straight into memory that the host sends from.

use std::borrow::Cow;
use std::io;

use plugin_abi::{Buf, CallResult, E_TOO_LARGE, OK, RF_PUBLIC, Str, format, status};
use serde::Serialize;

use crate::content::{Completion, PromptMessage, ToolResult};
use crate::error::Result;
use crate::host::Host;

/// The result of one call while it is written.
pub struct Output {
    host: Host,
    body: Buf,
    status: i32,
    format: u32,
    flags: u32,
    state: Vec<u8>,
    mime: Cow<'static, str>,
    ttl_ms: u32,
    is_full: bool,
}

// SAFETY: the buffer is memory of the host that nobody else has; the ABI lets any thread fill and complete it.
unsafe impl Send for Output {}

impl Output {
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            body: Buf::EMPTY,
            status: status::OK,
            format: format::TEXT,
            flags: 0,
            state: Vec::new(),
            mime: Cow::Borrowed(""),
            ttl_ms: 0,
            is_full: false,
        }
    }

    /// Makes this a text result.
    ///
    /// # Errors
    /// When the text is above the host's cap.
    pub fn text(&mut self, text: &str) -> Result<()> {
        self.format = format::TEXT;
        self.reserve(text.len())?;
        Ok(io::Write::write_all(self, text.as_bytes())?)
    }

    /// The MIME type of a resource or of bytes.
    pub fn set_mime(&mut self, mime: impl Into<Cow<'static, str>>) {
        self.mime = mime.into();
    }

    /// How long a resource stays fresh, and whether for everybody.
    pub const fn set_cache(&mut self, ttl_ms: u32, is_public: bool) {
        self.ttl_ms = ttl_ms;
        self.flags = if is_public { RF_PUBLIC } else { 0 };
    }

    pub(crate) const fn set_status(&mut self, status: i32) {
        self.status = status;
    }

    pub(crate) fn set_state(&mut self, state: Vec<u8>) {
        self.state = state;
    }

    pub(crate) fn json(&mut self, format: u32, value: &impl Serialize) -> Result<()> {
        self.format = format;
        Ok(serde_json::to_writer(self, value)?)
    }

    /// Forgets what was written, for an error that comes in its place.
    pub(crate) fn clear(&mut self) {
        self.body.len = 0;
        self.format = format::TEXT;
        self.is_full = false;
    }

    /// Whether something was written that was above the host's cap.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    fn reserve(&mut self, more: usize) -> io::Result<()> {
        let wanted = self.body.len + more;
        if wanted <= self.body.cap {
            return Ok(());
        }
        let table = self.host.table();
        let body = &raw mut self.body;
        let rc = if self.body.ptr.is_null() {
            // SAFETY: `body` is ours and empty; the host writes a buffer into it.
            table.buf_alloc.map(|alloc| unsafe { alloc(table.ctx, wanted, body) })
        } else {
            // SAFETY: `body` holds a buffer that `buf_alloc` gave and nobody else has.
            table.buf_grow.map(|grow| unsafe { grow(table.ctx, body, wanted) })
        };
        match rc {
            Some(OK) => Ok(()),
            Some(E_TOO_LARGE) => {
                self.is_full = true;
                Err(io::Error::other("the result is larger than the operator lets it be"))
            }
            _ => Err(io::Error::other("there is no memory for the result")),
        }
    }

    /// Hands the result over.
    pub(crate) fn complete(mut self, call: u64) {
        let state = std::mem::take(&mut self.state);
        let result = CallResult {
            struct_size: size_of::<CallResult>() as u32,
            status: self.status,
            format: self.format,
            flags: self.flags,
            body: std::mem::replace(&mut self.body, Buf::EMPTY),
            // No release function: it is copied before `complete` returns, and freed here.
            state: Buf { ptr: state.as_ptr().cast_mut(), len: state.len(), ..Buf::EMPTY },
            mime: Str::new(self.mime.as_bytes()),
            ttl_ms: self.ttl_ms,
            reserved: 0,
        };
        let table = self.host.table();
        if let Some(complete) = table.complete {
            // SAFETY: everything lent lives until this returns; the body moves to the host.
            unsafe { complete(table.ctx, call, &raw const result) };
        }
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reserve(bytes.len())?;
        if !bytes.is_empty() {
            // SAFETY: `reserve` made room for these bytes behind `len`, in memory that only this buffer has.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    self.body.ptr.add(self.body.len),
                    bytes.len(),
                )
            };
            self.body.len += bytes.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(release) = self.body.release {
            // SAFETY: the buffer was not handed over, so it is still ours to release, once.
            unsafe { release(self.body.owner, self.body.ptr, self.body.cap) };
        }
    }
}

/// What a tool, resource or prompt may return.
pub trait IntoOutput {
    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written, for example because it is above the host's cap.
    fn write(self, output: &mut Output) -> Result<()>;
}

/// Text that borrows from the arguments.
pub struct Text<'a>(pub Cow<'a, str>);

/// A structured result: any JSON value.
pub struct Json<T>(pub T);

/// Bytes with their MIME type.
pub struct Blob {
    /// The bytes.
    pub data: Vec<u8>,
    /// For example `image/png`.
    pub mime: Cow<'static, str>,
}

impl IntoOutput for Text<'_> {
    fn write(self, output: &mut Output) -> Result<()> {
        output.text(&self.0)
    }
}

impl IntoOutput for String {
    fn write(self, output: &mut Output) -> Result<()> {
        output.text(&self)
    }
}

impl IntoOutput for &str {
    fn write(self, output: &mut Output) -> Result<()> {
        output.text(self)
    }
}

impl<T: Serialize> IntoOutput for Json<T> {
    fn write(self, output: &mut Output) -> Result<()> {
        output.json(format::STRUCTURED, &self.0)
    }
}

impl IntoOutput for Blob {
    fn write(self, output: &mut Output) -> Result<()> {
        io::Write::write_all(output, &self.data)?;
        output.format = format::BLOB;
        output.set_mime(self.mime);
        Ok(())
    }
}

impl IntoOutput for ToolResult {
    fn write(self, output: &mut Output) -> Result<()> {
        output.json(format::RESULT_JSON, &self)
    }
}

impl IntoOutput for Vec<PromptMessage> {
    fn write(self, output: &mut Output) -> Result<()> {
        #[derive(Serialize)]
        struct Messages {
            messages: Vec<PromptMessage>,
        }
        output.json(format::RESULT_JSON, &Messages { messages: self })
    }
}

impl IntoOutput for Completion {
    fn write(self, output: &mut Output) -> Result<()> {
        #[derive(Serialize)]
        struct Whole {
            completion: Completion,
        }
        output.json(format::RESULT_JSON, &Whole { completion: self })
    }
}
