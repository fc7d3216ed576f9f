//! The plugin behind its functions: every entry into it.

use std::time::Instant;

use bytes::Bytes;
use plugin_abi::{
    Buf, CF_PROGRESS, CallArgs, E_BUSY, E_CANCELLED, E_NOT_FOUND, ITEM_NONE, ITEM_TEMPLATE, OK,
    Plugin as RawPlugin, PluginApi, Str, call_kind, status,
};
use protocol::json::Raw;
use protocol::{Call, MetaKey, Param};

use crate::describe::{self, Described};
use crate::error::LoadError;
use crate::host_functions::HostState;
use crate::images::Image;
use crate::plugin::Item;
use crate::slots::Completion;
use crate::threads::monotonic_ns_at;

/// Largest description or error text of a plugin.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// A call on its way to a thread of the plugin.
pub(crate) struct Job {
    pub(crate) handle: u64,
    pub(crate) call: Call,
    pub(crate) item: Item,
    pub(crate) deadline_ns: u64,
}

/// The plugin behind its functions.
pub(crate) struct Core {
    pub(crate) api: PluginApi,
    pub(crate) plugin: *mut RawPlugin,
    pub(crate) host: &'static HostState,
    pub(crate) image: Image,
}

// SAFETY: the pointer is the plugin's own and only handed back to its functions, which the ABI allows from the threads
// that this crate calls them on.
unsafe impl Send for Core {}
// SAFETY: as above; functions that must not run twice at once are only called on the one control thread.
unsafe impl Sync for Core {}

impl Core {
    /// Gives a call to the plugin, on the current thread.
    pub(crate) fn enter(&self, job: &Job) {
        if self.host.slots.check(job.handle) == E_CANCELLED {
            // Given up while it waited, or its client is gone and it will be: the plugin never hears of it.
            if !self.host.slots.let_go(job.handle) {
                self.end(job.handle, status::CANCELLED, Bytes::new());
            }
            return;
        }
        let Job { handle, call, item, deadline_ns } = job;
        let rc = self.call(*handle, call, item, *deadline_ns);
        if rc == OK {
            return;
        }
        let status = match rc {
            E_BUSY => status::UNAVAILABLE,
            E_NOT_FOUND => status::NOT_FOUND,
            _ => status::INTERNAL,
        };
        let body = Bytes::from(format!("call returned {rc}"));
        self.end(*handle, status, body);
    }

    /// Ends a call that will not be entered.
    pub(crate) fn refuse(&self, handle: u64) {
        if !self.host.slots.let_go(handle) {
            self.end(handle, status::UNAVAILABLE, Bytes::new());
        }
    }

    fn end(&self, handle: u64, status: i32, body: Bytes) {
        let format = plugin_abi::format::TEXT;
        let (state, mime) = (Bytes::new(), None);
        let completion =
            Completion { status, format, is_public: false, ttl_ms: 0, body, state, mime };
        // Stale when the plugin has completed it before it returned an error: then the completion stands.
        self.host.slots.complete(handle, Ok(completion));
    }

    fn call(&self, handle: u64, call: &Call, item: &Item, deadline_ns: u64) -> i32 {
        let Some(enter) = self.api.call else {
            return E_NOT_FOUND;
        };
        let envelope = &call.envelope;
        let text =
            |raw: Option<Raw<'_>>| raw.map_or(Str::EMPTY, |raw| Str::new(raw.text().as_bytes()));
        let optional =
            |bytes: &Option<Bytes>| bytes.as_ref().map_or(Str::EMPTY, |bytes| Str::new(bytes));
        let arguments = envelope.param(Param::Arguments).map_or("{}", Raw::text);
        let (kind, index, params) = match item {
            Item::Tool(index) => (call_kind::TOOL, *index, arguments),
            Item::Prompt(index) => (call_kind::PROMPT_GET, *index, arguments),
            Item::Resource(index) => (call_kind::RESOURCE_READ, *index, "{}"),
            Item::Template { index, variables_json } => {
                let variables = std::str::from_utf8(variables_json).unwrap_or("{}");
                (call_kind::RESOURCE_READ, *index | ITEM_TEMPLATE, variables)
            }
            Item::Complete => {
                (call_kind::COMPLETE, ITEM_NONE, envelope.params().map_or("{}", Raw::text))
            }
        };
        let param = if kind == call_kind::RESOURCE_READ { Param::Uri } else { Param::Name };
        let name = envelope.param(param).and_then(Raw::as_str).unwrap_or_default();
        let args = CallArgs {
            struct_size: size_of::<CallArgs>() as u32,
            kind,
            call: handle,
            deadline_ns,
            flags: if envelope.meta(MetaKey::ProgressToken).is_some() { CF_PROGRESS } else { 0 },
            round: u32::from(call.round),
            item: index,
            client: u32::from(call.client.bits()),
            name: Str::new(name.as_bytes()),
            params_json: Str::new(params.as_bytes()),
            meta_json: text(envelope.param(Param::Meta)),
            answers_json: optional(&call.answers),
            state: optional(&call.state),
        };
        // SAFETY: the plugin was created and not destroyed; everything lent lives until this returns (R3); the thread
        // is one that the item's mode allows (R7).
        unsafe { enter(self.plugin, &raw const args) }
    }

    pub(crate) fn cancel(&self, handle: u64) {
        if let Some(cancel) = self.api.cancel {
            // SAFETY: on the control thread, with a plugin that was created and not destroyed.
            unsafe { cancel(self.plugin, handle, E_CANCELLED) };
        }
    }

    pub(crate) fn watch(&self, uri: &str, on: bool) {
        if let Some(watch) = self.api.watch {
            // SAFETY: as for `cancel`; the text is lent until this returns.
            let rc = unsafe { watch(self.plugin, Str::new(uri.as_bytes()), i32::from(on)) };
            if rc != OK {
                tracing::warn!(plugin = %self.host.name, uri, rc, "Plugin does not watch this resource.");
            }
        }
    }

    pub(crate) fn describe(&self) -> Result<Described, LoadError> {
        let wrong = |what: String| LoadError::Describe { what };
        let Some(describe) = self.api.describe else {
            return Err(wrong("no describe function".to_owned()));
        };
        let mut json = Buf::EMPTY;
        // SAFETY: as for `cancel`; the buffer moves to this side.
        let rc = unsafe { describe(self.plugin, &raw mut json) };
        let json = self.host.buffers.take(json, TEXT_BYTES_MAX);
        if rc != OK {
            return Err(wrong(format!("describe returned {rc}")));
        }
        let json = json.map_err(|_| wrong("it describes no memory, or is too large".to_owned()))?;
        describe::read(&json)
    }

    pub(crate) fn stop(&self, deadline: Instant) -> i32 {
        if let Some(quiesce) = self.api.quiesce {
            let deadline_ns = monotonic_ns_at(deadline);
            // SAFETY: on the control thread; no new call is given to the plugin any more.
            unsafe { quiesce(self.plugin, deadline_ns) };
        }
        OK
    }

    pub(crate) fn destroy(&self) -> i32 {
        let rc = self.api.destroy.map_or(OK, |destroy| {
            // SAFETY: on the control thread, once, after every other thread of the host has left the plugin.
            unsafe { destroy(self.plugin) }
        });
        if rc == OK {
            self.image.give_back();
        }
        rc
    }
}

#[cfg(test)]
mod tests {
    use plugin_abi::{client, message};
    use protocol::{ClientCapabilities as Can, LogLevel};

    #[test]
    fn numbers_that_cross_the_line_mean_the_same_on_both_sides() {
        for (ours, theirs) in [
            (Can::ELICITATION_FORM, client::ELICITATION_FORM),
            (Can::ELICITATION_URL, client::ELICITATION_URL),
            (Can::SAMPLING, client::SAMPLING),
            (Can::SAMPLING_TOOLS, client::SAMPLING_TOOLS),
            (Can::SAMPLING_CONTEXT, client::SAMPLING_CONTEXT),
            (Can::ROOTS, client::ROOTS),
        ] {
            assert_eq!(u32::from(ours.bits()), theirs);
        }
        for (ours, theirs) in [
            (LogLevel::Debug, message::DEBUG),
            (LogLevel::Warning, message::WARNING),
            (LogLevel::Emergency, message::EMERGENCY),
        ] {
            assert_eq!(LogLevel::ALL.get(theirs as usize), Some(&ours));
        }
    }
}
